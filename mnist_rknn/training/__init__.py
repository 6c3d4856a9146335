"""Training in PaddleX: which PaddleClas trains, what it is told, and the networks it is given.

Notebook 02. May import the ground, the recipe and `data`. `paddleclas_launcher` is what PaddleX
starts in a process of its own; `networks` and `optimizers` hold what a student reads, nothing else.
"""

"""Data sets and the pictures of a run: fetched, recognised, checked, split, written for PaddleX.

Notebooks 01 (MNIST) and 09 (pictures of your own). May import the ground, the recipe and
`redraw`. `archives` needs nothing that is to be installed: AI Studio unpacks with it first.
"""

"""From an ONNX graph to a `.rknn` file: calibration pictures, the cut at the logits, rknn-toolkit2.

Notebooks 03, 04 and 05. May import the ground, the recipe and `data`. `inference` runs a model of
each format, the RKNN simulator among them.
"""

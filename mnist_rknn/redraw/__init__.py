"""Digits redrawn as ink on photographed paper: what notebook 07 explains and 01 uses.

May import nothing of the project: the recipe, one floor up, takes its strengths from `config`,
which needs neither OpenCV nor numpy.
"""

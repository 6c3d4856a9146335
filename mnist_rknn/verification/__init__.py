"""Proof that a model works: accuracies, layers, golden answers, the study, manifest and report.

Notebooks 06 and 08, and the checks that end 05. May import all but `deployment`.
"""

#!/usr/bin/env python
"""Run the notebooks headless: the command `mnist-rknn run`, wherever it is not installed."""

import sys

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

from mnist_rknn import cli

if __name__ == "__main__":
    sys.exit(cli.main(command=cli.run, name="scripts/run.py"))

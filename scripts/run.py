#!/usr/bin/env python
"""Run the notebooks headless: the command `mnist-rknn run`, for which nothing need be installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import cli

if __name__ == "__main__":
    sys.exit(cli.main(command=cli.run, name="scripts/run.py"))

"""PaddleX runs this file to train: `python tools/train.py -c CONFIG -o KEY=VALUE ...`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import launcher

launcher.run("train")

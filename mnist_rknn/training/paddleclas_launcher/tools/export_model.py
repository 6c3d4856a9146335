"""PaddleX runs this file to export: `python tools/export_model.py -c CONFIG -o KEY=VALUE ...`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[4]))  # where the package is not installed

from mnist_rknn.training.paddleclas_launcher import launcher

launcher.run("export")

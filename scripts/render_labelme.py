#!/usr/bin/env python
"""Render a small Labelme set of drawn shapes, to practise with.

python scripts/render_labelme.py --into data/shapes
python scripts/render_labelme.py --into data/shapes --chinese     # names of classes and files
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn.data import shapes
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import relative


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--into", type=Path, required=True, help="the folder to write")
    parser.add_argument("--each", type=int, default=40, help="pictures of each class")
    parser.add_argument("--chinese", action="store_true", help="Chinese names")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        shapes.render(arguments.into, arguments.each, arguments.chinese, arguments.seed)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    total = arguments.each * len(shapes.NAMES)
    print(f"{relative(arguments.into)}: {total} pictures of {len(shapes.NAMES)} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

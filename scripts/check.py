#!/usr/bin/env python
"""`mnist-rknn check` before anything is installed, and on any Python from 3.8 on.

python scripts/check.py               everything
python scripts/check.py --platform    only what needs no packages; `make setup` asks it
"""

import sys

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

from mnist_rknn.pipeline import environment


def main() -> int:
    problem = environment.platform_problem()
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    if "--platform" in sys.argv[1:]:
        return 0
    return 0 if environment.is_ready(environment.run_checks()) else 1


if __name__ == "__main__":
    sys.exit(main())

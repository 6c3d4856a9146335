#!/usr/bin/env python
"""`mnist-rknn check` before anything is installed; any Python can read this file and say its age.

python scripts/check.py               everything
python scripts/check.py --platform    only what needs no packages; `make setup` asks it
"""

import sys

sys.path.insert(0, sys.path[0] + "/..")  # the project's folder


def main():
    if sys.version_info < (3, 8):  # noqa: UP036  not even a part of the package can be read
        sys.stderr.write(  # in words that Python 2 reads
            "error: this is Python " + sys.version.split()[0] + "; the pinned packages exist for "
            "3.10 and 3.11: install one (sudo apt install python3.11 python3.11-venv) and run make "
            "with PYTHON=python3.11\n"
        )
        return 1
    from mnist_rknn.pipeline import environment

    problem = environment.platform_problem()
    if problem:
        sys.stderr.write("error: " + problem + "\n")
        return 1
    if "--platform" in sys.argv[1:]:
        return 0
    return 0 if environment.is_ready(environment.run_checks()) else 1


if __name__ == "__main__":
    sys.exit(main())

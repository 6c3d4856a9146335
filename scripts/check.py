#!/usr/bin/env python
"""Check this machine and environment, one line each, with the cure for what fails.

python scripts/check.py               everything
python scripts/check.py --platform    only what needs no packages; `make setup` asks it
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn.pipeline import environment


def main() -> int:
    problem = environment.platform_problem()
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    if "--platform" in sys.argv[1:]:
        return 0
    checks = []
    for check in environment.check_all():
        checks.append(check)
        print(check, flush=True)
    print(environment.verdict(checks))
    return 1 if any(check.status == "FAIL" for check in checks) else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m mnist_rknn` is the command `mnist-rknn`, wherever that is not installed."""

import os
import sys


def main() -> int:
    """Run the process's own command line; returns its status."""
    try:
        from .cli import main as command
    except (ImportError, AttributeError, SyntaxError, TypeError):
        if not os.environ.get("PYTHONPATH"):
            raise
        from .pipeline import environment  # needs the standard library only

        check = environment.check_path()
        if check.status == "OK":
            raise
        print(f"error: {check.detail}: {check.cure}", file=sys.stderr)
        return 1
    return command()


if __name__ == "__main__":
    sys.exit(main())

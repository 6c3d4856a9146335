"""`python -m mnist_rknn` is the command `mnist-rknn`, wherever that is not installed."""

import os
import sys


def main() -> int:
    """Run the process's own command line; returns its status."""
    _require_whole_python()
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


def _require_whole_python() -> None:
    """Start anew without PYTHONOPTIMIZE, which takes away what libraries ask, and every help.

    No gate of ours is an assertion; but PaddleX and others check by them, and read docstrings.
    """
    if not sys.flags.optimize:
        return
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
    command = [word for word in sys.orig_argv if word not in ("-O", "-OO")]
    os.execve(sys.executable, [sys.executable, *command[1:]], kept)


if __name__ == "__main__":
    sys.exit(main())

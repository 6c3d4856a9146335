"""`python -m mnist_rknn` is the command `mnist-rknn`, wherever that is not installed."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m mnist_rknn`: the command `mnist-rknn`, for which nothing need be installed."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

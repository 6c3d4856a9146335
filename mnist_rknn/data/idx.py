"""MNIST's file format, IDX, for any set of four such files.

IDX is a big-endian magic number and sizes, then bytes, as described on the page of Y. LeCun,
C. Cortes and C. Burges.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import PipelineError
from ..files import relative


class IdxSet(NamedTuple):
    """A set in MNIST's format."""

    train_images: np.ndarray  # uint8 [N, h, w]
    train_labels: np.ndarray  # uint8 [N]
    test_images: np.ndarray
    test_labels: np.ndarray


MAX_BYTES = 4 << 30  # of one file, unpacked; EMNIST's largest has 0.6 GB
_HEADER = 16  # bytes at most: a magic number and up to three sizes
# What the four files' names hold, beside "images" or "labels", in whichever set.
TRAIN, TEST = ("train",), ("t10k", "test")


def parse(content: bytes, name: str) -> np.ndarray:
    """Array of an IDX file of bytes: uint8 with as many dimensions as the file says.

    Raises:
        PipelineError: not IDX, or its length does not fit its header.
    """
    shape = _shape(content[:_HEADER], name)
    if len(content) != _size(shape):
        raise PipelineError(f"{name} is cut short or too long: get it again")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def _shape(header: bytes, name: str) -> tuple[int, ...]:
    if len(header) < 4 or header[:3] != b"\x00\x00\x08" or header[3] not in (1, 2, 3):
        raise PipelineError(f"{name} is not an IDX file of bytes")
    sizes = 4 * header[3]
    return struct.unpack(f">{header[3]}I", header[4 : 4 + sizes].ljust(sizes, b"\0"))


def _size(shape: tuple[int, ...]) -> int:
    """Bytes of a file whose array has this shape."""
    return 4 + 4 * len(shape) + math.prod(shape)


def gunzip(content: bytes, name: str) -> bytes:
    """Content of a gzipped IDX file; no more is unpacked than its header states.

    Raises:
        PipelineError: it is not one, is broken off, or does not end where its header states.
    """
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(_HEADER)
            size = _size(_shape(unpacked, name))
            if size > MAX_BYTES:
                raise PipelineError(f"{name} states {size:,} bytes: that is no set of pictures")
            # One byte more, so that the end is looked at, and the check sum with it.
            unpacked += file.read(max(0, size - len(unpacked)) + 1)
    except (OSError, EOFError, zlib.error):
        raise PipelineError(f"{name} is cut short or not gzip") from None
    if len(unpacked) > size:
        raise PipelineError(f"{name} goes on after the {size:,} bytes that its header states")
    return unpacked


def find(folder: Path) -> list[Path]:
    """The four files in a folder, in the order of `IdxSet`; [] if they are not all there.

    Names hold "train", or "t10k" or "test", and "images" or "labels", as those of MNIST,
    Fashion-MNIST and EMNIST do; a plain file goes before a gzipped one.
    """
    found = []
    names = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    for words, what in ((TRAIN, "images"), (TRAIN, "labels"), (TEST, "images"), (TEST, "labels")):
        fitting = [
            path
            for path in names
            if what in path.name.lower()
            and any(word in path.name.lower() for word in words)
            and path.suffix.lower() not in (".txt", ".csv", ".zip")
        ]
        if not fitting:
            return []
        found.append(min(fitting, key=lambda path: path.suffix.lower() == ".gz"))
    return found


def load(folder: Path) -> IdxSet:
    """Read the four files of a folder, gzipped or not.

    Raises:
        PipelineError: a file is missing or damaged, or images and labels do not fit together.
    """
    files = find(folder)
    if not files:
        raise PipelineError(
            f"{relative(folder)} has no four IDX files: train-images-idx3-ubyte, "
            "train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte are wanted"
        )
    arrays = []
    for path in files:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gunzip(content, relative(path))
        arrays.append(parse(content, relative(path)))
    for first in (0, 2):
        images, labels, path = arrays[first], arrays[first + 1], files[first]
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise PipelineError(
                f"{relative(path)} holds {list(images.shape)} and its labels {list(labels.shape)}: "
                "as many pictures [N, height, width] as labels [N] are wanted"
            )
    return IdxSet(*arrays)

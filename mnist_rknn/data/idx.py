"""MNIST's file format, IDX, and what stands in its place under the same name.

IDX is a magic number, which says the type and the number of dimensions, the sizes, big-endian,
then the values, as described on the page of Y. LeCun, C. Cortes and C. Burges.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from .. import file_kinds
from ..errors import PipelineError
from ..files import relative

MAX_BYTES = 4 << 30  # of one file, unpacked; EMNIST's largest has 0.6 GB
MOST_DIMENSIONS = 4
_HEADER = 4 + 4 * MOST_DIMENSIONS  # bytes at most: a magic number and the sizes
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def parse(content: bytes, name: str) -> np.ndarray:
    """Array of an IDX file, of the type and with as many dimensions as the file says.

    Raises:
        PipelineError: not IDX, or its length does not fit its header.
    """
    dtype, shape = _head(content[:_HEADER], name)
    if len(content) != _size(dtype, shape):
        raise PipelineError(f"{name} is cut short or too long: get it again")
    values = np.frombuffer(content, dtype, offset=4 + 4 * len(shape)).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _head(header: bytes, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    kind = file_kinds.of_bytes(header)
    if kind.key != "idx":
        raise PipelineError(f"{name} is not an IDX file of bytes, it {kind}")
    sizes = 4 * header[3]
    shape = struct.unpack(f">{header[3]}I", header[4 : 4 + sizes].ljust(sizes, b"\0"))
    return np.dtype(TYPES[header[2]]), shape


def _size(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Bytes of a file whose array has this type and shape."""
    return 4 + 4 * len(shape) + dtype.itemsize * math.prod(shape)


def unpacked(content: bytes, name: str) -> bytes:
    """An IDX file as it is, or unpacked if it is compressed with gzip, whatever it is called.

    Raises:
        PipelineError: it is another file, which is named, or a damaged one.
    """
    kind = file_kinds.of_bytes(content[: file_kinds.HEAD])
    if kind.key == "gz":
        return gunzip(content, name)
    if kind.key != "idx":
        raise PipelineError(f"{name} is not an IDX file of bytes, it {kind}")
    return content


def gunzip(content: bytes, name: str) -> bytes:
    """Content of a gzipped IDX file; no more is unpacked than its header states.

    Raises:
        PipelineError: it is not one, is broken off, or does not end where its header states.
    """
    if (kind := file_kinds.of_bytes(content[: file_kinds.HEAD])).key != "gz":
        raise PipelineError(f"{name} is not an IDX file of bytes, it {kind}")
    try:
        with gzip.open(io.BytesIO(content)) as file:
            start = file.read(_HEADER)
            if start[:2] == b"\x1f\x8b":
                raise PipelineError(f"{name} {file_kinds.KINDS['gzgz']}")
            size = _size(*_head(start, name))
            if size > MAX_BYTES:
                raise PipelineError(f"{name} states {size:,} bytes: that is no set of pictures")
            # One byte more, so that the end is looked at, and the check sum with it.
            start += file.read(max(0, size - len(start)) + 1)
    except (OSError, EOFError, zlib.error):
        raise PipelineError(f"{name} is cut short or not gzip all through: get it again") from None
    if len(start) > size:
        raise PipelineError(f"{name} goes on after the {size:,} bytes that its header states")
    return start


def read(path: Path) -> np.ndarray:
    """Array of an IDX file on disk, compressed or not; raises as `unpacked` and `parse`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PipelineError(f"{relative(path)} cannot be read: {error.strerror}") from None
    return parse(unpacked(content, relative(path)), relative(path))

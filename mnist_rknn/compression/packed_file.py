"""A network's weights in a file: codebooks, Huffman-coded indices and gaps, and a hash.

    4 bytes   "PKWT"
    1 byte    version of the format
    4 bytes   length of the body, little endian
    32 bytes  SHA-256 of the body
    body      graph, then the tensors

Numbers in the body are whole and unsigned, seven bits a byte, the lowest first, the highest bit
set where more follow (LEB128). The graph is an ONNX model without its weights, LZMA-compressed,
or nothing. A tensor is its name, its dimensions, and either float32 values as they are, or

    codebook  how many values, and these as float32
    entries   how many weights are not zero
    indices   which value each of these has: Huffman table, then the codes
    gaps      how many zeros stand before each: limit, Huffman table, then the codes

A gap of `limit` zeros or more begins with the symbol `limit`, which stands for so many zeros and no
weight; Deep Compression stores a weight of zero there. A limit of 0 says that no weight is zero,
and no gaps follow. A Huffman table is the number of symbols, and 6 bits for each code's length.
Codes begin at their highest bit; tables and codes end at a whole byte.
"""

import hashlib
import lzma
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import PipelineError
from ..files import relative, replacing
from . import huffman
from .sharing import MOST_BITS, ZERO, Shared

MAGIC = b"PKWT"
VERSION = 1
HEADER = struct.Struct("<4sBI32s")
LENGTH_BITS = 6  # of a code's length; 63 bits are more than any count of weights asks for
LIMITS = tuple(2**bits for bits in range(1, 11))  # of a gap; the one that makes the file smallest
LARGEST = 1 << 28  # weights of a tensor
RAW, SHARED = 0, 1

Tensor = np.ndarray | Shared  # arrays are float32


class Packed(NamedTuple):
    """What a file holds."""

    tensors: dict[str, Tensor]
    graph: bytes  # ONNX without weights, or nothing

    def arrays(self) -> dict[str, np.ndarray]:
        """Every tensor as float32."""
        return {
            name: tensor.values if isinstance(tensor, Shared) else tensor
            for name, tensor in self.tensors.items()
        }


def write(path: Path, tensors: Mapping[str, Tensor], graph: bytes = b"") -> None:
    """Write a file in one step; arrays must be float32."""
    with replacing(path) as temporary:
        temporary.write_bytes(pack(tensors, graph))


def read(path: Path) -> Packed:
    """Read a file back.

    Raises:
        PipelineError: it is missing, cut, altered, of another version, or no such file.
    """
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 12_small_files first")
    return unpack(path.read_bytes(), relative(path))


def pack(tensors: Mapping[str, Tensor], graph: bytes = b"") -> bytes:
    """The bytes of a file."""
    squeezed = lzma.compress(graph, lzma.FORMAT_ALONE, preset=9) if graph else b""
    body = [_number(len(squeezed)), squeezed, _number(len(tensors))]
    for name, tensor in tensors.items():
        body += parts(name, tensor).values()
    whole = b"".join(body)
    return HEADER.pack(MAGIC, VERSION, len(whole), hashlib.sha256(whole).digest()) + whole


def parts(name: str, tensor: Tensor) -> dict[str, bytes]:
    """The bytes of one tensor by what they are for, in the order of the file."""
    shape = tensor.indices.shape if isinstance(tensor, Shared) else tensor.shape
    head = [_number(len(name.encode())), name.encode(), _number(len(shape)), *map(_number, shape)]
    if not isinstance(tensor, Shared):
        return {"header": b"".join([*head, _number(RAW)]), "values": _floats(tensor)}
    flat = tensor.indices.ravel()
    places = np.flatnonzero(flat != ZERO)
    gaps = np.diff(places, prepend=-1) - 1
    if len(places) == flat.size:
        coded = _number(0)
    else:
        coded = min((_number(limit) + _coded(_limited(gaps, limit)) for limit in LIMITS), key=len)
    return {
        "header": b"".join([*head, _number(SHARED)]),
        "codebook": _number(len(tensor.codebook)) + _floats(tensor.codebook),
        "indices": _number(len(places)) + _coded(flat[places]),
        "gaps": coded,
    }


def bound(tensor: Tensor) -> float:
    """Bytes below which no code for single symbols brings a tensor's indices and gaps.

    The codebook is counted as it is, the tables not at all.
    """
    if not isinstance(tensor, Shared):
        return float(tensor.nbytes)
    flat = tensor.indices.ravel()
    places = np.flatnonzero(flat != ZERO)
    if not len(places):
        return float(tensor.codebook.nbytes)
    symbols = [np.bincount(flat[places])]
    if len(places) < flat.size:
        symbols.append(np.bincount(np.diff(places, prepend=-1) - 1))
    bits = sum(huffman.entropy(counts) for counts in symbols)
    return tensor.codebook.nbytes + len(places) * bits / 8


def require_same(written: Mapping[str, Tensor], found: Packed, name: str) -> None:
    """Check that a file gave back every bit.

    Raises:
        PipelineError: a tensor differs.
    """
    wanted = Packed(dict(written), b"").arrays()
    got = found.arrays()
    for key, array in wanted.items():
        if key not in got or got[key].shape != array.shape or got[key].tobytes() != array.tobytes():
            raise PipelineError(f"{name} does not give back {key}: run 12_small_files again")


def _limited(gaps: np.ndarray, limit: int) -> np.ndarray:
    """Gaps as symbols from 0 to `limit`, which stands for as many zeros without a weight."""
    times, left = np.divmod(gaps, limit)
    symbols = np.full(int(times.sum()) + len(gaps), limit, np.int64)
    symbols[np.cumsum(times + 1) - 1] = left
    return symbols


def _coded(symbols: np.ndarray) -> bytes:
    """A Huffman table and the symbols' codes."""
    lengths = huffman.code_lengths(np.bincount(symbols))
    places = np.arange(LENGTH_BITS)[::-1]
    table = (lengths[:, None] >> places & 1).astype(np.uint8)
    codes = huffman.encode(symbols, lengths)
    return _number(len(lengths)) + np.packbits(table).tobytes() + np.packbits(codes).tobytes()


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _floats(values: np.ndarray) -> bytes:
    if values.dtype != np.float32:
        raise PipelineError(f"a packed file holds float32 and was given {values.dtype}: convert it")
    return values.astype("<f4").tobytes()


# --- reading --------------------------------------------------------------------------


def unpack(content: bytes, name: str = "the file") -> Packed:
    """What the bytes of a file hold.

    Args:
        name: of the file, for messages.

    Raises:
        PipelineError: they are cut, altered, of another version, or something else.
    """
    if content[: len(MAGIC)] != MAGIC[: len(content)] or not content:
        raise PipelineError(f"{name} is no packed file (it does not begin with {MAGIC.decode()})")
    if len(content) < HEADER.size:
        raise PipelineError(f"{name} is cut short, within its header: copy it again")
    _, version, length, digest = HEADER.unpack_from(content)
    if version != VERSION:
        raise PipelineError(
            f"{name} is of version {version} of the format, this program reads version {VERSION}: "
            "run 12_small_files again"
        )
    body = content[HEADER.size :]
    if len(body) != length:
        what = "cut short" if len(body) < length else "too long"
        raise PipelineError(
            f"{name} is {what}: {len(body):,} bytes follow its header, which says {length:,}; "
            "copy it again"
        )
    if hashlib.sha256(body).digest() != digest:
        raise PipelineError(f"{name} was altered, its hash does not fit: copy it again")
    try:
        return _Reader(body).packed()
    except (IndexError, ValueError, lzma.LZMAError) as error:
        raise PipelineError(
            f"{name} is whole and yet wrong ({error}): run 12_small_files again"
        ) from None


class _Reader:
    """Reads a body from its beginning.

    Every method raises IndexError where the body ends too early, and ValueError for what no writer
    of this version leaves.
    """

    def __init__(self, body: bytes):
        self._body, self._place = body, 0

    def packed(self) -> Packed:
        squeezed = self._bytes(self._number())
        graph = lzma.decompress(squeezed) if squeezed else b""
        tensors = dict(self._tensor() for _ in range(self._number()))
        if self._place != len(self._body):
            raise ValueError("bytes follow the last tensor")
        return Packed(tensors, graph)

    def _tensor(self) -> tuple[str, Tensor]:
        name = self._bytes(self._number()).decode()
        shape = tuple(self._number() for _ in range(self._number()))
        size = int(np.prod([float(n) for n in shape]))
        if size > LARGEST:
            raise ValueError(f"{name} is too large")
        kind = self._number()
        if kind == RAW:
            return name, self._floats(size).reshape(shape)
        if kind != SHARED:
            raise ValueError(f"{name} is of an unknown kind")
        codebook = self._floats(self._number())
        if not 1 <= len(codebook) <= 2**MOST_BITS:
            raise ValueError(f"{name} has a codebook of {len(codebook)} values")
        count = self._number()
        if count > size:
            raise ValueError(f"{name} has more weights than places")
        values = self._symbols(count)
        limit = self._number()
        places = np.arange(size) if limit == 0 else self._places(count, limit)
        if len(places) != count or (count and places[-1] >= size):
            raise ValueError(f"{name} has more weights than places")
        if count and max(values) >= len(codebook):
            raise ValueError(f"{name} has an index outside its codebook")
        indices = np.full(size, ZERO, np.int16)
        indices[places] = values
        return name, Shared(codebook, indices.reshape(shape))

    def _places(self, count: int, limit: int) -> np.ndarray:
        """Where the weights that are not zero stand in the flat tensor."""
        gaps, zeros = [], 0
        for symbol in self._until(count, limit):
            zeros += symbol
            if symbol < limit:
                gaps.append(zeros)
                zeros = 0
        return np.cumsum(np.asarray(gaps, np.int64) + 1) - 1

    def _symbols(self, count: int) -> list[int]:
        return self._until(count, limit=1 << 62)

    def _until(self, count: int, limit: int) -> list[int]:
        """A Huffman table, and symbols until `count` of them were below `limit`."""
        symbols = self._number()
        if symbols > max(LIMITS) + 1:
            raise ValueError(f"a table of {symbols} symbols")
        width = symbols * LENGTH_BITS
        table = self._bits(-(-width // 8))[:width]
        weights = 1 << np.arange(LENGTH_BITS)[::-1]
        decoder = huffman.Decoder(np.reshape(table, (-1, LENGTH_BITS)).astype(np.int64) @ weights)
        bits = np.unpackbits(np.frombuffer(self._body, np.uint8, offset=self._place)).tolist()
        found, place = [], 0
        while count:
            symbol, place = decoder.read(bits, place)
            found.append(symbol)
            count -= symbol < limit
        self._place += -(-place // 8)
        return found

    def _bits(self, count: int) -> np.ndarray:
        """uint8 [8 * count] of 0 and 1."""
        return np.unpackbits(np.frombuffer(self._bytes(count), np.uint8))

    def _floats(self, count: int) -> np.ndarray:
        return np.frombuffer(self._bytes(4 * count), "<f4").astype(np.float32)

    def _bytes(self, count: int) -> bytes:
        end = self._place + count
        if end > len(self._body):
            raise IndexError("it ends too early")
        part, self._place = self._body[self._place : end], end
        return part

    def _number(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            byte = self._bytes(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number that does not end")

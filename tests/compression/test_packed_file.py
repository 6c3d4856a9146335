"""A packed file gives back every bit, and says what is wrong with one that does not."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnist_rknn.compression import huffman, packed_file, sharing
from mnist_rknn.compression.sharing import ZERO, Shared
from mnist_rknn.errors import PipelineError

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)
FLOATS = arrays.arrays(np.float32, SHAPES)  # NaN and infinities too: bits are bits


@st.composite
def shared_tensors(draw) -> Shared:
    codebook = draw(arrays.arrays(np.float32, st.integers(1, 256)))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12))
    sparsity = draw(st.sampled_from((0.0, 0.3, 0.9, 0.999, 1.0)))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    indices = generator.integers(0, len(codebook), shape).astype(np.int16)
    indices[generator.random(shape) < sparsity] = ZERO
    return Shared(codebook, np.asarray(indices, np.int16))


TENSORS = st.dictionaries(st.text(max_size=20), st.one_of(FLOATS, shared_tensors()), max_size=4)


def same(first, second) -> bool:
    if isinstance(first, Shared):
        return all(same(a, b) for a, b in zip(first, second, strict=True))
    return (first.dtype, first.shape, first.tobytes()) == (
        second.dtype,
        second.shape,
        second.tobytes(),
    )


@settings(deadline=None)
@given(TENSORS, st.binary(max_size=200))
def test_what_is_packed_comes_back_bit_by_bit(tensors, graph):
    found = packed_file.unpack(packed_file.pack(tensors, graph))
    assert found.graph == graph and list(found.tensors) == list(tensors)
    assert all(same(tensors[name], found.tensors[name]) for name in tensors)


@settings(deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=60))
def test_huffman_codes_give_back_every_symbol_and_are_as_short_as_can_be(counts):
    if not sum(counts):
        counts[0] = 1
    symbols = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(0).shuffle(symbols)
    lengths = huffman.code_lengths(np.array(counts))
    bits = huffman.encode(symbols, lengths)
    decoder, place, found = huffman.Decoder(lengths), 0, []
    for _ in symbols:
        symbol, place = decoder.read(bits.tolist(), place)
        found.append(symbol)
    assert found == symbols.tolist() and place == len(bits)
    bound = huffman.entropy(np.array(counts)) * len(symbols)
    assert bound - 1e-6 <= len(bits) < bound + len(symbols) + 1e-6  # Shannon's, for any code


def test_codes_are_canonical():
    """The example of RFC 1951, section 3.2.2."""
    codes = huffman.canonical_codes(np.array([3, 3, 3, 3, 3, 2, 4, 4]))
    assert codes.tolist() == [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]


@pytest.fixture(scope="module")
def content() -> bytes:
    generator = np.random.default_rng(1)
    weights = generator.normal(size=(40, 30)).astype(np.float32)
    weights[generator.random(weights.shape) < 0.9] = 0
    tensors = {"w": sharing.share(weights, 4), "b": np.zeros(30, np.float32)}
    return packed_file.pack(tensors, b"a graph")


@settings(deadline=None)
@given(st.data())
def test_a_cut_file_says_that_it_is_cut(content, data):
    length = data.draw(st.integers(1, len(content) - 1))
    with pytest.raises(
        PipelineError, match=r"^x\.packed (is cut short.*copy it again|is no packed)"
    ):
        packed_file.unpack(content[:length], "x.packed")


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_is_found_wherever_it_is(content, data):
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    altered = bytearray(content)
    altered[place // 8] ^= 1 << place % 8
    with pytest.raises(PipelineError, match=r"^x\.packed (is|was) .*"):
        packed_file.unpack(bytes(altered), "x.packed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: b"", "is no packed file"),
        (lambda c: b"\x08\x00onnx" + c, "is no packed file"),
        (lambda c: c[:30], "is cut short, within its header: copy it again"),
        (lambda c: c[:-1], "is cut short: .* bytes follow its header, which says"),
        (lambda c: c + b"x", "is too long: "),
        (
            lambda c: c[:-1] + bytes([c[-1] ^ 1]),
            "was altered, its hash does not fit: copy it again",
        ),
        (lambda c: c[:4] + b"\x02" + c[5:], "is of version 2 .* reads version 1: run 12_small"),
    ],
)
def test_a_wrong_file_is_one_line_with_the_cure(content, change, said):
    with pytest.raises(PipelineError, match=f"x.packed {said}"):
        packed_file.unpack(change(content), "x.packed")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_a_body_with_a_true_hash_that_no_writer_left_is_one_line(body):
    """A hash is no proof of who wrote it: the reader must not run away or fall over."""
    import hashlib

    header = struct.pack("<4sBI32s", b"PKWT", 1, len(body), hashlib.sha256(body).digest())
    try:
        packed_file.unpack(header + body)
    except PipelineError as error:
        assert "whole and yet wrong" in str(error)


def test_a_missing_file_names_the_step(tmp_path):
    with pytest.raises(PipelineError, match="run 12_small_files first"):
        packed_file.read(tmp_path / "none.packed")


def test_what_is_no_float32_is_not_written(tmp_path):
    with pytest.raises(PipelineError, match="was given float64: convert it"):
        packed_file.write(tmp_path / "a.packed", {"w": np.zeros(3)})
    assert not list(tmp_path.iterdir())

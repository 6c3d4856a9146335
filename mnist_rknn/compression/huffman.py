"""Canonical Huffman codes: frequent symbols take few bits, and the table is the lengths alone.

Huffman, "A method for the construction of minimum-redundancy codes", 1952. Canonical: codes of
one length are consecutive numbers in the order of the symbols, so that a reader who knows the
lengths knows the codes (as in DEFLATE, RFC 1951, section 3.2.2).
"""

import heapq

import numpy as np


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Length of each symbol's code in bits.

    Args:
        counts: integer [S], how often each symbol occurs.

    Returns:
        int64 [S]; 0 for a symbol that does not occur. A symbol that is alone has length 1.
    """
    lengths = np.zeros(len(counts), np.int64)
    # A number breaks ties, so that the same counts give the same lengths everywhere.
    waiting = [(int(count), number, [number]) for number, count in enumerate(counts) if count]
    if len(waiting) == 1:
        lengths[waiting[0][2]] = 1
    heapq.heapify(waiting)
    while len(waiting) > 1:
        first, second = heapq.heappop(waiting), heapq.heappop(waiting)
        members = first[2] + second[2]
        lengths[members] += 1
        heapq.heappush(waiting, (first[0] + second[0], first[1], members))
    return lengths


def canonical_codes(lengths: np.ndarray) -> np.ndarray:
    """The code of each symbol, int64 [S], as a number of `lengths` bits."""
    codes = np.zeros(len(lengths), np.int64)
    code = previous = 0
    for symbol in sorted(np.flatnonzero(lengths), key=lambda number: lengths[number]):
        code <<= int(lengths[symbol]) - previous
        previous = int(lengths[symbol])
        codes[symbol] = code
        code += 1
    return codes


def encode(symbols: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The symbols' codes one after the other, uint8 [bits] of 0 and 1, each from its highest bit.

    Args:
        symbols: integer [N].
        lengths: of the codes, from `code_lengths`; every symbol in it has one.
    """
    sizes = lengths[symbols]
    ends = np.cumsum(sizes)
    code = np.repeat(canonical_codes(lengths)[symbols], sizes)
    left = np.repeat(ends, sizes) - np.arange(ends[-1] if len(ends) else 0) - 1
    return ((code >> left) & 1).astype(np.uint8)


class Decoder:
    """Reads symbols from bits, one at a time.

    Args:
        lengths: integer [S], of the codes.

    Raises:
        ValueError: no code has such lengths.
    """

    def __init__(self, lengths: np.ndarray):
        used = np.flatnonzero(lengths)
        if len(used) > 1 and sum(2.0 ** -float(lengths[symbol]) for symbol in used) != 1:
            raise ValueError("the lengths are of no code")
        codes = canonical_codes(lengths)
        self._symbols = {(int(lengths[s]), int(codes[s])): int(s) for s in used}

    def read(self, bits: list[int], place: int) -> tuple[int, int]:
        """The symbol whose code begins at `place`, and the place behind it.

        Raises:
            IndexError: the bits end within a code.
            ValueError: no code begins so.
        """
        code = 0
        for length in range(1, 64):
            code = code << 1 | bits[place + length - 1]
            symbol = self._symbols.get((length, code))
            if symbol is not None:
                return symbol, place + length
        raise ValueError("no code begins so")


def entropy(counts: np.ndarray) -> float:
    """Bits a symbol that no code for single symbols can go below (Shannon, 1948)."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # not -0.0

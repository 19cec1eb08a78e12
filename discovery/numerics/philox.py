"""Random numbers from a counter, compiled: Philox4x64-10 (Salmon et al. 2011, SC11, "Parallel random
numbers: as easy as 1, 2, 3"), and draws from them.

A block of four words is a function of a key and a counter alone, so that the stream of any replicate starts
anywhere at once and without the interpreter. Stream r of a key is what `numpy.random.Philox` gives for that
key and the counter (0, r, 0, 0).
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import IndexArray, WordArray
from axiograph.discovery.numerics.compiled import inlined, jit, jit_inner
from axiograph.discovery.numerics.lanes import high_product

ROUNDS = 10
_BLOCKS = 32  # made at once
_HALVES = 8 * _BLOCKS  # numbers of 32 bits in them
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_STEPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)  # of the key, from round to round


def key_of(seed: int) -> WordArray:
    """[2] uint64: the key that `numpy.random.Philox(SeedSequence(seed))` has."""
    return np.random.SeedSequence(seed).generate_state(2, np.uint64).astype(np.uint64)


@jit_inner
def fill(key: WordArray, stream: int, first: int, words: WordArray) -> None:
    """words [4 · blocks]: the blocks of `stream` from number `first` on; NumPy begins with number 1."""
    for block in range(len(words) // 4):
        a, b, c, d = np.uint64(first + block), np.uint64(stream), np.uint64(0), np.uint64(0)
        k0, k1 = key[0], key[1]
        for _ in range(ROUNDS):
            high0, low0 = high_product(_MULTIPLIERS[0], a), _MULTIPLIERS[0] * a
            high1, low1 = high_product(_MULTIPLIERS[1], c), _MULTIPLIERS[1] * c
            a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
            k0 += _STEPS[0]
            k1 += _STEPS[1]
        words[4 * block], words[4 * block + 1] = a, b
        words[4 * block + 2], words[4 * block + 3] = c, d


@inlined
def _below(bound: int, key: WordArray, stream: int, words: WordArray, used: IndexArray) -> int:
    """A number of 0 … bound − 1, bound ≤ 2³², each as likely as any other (Lemire 2019, ACM TOMACS 29).

    Of a word, the lower half is taken first, as NumPy does. used [2]: halves taken of `words`, blocks
    made."""
    limit = np.uint64(bound)
    while True:
        if used[0] == _HALVES:
            fill(key, stream, used[1] + 1, words)
            used[0] = 0
            used[1] += _BLOCKS
        word = words[used[0] >> 1]
        half = word >> _HALF if used[0] & 1 else word & _LOW
        used[0] += 1
        product = half * limit
        # 2³² mod bound numbers too many: they would make some outcomes more likely.
        if (product & _LOW) >= limit or (product & _LOW) >= (_LOW + np.uint64(1)) % limit:
            return np.int64(product >> _HALF)  # type: ignore[return-value]


@jit
def draw_distinct(key: WordArray, streams: IndexArray, units: int, drawn: IndexArray) -> None:
    """drawn [R, k]: k different numbers below `units`, from stream streams[r], by a shuffle cut short."""
    order = np.empty(units, np.int64)
    words, used = np.empty(4 * _BLOCKS, np.uint64), np.empty(2, np.int64)
    for r in range(len(streams)):
        used[0], used[1] = _HALVES, 0
        for i in range(units):
            order[i] = i
        for i in range(drawn.shape[1]):
            j = i + _below(units - i, key, streams[r], words, used)
            drawn[r, i] = order[j]
            order[j] = order[i]


@jit
def draw_any(key: WordArray, streams: IndexArray, units: int, drawn: IndexArray) -> None:
    """drawn [R, k]: k numbers below `units`, each drawn anew, from stream streams[r]."""
    words, used = np.empty(4 * _BLOCKS, np.uint64), np.empty(2, np.int64)
    for r in range(len(streams)):
        used[0], used[1] = _HALVES, 0
        for i in range(drawn.shape[1]):
            drawn[r, i] = _below(units, key, streams[r], words, used)

"""Attention of prompts on the CPU, in float32: blocks of queries over keys that they have in common.

Four queries at a time: a key and a value that are read once then serve all four, and their sums stay in
registers. PyTorch's kernel hands products of this size to a library that reaches a third of their rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from axiograph.engine.kernels.compiled import cache_folder, compiled, memory_of
from axiograph.engine.kernels.hidden import HIDDEN
from axiograph.engine.kernels.vectors import (
    LANES,
    added,
    exponential,
    larger,
    largest,
    load,
    multiplied,
    multiplied_added,
    repeated,
    spread,
    store,
    summed,
    within,
    zeros,
)
from axiograph.engine.workers.machine import in_threads

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
_CACHE = cache_folder(Path(__file__).parent, ("compiled", "vectors", "attention"))
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_NOTHING = np.float32(HIDDEN)
_UNSEEN = np.float32(-np.inf)
# So many queries together, scored for so many keys at a time.
_BLOCK, _COLUMNS = 4, 2 * LANES
# Fewer queries are not worth writing their keys the other way round.
_FEW = 8
_FEW_PER_THREAD = 64
_MANY_READS = 4


@dataclass(frozen=True)
class Reads:
    """What the queries of a pass read. Read r: the keys `first[r]` … `first[r]` + `n[r]` − 1 of `slot[r]`,
    by the queries `start[r]` … `end[r]` − 1; query i is token `tokens[i]` of the pass and sees the keys
    `lo[i]` … `hi[i]` − 1 of those. All int64."""

    slot: Indices
    first: Indices
    n: Indices
    start: Indices
    end: Indices
    tokens: Indices
    lo: Indices
    hi: Indices


def read(
    q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, reads: Reads, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the queries `q` [tokens, heads, size] read of `keys` and `values` [slots, key-value heads, tokens,
    size]: [tokens, heads, size], and the logarithm of the sum of the exponential scores [tokens, heads]. All
    float32 on the CPU, the last dimension contiguous, its size a multiple of sixteen. Who sees no key has 0
    and HIDDEN."""
    tokens, heads, size = q.shape
    groups = heads // keys.shape[1]
    out, tops, totals = (q.new_empty(shape) for shape in (q.shape, q.shape[:2], q.shape[:2]))
    if len(reads.tokens) < tokens:
        for result, nothing in ((out, 0.0), (tops, HIDDEN), (totals, 1.0)):
            result.fill_(nothing)
    arrays: list[Any] = [
        part for t in (q, keys, values) for part in (memory_of(t), np.array(t.stride()[:-1]))
    ]
    results = [memory_of(t) for t in (out, tops, totals)]

    def part(i: int, threads: int) -> None:
        whose: list[Any] = [*_share(reads, i, threads), reads.tokens, reads.lo, reads.hi]
        _attend(*arrays, *whose, groups, keys.shape[1], np.float32(scale), *results, size)  # type: ignore[call-arg]

    in_threads(part, tokens * heads // _FEW_PER_THREAD)
    return out, tops.add_(totals.log_())


def _share(reads: Reads, i: int, threads: int) -> list[Indices]:
    """What thread i does: slot, first, n, start and end. Some of many reads, or of few ones a part each."""
    columns = [reads.slot, reads.first, reads.n, reads.start, reads.end]
    if len(reads.n) >= _MANY_READS * threads:
        return [np.ascontiguousarray(column[i::threads]) for column in columns]
    lengths = reads.end - reads.start
    cuts = (reads.start + lengths * k // threads for k in (i, i + 1))
    return [*columns[:3], *cuts]


def _attend(
    q: Floats,
    q_strides: Indices,
    keys: Floats,
    key_strides: Indices,
    values: Floats,
    value_strides: Indices,
    slot: Indices,
    first: Indices,
    n: Indices,
    start: Indices,
    end: Indices,
    tokens: Indices,
    lo: Indices,
    hi: Indices,
    groups: int,
    key_heads: int,
    scale: np.float32,
    out: Floats,
    tops: Floats,
    totals: Floats,
    size: int,
) -> None:
    width = (n.max() + _COLUMNS - 1) // _COLUMNS * _COLUMNS
    turned = np.empty(size * width, np.float32)
    scores = np.empty(_BLOCK * width, np.float32)
    # Of the queries of a block: where each lies in q and in the results, which keys it sees, and 1 / its sum.
    at, to = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    sees, ends = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    shares = np.empty(_BLOCK, np.float32)
    for r in range(len(n)):
        queries = (end[r] - start[r]) * groups
        if queries == 0:
            continue
        together = _BLOCK if queries >= _FEW else 1
        for head in range(key_heads):
            key = slot[r] * key_strides[0] + head * key_strides[1] + first[r] * key_strides[2]
            value = slot[r] * value_strides[0] + head * value_strides[1] + first[r] * value_strides[2]
            if together > 1:
                _turn(keys, key, key_strides[2], n[r], turned, width, size)
            query, query_head, end_head = start[r], head * groups, (head + 1) * groups
            for block in range(0, queries, together):
                least, most = n[r], 0
                for i in range(together):
                    at[i] = tokens[query] * q_strides[0] + query_head * q_strides[1]
                    to[i] = tokens[query] * groups * key_heads + query_head
                    sees[i], ends[i] = lo[query], hi[query]
                    least, most = min(least, lo[query]), max(most, hi[query])
                    # The last block repeats its last query.
                    if block + i < queries - 1:
                        query_head += 1
                        if query_head == end_head:
                            query, query_head = query + 1, query_head - groups
                if together > 1:
                    _score_four(q, at, turned, width, least, most, scores, size)
                else:
                    _score_one(q, at[0], keys, key, key_strides[2], least, most, scores, size)
                for i in range(together):
                    if sees[i] < ends[i]:
                        top, total = soften(scores, i * width, least, most, sees[i], ends[i], scale)
                        tops[to[i]], totals[to[i]], shares[i] = top, total, _ONE / total
                    else:
                        _fill(scores, i * width + least, i * width + most, _ZERO)
                        tops[to[i]], totals[to[i]], shares[i] = _NOTHING, _ONE, _ZERO
                _weigh(
                    together,
                    scores,
                    width,
                    least,
                    most,
                    values,
                    value,
                    value_strides[2],
                    shares,
                    out,
                    to,
                    size,
                )


def _turn(keys: Floats, at: int, stride: int, n: int, turned: Floats, width: int, size: int) -> None:
    """The `n` keys from `at` on, written the other way round: [size, width]; the last columns are zero."""
    whole = (n + _COLUMNS - 1) // _COLUMNS * _COLUMNS
    for d in range(size):
        for t in range(n):
            turned[np.uint64(d * width + t)] = keys[np.uint64(at + t * stride + d)]
        for t in range(n, whole):
            turned[np.uint64(d * width + t)] = _ZERO


def _score_four(
    q: Floats, at: Indices, turned: Floats, width: int, least: int, most: int, scores: Floats, size: int
) -> None:
    """Scores of four queries for the keys `least` … `most` − 1, and for some beside them."""
    q0, q1, q2, q3 = at[0], at[1], at[2], at[3]
    for column in range(least // _COLUMNS * _COLUMNS, most, _COLUMNS):
        a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = zeros()
        for d in range(size):
            x = load(turned, d * width + column)
            y = load(turned, d * width + column + LANES)
            factor = spread(q, q0 + d)
            a0, a1 = multiplied_added(factor, x, a0), multiplied_added(factor, y, a1)
            factor = spread(q, q1 + d)
            b0, b1 = multiplied_added(factor, x, b0), multiplied_added(factor, y, b1)
            factor = spread(q, q2 + d)
            c0, c1 = multiplied_added(factor, x, c0), multiplied_added(factor, y, c1)
            factor = spread(q, q3 + d)
            d0, d1 = multiplied_added(factor, x, d0), multiplied_added(factor, y, d1)
        store(scores, column, a0)
        store(scores, column + LANES, a1)
        store(scores, width + column, b0)
        store(scores, width + column + LANES, b1)
        store(scores, 2 * width + column, c0)
        store(scores, 2 * width + column + LANES, c1)
        store(scores, 3 * width + column, d0)
        store(scores, 3 * width + column + LANES, d1)


def _score_one(
    q: Floats, at: int, keys: Floats, key: int, stride: int, least: int, most: int, scores: Floats, size: int
) -> None:
    """Scores of one query. Four keys at a time: each part of it is read once for four."""
    t = least
    while t + 4 <= most:
        a = b = c = e = zeros()
        index = key + t * stride
        for d in range(0, size, LANES):
            x = load(q, at + d)
            a = multiplied_added(x, load(keys, index + d), a)
            b = multiplied_added(x, load(keys, index + stride + d), b)
            c = multiplied_added(x, load(keys, index + 2 * stride + d), c)
            e = multiplied_added(x, load(keys, index + 3 * stride + d), e)
        scores[t] = summed(a)
        scores[t + 1] = summed(b)
        scores[t + 2] = summed(c)
        scores[t + 3] = summed(e)
        t += 4
    while t < most:
        a = zeros()
        for d in range(0, size, LANES):
            a = multiplied_added(load(q, at + d), load(keys, key + t * stride + d), a)
        scores[t] = summed(a)
        t += 1


def soften(
    scores: Floats, at: int, least: int, most: int, lo: int, hi: int, scale: np.float32
) -> tuple[np.float32, np.float32]:
    """Scores become e ** (score · scale − the largest), or 0 where the query, which sees `lo` … `hi` − 1,
    does not see; returns the largest, and the sum of the exponentials."""
    # Whole registers; their room is there, since rows are a multiple of it wide.
    first = least // LANES * LANES
    factor = repeated(scale)
    tops = repeated(_UNSEEN)
    for t in range(first, most, LANES):
        scaled = multiplied(load(scores, at + t), factor)
        if t < lo or t + LANES > hi:
            scaled = within(scaled, t, lo, hi, _UNSEEN)
        store(scores, at + t, scaled)
        tops = larger(tops, scaled)
    top = largest(tops)
    less = repeated(-top)
    sums = zeros()
    for t in range(first, most, LANES):
        powers = exponential(added(load(scores, at + t), less))
        store(scores, at + t, powers)
        sums = added(sums, powers)
    total = summed(sums)
    return top, total


def _fill(numbers: Floats, lo: int, hi: int, number: np.float32) -> None:
    for t in range(lo, hi):
        numbers[np.uint64(t)] = number


def _weigh(
    together: int,
    weights: Floats,
    width: int,
    least: int,
    most: int,
    values: Floats,
    value: int,
    stride: int,
    shares: Floats,
    out: Floats,
    to: Indices,
    size: int,
) -> None:
    """What the queries of a block read: sums of the values, each times its weight and the query's share."""
    d = 0
    while together == _BLOCK and d + 2 * LANES <= size:
        a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = zeros()
        for t in range(least, most):
            x, y = load(values, value + t * stride + d), load(values, value + t * stride + d + LANES)
            factor = spread(weights, t)
            a0, a1 = multiplied_added(factor, x, a0), multiplied_added(factor, y, a1)
            factor = spread(weights, width + t)
            b0, b1 = multiplied_added(factor, x, b0), multiplied_added(factor, y, b1)
            factor = spread(weights, 2 * width + t)
            c0, c1 = multiplied_added(factor, x, c0), multiplied_added(factor, y, c1)
            factor = spread(weights, 3 * width + t)
            d0, d1 = multiplied_added(factor, x, d0), multiplied_added(factor, y, d1)
        factor = spread(shares, 0)
        store(out, to[0] * size + d, multiplied(factor, a0))
        store(out, to[0] * size + d + LANES, multiplied(factor, a1))
        factor = spread(shares, 1)
        store(out, to[1] * size + d, multiplied(factor, b0))
        store(out, to[1] * size + d + LANES, multiplied(factor, b1))
        factor = spread(shares, 2)
        store(out, to[2] * size + d, multiplied(factor, c0))
        store(out, to[2] * size + d + LANES, multiplied(factor, c1))
        factor = spread(shares, 3)
        store(out, to[3] * size + d, multiplied(factor, d0))
        store(out, to[3] * size + d + LANES, multiplied(factor, d1))
        d += 2 * LANES
    while d < size:
        for i in range(together):
            _weigh_part(
                weights, i * width, least, most, values, value + d, stride, shares, i, out, to[i] * size + d
            )
        d += LANES


def _weigh_part(
    weights: Floats,
    at: int,
    least: int,
    most: int,
    values: Floats,
    value: int,
    stride: int,
    shares: Floats,
    share: int,
    out: Floats,
    to: int,
) -> None:
    """One register of what one query reads. Four sums, so that none waits for another."""
    a = b = c = e = zeros()
    t = least
    while t + 4 <= most:
        index = value + t * stride
        a = multiplied_added(spread(weights, at + t), load(values, index), a)
        b = multiplied_added(spread(weights, at + t + 1), load(values, index + stride), b)
        c = multiplied_added(spread(weights, at + t + 2), load(values, index + 2 * stride), c)
        e = multiplied_added(spread(weights, at + t + 3), load(values, index + 3 * stride), e)
        t += 4
    while t < most:
        a = multiplied_added(spread(weights, at + t), load(values, value + t * stride), a)
        t += 1
    factor = spread(shares, share)
    store(out, to, multiplied(factor, added(added(a, b), added(c, e))))


# Without counting references to their arguments, which is atomic and costs more than these loops do.
_turn = compiled(_turn, _CACHE, _nrt=False)
_score_four = compiled(_score_four, _CACHE, _nrt=False)
_score_one = compiled(_score_one, _CACHE, _nrt=False)
_fill = compiled(_fill, _CACHE, _nrt=False)
soften = compiled(soften, _CACHE, _nrt=False)
_weigh_part = compiled(_weigh_part, _CACHE, _nrt=False)
_weigh = compiled(_weigh, _CACHE, _nrt=False)
_attend = compiled(_attend, _CACHE)

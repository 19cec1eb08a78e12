"""Attention of a step on the CPU, in float32: one new token of every row over the row's own tokens.

PyTorch's kernel is made for many queries: with one it takes more than twice as long as this one, which reads
each key and value once, and of each row only what it holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from axiograph.engine.kernels.attention import soften
from axiograph.engine.kernels.compiled import cache_folder, compiled
from axiograph.engine.kernels.vectors import LANES
from axiograph.engine.workers.machine import in_threads

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
# Sums may be taken in any order, which lets them be taken sixteen at a time. Numbers that are none stay none.
_OPTIONS: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}}
_CACHE = cache_folder(Path(__file__).parent, ("compiled", "vectors", "attention", "steps"))
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
FEW_ROWS = 16  # fewer are not worth another thread


def read_own(
    q: torch.Tensor,
    new: tuple[torch.Tensor, torch.Tensor],
    held: tuple[torch.Tensor, torch.Tensor],
    lengths: Indices,
    first: Indices,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the rows' new tokens read of their own rows: [n, heads, size], and the logarithm of the sum of the
    exponential scores [n, heads].

    `q` [n, heads, size]; `new`: key and value [n, key-value heads, size] of the new tokens, which become
    token `lengths[i]` of slot i of `held` [slots, key-value heads, width, size]; row i sees its tokens from
    `first[i]` to that one. All float32 on the CPU, `held` contiguous."""
    n, heads, size = q.shape
    out, lse = q.new_empty(q.shape), q.new_empty(n, heads)
    arrays = [t.contiguous().numpy() for t in (q, *new)]
    stored = [t.numpy() for t in held]
    results = [out.numpy(), lse.numpy()]

    def part(i: int, threads: int) -> None:
        lo, hi = n * i // threads, n * (i + 1) // threads
        rows: list[Any] = [array[lo:hi] for array in (*arrays, *stored, lengths, first)]
        outputs: list[Any] = [array[lo:hi] for array in results]
        _attend(*rows, np.float32(scale), *outputs, (0,) * size)  # type: ignore[call-arg]

    in_threads(part, n // FEW_ROWS)
    return out, lse


def _attend(
    q: Floats,
    new_keys: Floats,
    new_values: Floats,
    keys: Floats,
    values: Floats,
    lengths: Indices,
    first: Indices,
    scale: np.float32,
    out: Floats,
    lse: Floats,
    size: tuple[int, ...],
) -> None:
    """`size`: a tuple as long as a head, since the length of a tuple is known when this is compiled."""
    groups = q.shape[1] // keys.shape[1]
    scores = np.empty((keys.shape[2] + LANES - 1) // LANES * LANES, np.float32)
    for i in range(len(q)):
        for kv in range(keys.shape[1]):
            _put(new_keys[i, kv], keys[i, kv, lengths[i]], size)
            _put(new_values[i, kv], values[i, kv, lengths[i]], size)
            seen, read = keys[i, kv, first[i] : lengths[i] + 1], values[i, kv, first[i] : lengths[i] + 1]
            for head in range(kv * groups, (kv + 1) * groups):
                _score(q[i, head], seen, scores, size)
                top, total = soften(scores, 0, 0, len(seen), 0, len(seen), scale)
                lse[i, head] = top + np.log(total)
                _weigh(scores, read, _ONE / total, out[i, head], size)


def _put(source: Floats, target: Floats, size: tuple[int, ...]) -> None:
    for d in range(len(size)):
        target[d] = source[d]


def _score(q: Floats, keys: Floats, scores: Floats, size: tuple[int, ...]) -> None:
    """Scores of one query. Four at a time: each entry of it is read once for four."""
    n = len(keys)
    whole = n // 4 * 4
    for t in range(0, whole, 4):
        a = b = c = e = _ZERO
        for d in range(len(size)):
            x = q[d]
            a += x * keys[t, d]
            b += x * keys[t + 1, d]
            c += x * keys[t + 2, d]
            e += x * keys[t + 3, d]
        scores[t] = a
        scores[t + 1] = b
        scores[t + 2] = c
        scores[t + 3] = e
    for t in range(whole, n):
        a = _ZERO
        for d in range(len(size)):
            a += q[d] * keys[t, d]
        scores[t] = a


def _weigh(weights: Floats, values: Floats, share: np.float32, out: Floats, size: tuple[int, ...]) -> None:
    """The sum of `values`, each times its weight and `share`; `out` is written once for eight of them."""
    n = len(values)
    whole = n // 8 * 8
    for d in range(len(size)):
        out[d] = _ZERO
    for t in range(0, whole, 8):
        w0, w1, w2, w3 = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
        w4, w5, w6, w7 = weights[t + 4], weights[t + 5], weights[t + 6], weights[t + 7]
        for d in range(len(size)):
            a = (w0 * values[t, d] + w1 * values[t + 1, d]) + (w2 * values[t + 2, d] + w3 * values[t + 3, d])
            b = (w4 * values[t + 4, d] + w5 * values[t + 5, d]) + (
                w6 * values[t + 6, d] + w7 * values[t + 7, d]
            )
            out[d] += a + b
    for t in range(whole, n):
        for d in range(len(size)):
            out[d] += weights[t] * values[t, d]
    for d in range(len(size)):
        out[d] *= share


# Without counting references to their arguments, which is atomic and costs more than these loops do.
_put = compiled(_put, _CACHE, _nrt=False, **_OPTIONS)
_score = compiled(_score, _CACHE, _nrt=False, **_OPTIONS)
_weigh = compiled(_weigh, _CACHE, _nrt=False, **_OPTIONS)
_attend = compiled(_attend, _CACHE, **_OPTIONS)

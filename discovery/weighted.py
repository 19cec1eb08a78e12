"""Replicates from weights, compiled: weighted correlations and PC, many replicates a call.

A replicate that is not beyond doubt is left to the caller, who copies its rows and runs `pc`: where a column
barely varies, columns may be collinear, or a test is too near the threshold or ill-conditioned. What is
done here therefore equals `pc` on the copied rows, although the correlations differ in the last bits.
"""

from __future__ import annotations

import numpy as np

from discovery.compiled import BoolArray, ByteArray, FloatArray, IndexArray, jit, summing
from discovery.fisher import bounds
from discovery.knowledge import no_knowledge
from discovery.orientation import orient
from discovery.skeleton import ABSENT, ADJACENT, DONE, LEAVING, search

MAX_COLUMNS = 64  # above it, the time of a replicate is that of PC, and copying rows costs nothing
_MIN_VARIANCE = 1e-4  # of a column in a replicate, as a share of that in all rows
_MAX_OFFSET = 1e4  # largest |score| in standard deviations of its column
_MAX_CORRELATION = 1 - 1e-9
_MAX_TRACE = 1e10  # of the inverse correlations: 1 / it bounds the smallest eigenvalue from below


def standardised(data: FloatArray) -> FloatArray | None:
    """[n_columns + 1, n_rows] scores in standard deviations from the mean of each column, and a row of ones.

    None where replicates should copy rows: many columns, or one that is constant or far from 0."""
    rows, columns = data.shape
    deviation = data.std(axis=0)
    if columns > MAX_COLUMNS or np.any(np.abs(data).max(axis=0) > _MAX_OFFSET * deviation):
        return None
    z = np.ones((columns + 1, rows))
    z[:columns] = ((data - data.mean(axis=0)) / deviation).T
    return z


def graphs(
    z: FloatArray,
    drawn: IndexArray,
    alpha: float,
    marks: ByteArray,
    known: tuple[ByteArray, ByteArray, ByteArray] | None = None,
) -> BoolArray:
    """PC on the rows drawn[r] for each r: fills marks[r] [n, n] for n columns; true where that is settled.

    `known`: the matrices of discovery.knowledge, where there is background knowledge."""
    n = marks.shape[1]
    apart, banned, given = no_knowledge(n) if known is None else known
    start = np.where(apart == 1, LEAVING, ADJACENT).astype(np.uint8)
    np.fill_diagonal(start, ABSENT)
    done = np.zeros(len(drawn), dtype=bool)
    lower, upper = bounds(alpha, drawn.shape[1], n)
    _graphs(z, drawn, lower, upper, start, banned, given, marks, done)
    return done


@jit
def _graphs(
    z: FloatArray,
    drawn: IndexArray,
    lower: FloatArray,
    upper: FloatArray,
    start: ByteArray,
    banned: ByteArray,
    given: ByteArray,
    marks: ByteArray,
    done: BoolArray,
) -> None:
    n = marks.shape[1]
    weights = np.empty(z.shape[1])
    weighted = np.empty(z.shape[1])
    gram = np.empty((n, n + 1))
    corr = np.empty((n, n))
    adjacent = np.empty((n, n), np.uint8)
    sepset = np.empty((n, n, (n + 63) // 64), np.uint64)
    no_room = np.empty((0, n), np.int32)
    position = np.empty(4, np.int64)
    for r in range(len(drawn)):
        weights[:] = 0.0
        for row in drawn[r]:
            weights[row] += 1.0
        _gram(z, weights, weighted, gram)
        if not _correlate(gram, drawn.shape[1], corr) or not _of_full_rank(corr, drawn.shape[1]):
            continue
        adjacent[:] = start
        sepset[:] = 0
        position[:] = 0
        if search(corr, lower, upper, adjacent, sepset, no_room, position) == DONE:
            orient(adjacent, sepset, banned, given, marks[r])
            done[r] = True


@summing
def _gram(z: FloatArray, weights: FloatArray, weighted: FloatArray, gram: FloatArray) -> None:
    """gram[i, j] = Σ weights · z_i · z_j for i ≤ j ≤ n; `weighted` is room for a row."""
    n, rows = len(gram), len(weights)
    for i in range(n):
        for row in range(rows):
            weighted[row] = weights[row] * z[i, row]
        for j in range(i, n + 1):
            total = 0.0
            for row in range(rows):
                total += weighted[row] * z[j, row]
            gram[i, j] = total


@jit
def _correlate(gram: FloatArray, rows: int, corr: FloatArray) -> bool:
    """Correlations from the Gram matrix, whose column n holds the sums; false where they are not safe."""
    n = len(gram)
    scale = np.empty(n)
    for i in range(n):
        variance = gram[i, i] - gram[i, n] * gram[i, n] / rows
        if not variance > _MIN_VARIANCE * rows:
            return False
        scale[i] = 1 / np.sqrt(variance)
    for i in range(n):
        corr[i, i] = 1.0
        for j in range(i + 1, n):
            value = (gram[i, j] - gram[i, n] * gram[j, n] / rows) * scale[i] * scale[j]
            if not abs(value) < _MAX_CORRELATION:
                return False
            corr[i, j] = value
            corr[j, i] = value
    return True


@jit
def _of_full_rank(corr: FloatArray, rows: int) -> bool:
    """Whether corr is clearly not singular, which is asked only where rows outnumber columns (pc.py)."""
    n = len(corr)
    if rows <= n:
        return True
    root = np.zeros((n, n))  # lower triangular, then inverted in place
    for j in range(n):
        for i in range(j, n):
            value = corr[i, j]
            for k in range(j):
                value -= root[i, k] * root[j, k]
            if i == j:
                if not value > 1 / _MAX_TRACE:
                    return False
                root[j, j] = np.sqrt(value)
            else:
                root[i, j] = value / root[j, j]
    return _trace_of_inverse(root) < _MAX_TRACE


@jit
def _trace_of_inverse(root: FloatArray) -> float:
    """trace((L Lᵀ)⁻¹) = the sum of squares of L⁻¹."""
    n = len(root)
    inverse = np.zeros((n, n))
    total = 0.0
    for j in range(n):
        inverse[j, j] = 1 / root[j, j]
        total += inverse[j, j] ** 2
        for i in range(j + 1, n):
            value = 0.0
            for k in range(j, i):
                value += root[i, k] * inverse[k, j]
            inverse[i, j] = -value / root[i, i]
            total += inverse[i, j] ** 2
    return total

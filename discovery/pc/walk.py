"""All conditioning sets of one size among the neighbours of one node, compiled: the inner loop of PC.

The sets S are walked depth first. A step puts one neighbour into S by a Schur complement (a rank-one update
of the covariances between the neighbours), so that a leaf holds what the tests of x against every y given S
need: with a = cov(x, y | S), d = var(y | S) and e = var(x | S), the squared partial correlation is
a² / (d e), and no inverse, logarithm or distribution function is needed to compare it with a threshold.

A test is left pending, for the caller to decide as causal-learn does, where a² / (d e) is too near the
threshold, or where the determinant of the correlations of x, y and S is below `MIN_DETERMINANT`. For k
columns their condition number is at most e · k / determinant (Euler's e), so that every ill-conditioned
test is among these. Within a depth no test depends on another, so they can be decided in any order.
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import EntryArray, FloatArray, IndexArray, NodeArray, WordArray
from axiograph.discovery.numerics.compiled import inlined, jit_inner
from axiograph.discovery.numerics.lanes import LANES, WORD, condition_lanes, subtract_lanes, test_lanes

MIN_DETERMINANT = 1e-7
_ONE = np.uint64(1)


@inlined
def _blocks(size: int) -> int:
    return (size + LANES - 1) // LANES


@inlined
def words_of(size: int) -> int:
    """Words with a bit for each of `size` neighbours."""
    return (size + WORD - 1) // WORD


@inlined
def gather(
    corr: FloatArray,
    x: int,
    nodes: NodeArray,
    size: int,
    cov: FloatArray,
    moments: FloatArray,
    free: WordArray,
) -> None:
    """The state of level 0, where S is empty; see `walk`."""
    padded = _blocks(size) * LANES
    for i in range(size):
        for j in range(size):
            cov[0, i, j] = corr[nodes[i], nodes[j]]
        for j in range(size, padded):
            cov[0, i, j] = 0.0
        moments[0, 0, i] = corr[x, nodes[i]]
        moments[1, 0, i] = 1.0
    for j in range(size, padded):
        moments[0, 0, j] = 0.0
        moments[1, 0, j] = 0.0
    for word in range(words_of(size)):
        left = size - word * WORD
        free[0, word] = ~np.uint64(0) if left >= WORD else (_ONE << np.uint64(left)) - _ONE


@inlined
def _condition(
    s: int, level: int, cov: FloatArray, moments: FloatArray, var: FloatArray, free: WordArray, size: int
) -> None:
    """Fill level + 1: the state of `level`, given neighbour s as well."""
    blocks = _blocks(size)
    depth, width = moments.shape[1], moments.shape[2]
    plane = cov.shape[1] * cov.shape[2]
    inverse = 1.0 / moments[1, level, s]
    slope = moments[0, level, s] * inverse
    var[0, level + 1] = var[0, level] - slope * moments[0, level, s]
    var[1, level + 1] = var[1, level] * inverse if moments[1, level, s] > 0 else np.inf
    row_of_s = level * plane + s * width
    with_x, variance = level * width, (depth + level) * width
    condition_lanes(
        moments, with_x, variance, with_x + width, variance + width, cov, row_of_s, blocks, slope, inverse
    )
    for word in range(words_of(size)):
        free[level + 1, word] = free[level, word]
    free[level + 1, s // WORD] &= ~(_ONE << np.uint64(s % WORD))
    if level + 1 < len(cov):
        for r in range(s + 1, size):
            row = level * plane + r * width
            subtract_lanes(cov, row + plane, row, row_of_s, blocks, cov[level, s, r] * inverse)


@inlined
def _leaves(
    x: int,
    size: int,
    nodes: NodeArray,
    chosen: IndexArray,
    first: int,
    cov: FloatArray,
    moments: FloatArray,
    var: FloatArray,
    free: WordArray,
    separated: WordArray,
    bounds: tuple[float, float],
    pending: EntryArray,
    position: IndexArray,
) -> bool:
    """Put each neighbour from `first` on into S, after the prefix, and test; false if `pending` is full."""
    depth, words, blocks = len(chosen), words_of(size), _blocks(size)
    last = depth - 1
    level, previous = max(0, last - 1), first - 1
    width = moments.shape[2]
    plane = level * cov.shape[1] * width
    with_x, variance = last * width, (depth + last) * width
    # cov is not kept at the last level: a row given `previous` is made from the one before where it is read.
    base = plane + previous * width if last > 0 else plane
    shrink = 1.0 / moments[1, level, previous] if last > 0 else 0.0
    for s in range(first, size):
        inverse = 1.0 / moments[1, last, s]
        slope = moments[0, last, s] * inverse
        e = var[0, last] - slope * moments[0, last, s]
        least = var[1, last] * inverse if moments[1, last, s] > 0 else np.inf
        factor = cov[level, previous, s] * shrink if last > 0 else 0.0
        low, high = bounds[0] * e, bounds[1] * e
        for word in range(words):
            at = word * WORD
            hits, clear = test_lanes(
                cov, plane + s * width + at, base + at, moments, with_x + at, variance + at,
                min(blocks - word * LANES, LANES), factor, slope, inverse, e, least, low, high,
            )  # fmt: skip
            others = free[last, word]
            if word == s // WORD:
                others &= ~(_ONE << np.uint64(s % WORD))
            hits &= others
            separated[depth + s, word] |= hits
            separated[last, word] |= hits
            if others & ~clear:
                chosen[last] = s
                if not _postpone(x, nodes, chosen, others & ~clear, at, pending, position):
                    return False
    position[3] += (size - first) * (size - depth)
    return True


@jit_inner
def _postpone(
    x: int,
    nodes: NodeArray,
    chosen: IndexArray,
    unclear: int,
    start: int,
    pending: EntryArray,
    position: IndexArray,
) -> bool:
    """Put the tests of x against neighbours start + bit given `chosen` into `pending`; false if it is
    full."""
    for bit in range(WORD):
        if not (unclear >> np.uint64(bit)) & _ONE:
            continue
        if position[2] == len(pending):
            return False
        pending[position[2], 0] = x
        pending[position[2], 1] = nodes[start + bit]
        for k in range(len(chosen)):
            pending[position[2], 2 + k] = nodes[chosen[k]]
        position[2] += 1
    return True


@inlined
def walk(
    x: int,
    size: int,
    nodes: NodeArray,
    chosen: IndexArray,
    cov: FloatArray,
    moments: FloatArray,
    var: FloatArray,
    free: WordArray,
    separated: WordArray,
    bounds: tuple[float, float],
    pending: EntryArray,
    position: IndexArray,
) -> bool:
    """All S of `depth` nodes in ascending order; false where `pending` is too small.

    Level l is the state given the first l of S: cov[l, r, :] for neighbours r above the last of them (not
    kept at the last level, where each row is needed once), moments[0, l] the covariances with x,
    moments[1, l] the variances, var[0, l] that of x, var[1, l] the least determinant still to be had, free[l]
    a bit for each neighbour that is not in S. separated[l]: separated below the prefix of level l,
    separated[depth + s]: with s in S, a bit for each neighbour."""
    depth, words = len(chosen), words_of(size)
    chosen[0], var[0, 0], var[1, 0] = -1, 1.0, MIN_DETERMINANT
    last = depth - 1
    level = 0
    while level >= 0:
        if level == last:
            first = chosen[last - 1] + 1 if last > 0 else 0
            if not _leaves(
                x, size, nodes, chosen, first, cov, moments, var, free, separated, bounds, pending, position
            ):
                return False
        else:
            chosen[level] += 1
            s = chosen[level]
            if s <= size - (depth - level):
                _condition(s, level, cov, moments, var, free, size)
                for word in range(words):
                    separated[level + 1, word] = 0
                chosen[level + 1] = s
                level += 1
                continue
        level -= 1
        if level >= 0:
            s = depth + chosen[level]
            for word in range(words):
                below = separated[level + 1, word]
                separated[s, word] |= below
                separated[level, word] |= below
    return True

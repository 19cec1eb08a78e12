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

from discovery.compiled import (
    BYTES2,
    ENTRIES2,
    FLOATS2,
    FLOATS3,
    INT,
    INTS,
    PAIR,
    WORDS2,
    ByteArray,
    EntryArray,
    FloatArray,
    IndexArray,
    WordArray,
    inlined,
    jit_first,
    jit_inner,
)

MIN_DETERMINANT = 1e-7
LANES = 8  # doubles in a vector register; rows are padded to a multiple of it
_EXCLUDED = 1e150  # in place of the covariance with a member of S: such a test can come out no way


@inlined
def _padded(size: int) -> int:
    return (size + LANES - 1) // LANES * LANES


@jit_inner
def gather(corr: FloatArray, x: int, nodes: IndexArray, size: int, cov: FloatArray, own: FloatArray) -> None:
    """The state before anything is given; the padding is made to come out no way."""
    for i in range(size):
        for j in range(size):
            cov[0, i, j] = corr[nodes[i], nodes[j]]
        for j in range(size, _padded(size)):
            cov[0, i, j] = 0.0
        own[0, 0, i] = corr[x, nodes[i]]
        own[1, 0, i] = 1.0
    for j in range(size, _padded(size)):
        own[0, 0, j] = _EXCLUDED
        own[1, 0, j] = 0.0


@inlined
def _merge(source: WordArray, below: int, found: WordArray, with_s: int, here: int, words: int) -> None:
    for word in range(words):
        found[with_s, word] |= source[below, word]
        found[here, word] |= source[below, word]


@inlined
def _condition(
    s: int, level: int, cov: FloatArray, own: FloatArray, var: FloatArray, padded: int, size: int
) -> None:
    """Fill level + 1: the state of `level`, given neighbour s as well."""
    inverse = 1.0 / own[1, level, s]
    slope = own[0, level, s] * inverse
    var[0, level + 1] = var[0, level] - slope * own[0, level, s]
    var[1, level + 1] = var[1, level] * inverse if own[1, level, s] > 0 else np.inf
    for y in range(padded):
        u = cov[level, s, y]
        own[0, level + 1, y] = own[0, level, y] - slope * u
        own[1, level + 1, y] = own[1, level, y] - inverse * u * u
    own[0, level + 1, s] = _EXCLUDED
    own[1, level + 1, s] = 0.0
    if level + 1 < len(cov):
        for r in range(s + 1, size):
            factor = cov[level, s, r] * inverse
            for y in range(padded):
                cov[level + 1, r, y] = cov[level, r, y] - factor * cov[level, s, y]


@jit_inner
def _leaves(
    x: int,
    size: int,
    nodes: IndexArray,
    chosen: IndexArray,
    first: int,
    cov: FloatArray,
    own: FloatArray,
    var: FloatArray,
    hits: ByteArray,
    bounds: tuple[float, float],
    pending: EntryArray,
    position: IndexArray,
) -> bool:
    """Put each neighbour from `first` on into S, after the prefix, and test; false if `pending` is full."""
    depth, padded = len(chosen), _padded(size)
    for s in range(first, size):
        unclear = _leaf(s, first - 1, depth - 1, cov, own, var, hits, bounds, padded)
        if unclear != padded - size + depth:  # S and the padding are never clear
            chosen[depth - 1] = s
            if not _postpone(x, size, nodes, chosen, first - 1, cov, own, var, bounds, pending, position):
                return False
    position[3] += (size - first) * (size - depth)
    return True


@inlined
def _leaf(
    s: int,
    previous: int,
    last: int,
    cov: FloatArray,
    own: FloatArray,
    var: FloatArray,
    hits: ByteArray,
    bounds: tuple[float, float],
    padded: int,
) -> int:
    """Test x against every neighbour given the prefix and s: hits[s, y] where they are clearly independent.

    Returns how many outcomes are not clear. Arrays are passed whole here and elsewhere: a slice costs more
    than the tests of a leaf."""
    level = max(0, last - 1)
    inverse = 1.0 / own[1, last, s]
    slope = own[0, last, s] * inverse
    e = var[0, last] - slope * own[0, last, s]
    least = var[1, last] * inverse if own[1, last, s] > 0 else np.inf
    low, high = bounds[0] * e, bounds[1] * e
    factor = cov[level, previous, s] / own[1, level, previous] if last > 0 else 0.0
    base = previous if last > 0 else s
    unclear = 0
    for y in range(padded):
        u = cov[level, s, y] - factor * cov[level, base, y]
        a = own[0, last, y] - slope * u
        d = own[1, last, y] - inverse * u * u
        square = a * a
        sound = e * d - square > least  # false for s itself, whose a and d are zero up to rounding
        hit = sound & (square < low * d)
        unclear += not (hit | (sound & (square > high * d)))
        hits[s, y] = hit
    return unclear


@jit_inner
def _postpone(
    x: int,
    size: int,
    nodes: IndexArray,
    chosen: IndexArray,
    previous: int,
    cov: FloatArray,
    own: FloatArray,
    var: FloatArray,
    bounds: tuple[float, float],
    pending: EntryArray,
    position: IndexArray,
) -> bool:
    """Put the tests of a leaf that do not clearly find dependence into `pending`; false if it is full."""
    depth = len(chosen)
    last = depth - 1
    s, level = chosen[last], max(0, last - 1)
    inverse = 1.0 / own[1, last, s]
    slope = own[0, last, s] * inverse
    e = var[0, last] - slope * own[0, last, s]
    least = var[1, last] * inverse if own[1, last, s] > 0 else np.inf
    factor = cov[level, previous, s] / own[1, level, previous] if last > 0 else 0.0
    base = previous if last > 0 else s
    for y in range(size):
        if y == s or own[0, last, y] == _EXCLUDED:
            continue
        u = cov[level, s, y] - factor * cov[level, base, y]
        a = own[0, last, y] - slope * u
        d = own[1, last, y] - inverse * u * u
        if e * d - a * a > least and a * a > bounds[1] * e * d:
            continue
        if position[2] == len(pending):
            return False
        pending[position[2], 0] = x
        pending[position[2], 1] = nodes[y]
        for k in range(depth):
            pending[position[2], 2 + k] = nodes[chosen[k]]
        position[2] += 1
    return True


@jit_first(INT, INT, INTS, INTS, FLOATS3, FLOATS3, FLOATS2, WORDS2, WORDS2, BYTES2, PAIR, ENTRIES2, INTS)
def walk(
    x: int,
    size: int,
    nodes: IndexArray,
    chosen: IndexArray,
    cov: FloatArray,
    own: FloatArray,
    var: FloatArray,
    found: WordArray,
    hits: WordArray,
    hit_bytes: ByteArray,
    bounds: tuple[float, float],
    pending: EntryArray,
    position: IndexArray,
) -> bool:
    """All S of `depth` nodes in ascending order; false where `pending` is too small.

    Level l is the state given the first l of S: cov[l, r, :] for neighbours r above the last of them (not
    kept at the last level, where each row is needed once), own[0, l] the covariances with x, own[1, l]
    the variances, var[0, l] that of x, var[1, l] the least determinant still to be had. found[l]:
    separated below the prefix of level l, found[depth + s]: with s in S, a byte for each neighbour;
    hits[s]: by s after the present prefix."""
    depth, padded = len(chosen), _padded(size)
    words = padded // LANES
    chosen[0], var[0, 0], var[1, 0] = -1, 1.0, MIN_DETERMINANT
    last = depth - 1
    level = 0
    while level >= 0:
        if level == last:
            first = chosen[last - 1] + 1 if last > 0 else 0
            if not _leaves(
                x, size, nodes, chosen, first, cov, own, var, hit_bytes, bounds, pending, position
            ):
                return False
            for s in range(first, size):
                _merge(hits, s, found, depth + s, last, words)
        else:
            chosen[level] += 1
            s = chosen[level]
            if s <= size - (depth - level):
                _condition(s, level, cov, own, var, padded, size)
                for word in range(words):
                    found[level + 1, word] = 0
                chosen[level + 1] = s
                level += 1
                continue
        level -= 1
        if level >= 0:
            _merge(found, level + 1, found, depth + chosen[level], level, words)
    return True

"""The skeleton of PC, compiled: which pairs stay adjacent, and what separates the others.

Stable: within a depth the neighbours stay as they were, all sets of that size are tried from both ends of
every pair (discovery.pc.walk), and all that separate a pair are united.
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import (
    ByteArray,
    EntryArray,
    FloatArray,
    IndexArray,
    NodeArray,
    WordArray,
)
from axiograph.discovery.numerics.compiled import aligned, inlined, jit
from axiograph.discovery.numerics.lanes import LANES, WORD, lowest_bit
from axiograph.discovery.pc.walk import MIN_DETERMINANT, gather, walk, words_of

DONE, PENDING, FULL = 0, 1, 2
ABSENT, ADJACENT, LEAVING = 0, 1, 2  # LEAVING: separated, a neighbour until the depth ends
_ONE = np.uint64(1)


@jit
def search(
    corr: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    adjacent: ByteArray,
    sepset: WordArray,
    pending: EntryArray,
    position: IndexArray,
) -> int:
    """Go on from `position` until all is DONE, tests are PENDING, or `pending` is too small (FULL).

    corr [n, n]. lower, upper [n]: a squared partial correlation given k nodes below lower[k] means
    independent, above upper[k] dependent. adjacent [n, n] uint8. sepset [n, n, words] uint64: for i < j,
    bit b of word w is set where node 64 w + b is in the union of the separating sets. pending
    [capacity, n] int32: rows x, y, S of tests that the caller decides, see `separate`, before it calls
    again. position [4] int64: depth, next x, tests pending, tests made."""
    n = len(corr)
    while True:
        if position[1] == n:
            _remove(adjacent)
            position[0] += 1
            position[1] = 0
        degree = _largest_degree(adjacent)
        if degree - 1 < position[0]:
            return DONE
        if position[0] == 0:
            _marginal(corr, lower, upper, adjacent, pending, position)
        else:
            _conditional(corr, lower, upper, adjacent, sepset, pending, position, degree)
        if position[2] > 0:
            return PENDING
        if position[1] < n:
            return FULL


@jit
def separate(adjacent: ByteArray, sepset: WordArray, x: int, y: int, condition: IndexArray) -> None:
    """x and y are independent given the nodes of `condition`: they part at the end of the depth."""
    adjacent[x, y] = LEAVING
    adjacent[y, x] = LEAVING
    for node in condition:
        unite(sepset, x, y, node)


@inlined
def unite(sepset: WordArray, x: int, y: int, node: int) -> None:
    """Put `node` into the union of the separating sets of x and y."""
    sepset[min(x, y), max(x, y), node >> 6] |= np.uint64(1) << np.uint64(node & 63)


@inlined
def in_sepset(sepset: WordArray, x: int, y: int, node: int) -> bool:
    """Whether `node` is in any separating set of x and y."""
    word = sepset[min(x, y), max(x, y), node >> 6]
    return (word >> np.uint64(node & 63)) & np.uint64(1) == np.uint64(1)


@jit
def set_apart(adjacent: ByteArray, apart: ByteArray, unsettled: ByteArray) -> None:
    """Part the pairs that knowledge sets apart, at the end of the search; unsettled [n, n]: those of them
    that no set has separated.

    Until then they are tested like all others: what separates them says which of the values between them are
    colliders, and forbidding a pair that is not adjacent anyway changes nothing."""
    for i in range(len(adjacent)):
        for j in range(len(adjacent)):
            unsettled[i, j] = apart[i, j] and adjacent[i, j] != ABSENT
            if apart[i, j]:
                adjacent[i, j] = ABSENT


@jit
def _remove(adjacent: ByteArray) -> None:
    flat = adjacent.reshape(-1)
    for k in range(flat.size):
        flat[k] = ADJACENT if flat[k] == ADJACENT else ABSENT


@inlined
def _largest_degree(adjacent: ByteArray) -> int:
    largest = 0
    for x in range(len(adjacent)):
        degree = 0
        for y in range(len(adjacent)):
            degree += adjacent[x, y] != ABSENT
        largest = max(largest, degree)
    return largest


@jit
def _marginal(
    corr: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    adjacent: ByteArray,
    pending: EntryArray,
    position: IndexArray,
) -> None:
    """Depth 0: every pair once."""
    n = len(corr)
    for x in range(position[1], n):
        pending_before = position[2]
        for y in range(x + 1, n):
            square = corr[x, y] * corr[x, y]
            sound = 1 - square > MIN_DETERMINANT
            # No branch on the outcome, which is as good as random: a wrongly guessed one costs several tests.
            state = LEAVING if sound & (square < lower[0]) else adjacent[x, y]
            adjacent[x, y] = state
            adjacent[y, x] = state
            if not (sound & ((square < lower[0]) | (square > upper[0]))):
                if position[2] == len(pending):
                    position[1] = x
                    position[2] = pending_before
                    return
                pending[position[2], 0] = x
                pending[position[2], 1] = y
                position[2] += 1
        position[3] += n - 1 - x
    position[1] = n


@jit
def _conditional(
    corr: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    adjacent: ByteArray,
    sepset: WordArray,
    pending: EntryArray,
    position: IndexArray,
    degree: int,
) -> None:
    """One depth above 0, from x = position[1] on; stops before an x whose tests do not fit `pending`."""
    depth = position[0]
    padded = (degree + LANES - 1) // LANES * LANES
    nodes = np.empty(degree + 1, np.uint32)
    chosen = np.empty(depth, np.int64)
    levels = max(1, depth - 1)
    cov = aligned(levels * degree * padded).reshape((levels, degree, padded))
    moments = aligned(2 * depth * padded).reshape((2, depth, padded))
    var = np.empty((2, depth))
    separated = np.empty((depth + degree, words_of(degree)), np.uint64)
    free = np.empty((depth, words_of(degree)), np.uint64)
    bounds = (lower[depth], upper[depth])
    for x in range(position[1], len(corr)):
        size = _neighbours(adjacent, x, nodes)
        if size - 1 < depth:
            continue
        gather(corr, x, nodes, size, cov, moments, free)
        for row in range(depth + size):
            for word in range(words_of(size)):
                separated[row, word] = 0
        pending_before, tests_before = position[2], position[3]
        if not walk(x, size, nodes, chosen, cov, moments, var, free, separated, bounds, pending, position):
            position[1], position[2], position[3] = x, pending_before, tests_before
            return
        _record(x, size, nodes, separated, depth, adjacent, sepset)
    position[1] = len(corr)


@inlined
def _neighbours(adjacent: ByteArray, x: int, nodes: NodeArray) -> int:
    """Fills nodes, which has room for one more."""
    size = 0
    for y in range(len(adjacent)):
        nodes[size] = y
        size += adjacent[x, y] != ABSENT
    return size


@inlined
def _record(
    x: int,
    size: int,
    nodes: NodeArray,
    separated: WordArray,
    depth: int,
    adjacent: ByteArray,
    sepset: WordArray,
) -> None:
    """Bit y of separated[depth + s]: some S with s has separated x and y; of separated[0]: some S has."""
    for part in range(words_of(size)):
        left = separated[0, part]
        while left:
            y = lowest_bit(left)
            left &= left - _ONE
            node = nodes[part * WORD + y]
            adjacent[x, node] = LEAVING
            adjacent[node, x] = LEAVING
            first, second = min(x, node), max(x, node)
            s = 0
            for word in range(sepset.shape[2]):
                union = np.uint64(0)
                while s < size and nodes[s] // WORD == word:
                    bit = (separated[depth + s, part] >> np.uint64(y)) & _ONE
                    union |= bit << np.uint64(nodes[s] % WORD)
                    s += 1
                sepset[first, second, word] |= union

"""The skeleton of PC, compiled: which pairs stay adjacent, and what separates the others.

Stable: within a depth the neighbours stay as they were, all sets of that size are tried from both ends of
every pair (discovery.walk), and all that separate a pair are united.
"""

from __future__ import annotations

import numpy as np

from discovery.compiled import ByteArray, EntryArray, FloatArray, IndexArray, WordArray, jit, jit_inner
from discovery.walk import LANES, MIN_DETERMINANT, gather, walk

DONE, PENDING, FULL = 0, 1, 2
ABSENT, ADJACENT, LEAVING = 0, 1, 2  # LEAVING: separated, a neighbour until the depth ends


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
def separate(adjacent: ByteArray, sepset: WordArray, x: int, y: int, given: IndexArray) -> None:
    """x and y are independent given the nodes `given`: they part at the end of the depth."""
    adjacent[x, y] = LEAVING
    adjacent[y, x] = LEAVING
    for node in given:
        unite(sepset, x, y, node)


@jit_inner
def unite(sepset: WordArray, x: int, y: int, node: int) -> None:
    """Put `node` into the union of the separating sets of x and y."""
    sepset[min(x, y), max(x, y), node >> 6] |= np.uint64(1) << np.uint64(node & 63)


@jit_inner
def in_sepset(sepset: WordArray, x: int, y: int, node: int) -> bool:
    """Whether `node` is in any separating set of x and y."""
    word = sepset[min(x, y), max(x, y), node >> 6]
    return (word >> np.uint64(node & 63)) & np.uint64(1) == np.uint64(1)


@jit
def _remove(adjacent: ByteArray) -> None:
    flat = adjacent.reshape(-1)
    for k in range(flat.size):
        flat[k] = ADJACENT if flat[k] == ADJACENT else ABSENT


@jit_inner
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
        before = position[2]
        for y in range(x + 1, n):
            square = corr[x, y] * corr[x, y]
            if 1 - square > MIN_DETERMINANT and square < lower[0]:
                adjacent[x, y] = LEAVING
                adjacent[y, x] = LEAVING
            elif not (1 - square > MIN_DETERMINANT and square > upper[0]):
                if position[2] == len(pending):
                    position[1] = x
                    position[2] = before
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
    words = (degree + LANES - 1) // LANES
    nodes = np.empty(degree, np.int64)
    chosen = np.empty(depth, np.int64)
    cov = _aligned(max(1, depth - 1) * degree * words).reshape((max(1, depth - 1), degree, words * LANES))
    own = _aligned(2 * depth * words).reshape((2, depth, words * LANES))
    var = np.empty((2, depth))
    found = np.empty((depth + degree, words), np.uint64)
    hits = np.empty((degree, words), np.uint64)
    found_bytes, hit_bytes = found.view(np.uint8), hits.view(np.uint8)
    bounds = (lower[depth], upper[depth])
    for x in range(position[1], len(corr)):
        size = _neighbours(adjacent, x, nodes)
        if size - 1 < depth:
            continue
        gather(corr, x, nodes, size, cov, own)
        for row in range(depth + size):
            for word in range(words):
                found[row, word] = 0
        before, made = position[2], position[3]
        if not walk(x, size, nodes, chosen, cov, own, var, found, hits, hit_bytes, bounds, pending, position):
            position[1], position[2], position[3] = x, before, made
            return
        _record(x, size, nodes, found_bytes, depth, adjacent, sepset)
    position[1] = len(corr)


@jit
def _aligned(blocks: int) -> FloatArray:
    """Room for blocks of `LANES` doubles that each lie in one cache line: a load across two costs twice."""
    room = np.empty((blocks + 1) * LANES)
    start = -(room.ctypes.data // 8) % LANES
    return room[start : start + blocks * LANES]


@jit_inner
def _neighbours(adjacent: ByteArray, x: int, nodes: IndexArray) -> int:
    size = 0
    for y in range(len(adjacent)):
        if adjacent[x, y] != ABSENT:
            nodes[size] = y
            size += 1
    return size


@jit_inner
def _record(
    x: int, size: int, nodes: IndexArray, found: ByteArray, depth: int, adjacent: ByteArray, sepset: WordArray
) -> None:
    """found[depth + s, y]: S with s has separated x and y; found[0, y]: some S has."""
    for y in range(size):
        if found[0, y]:
            adjacent[x, nodes[y]] = LEAVING
            adjacent[nodes[y], x] = LEAVING
            for s in range(size):
                if found[depth + s, y]:
                    unite(sepset, x, nodes[y], nodes[s])

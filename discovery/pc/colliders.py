"""Which unshielded triples are colliders, by more than one separating set; compiled.

For x — y — z, x and z not adjacent, all sets of at most `MOST_GIVEN` neighbours of x, and of z, are tested
again. DEFINITE: a collider where y is in none of those that separate, none where it is in all (Ramsey, Zhang
& Spirtes 2006, UAI). MAJORITY: where it is in less, or more, than half of them (Colombo & Maathuis 2014, JMLR
15). All else is ambiguous, and no rule builds on it. MAX_P: the set with the largest p-value decides;
colliders are drawn in the order of these p-values, and none that closes a directed cycle (Ramsey 2016, arXiv
1610.00378).
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import inlined, jit, jit_inner
from axiograph.discovery.pc.orientation import ARROW, NONE, TAIL, directed, undirected

DEFINITE, MAJORITY, MAX_P = 1, 2, 3
MOST_GIVEN = 5  # larger sets: more than 4,000 of 15 neighbours, with few rows left for each
_COLLIDER, _AMBIGUOUS, _NEITHER = 1, 2, 0
_TINY = 1e-12


@jit
def orient_by_sets(
    corr: FloatArray,
    n_rows: int,
    critical: float,
    rule: int,
    adjacent: ByteArray,
    unsettled: ByteArray,
    banned: ByteArray,
    drawn: ByteArray,
    marks: ByteArray,
) -> None:
    """Fill marks [n, n] from the skeleton, as discovery.pc.orientation.orient.

    critical: the z from which a test is dependent; `rule`: DEFINITE, MAJORITY or MAX_P; `unsettled` [n, n]:
    pairs kept apart by knowledge alone, whose triples are ambiguous."""
    n = len(corr)
    _begin(adjacent, drawn, marks)
    ambiguous = np.zeros((n, n, n), np.uint8)
    triples = np.empty((_triples(adjacent), 3), np.int64)
    strength = np.empty(len(triples))
    lists = np.empty((4, n), np.int64)
    block = np.empty((MOST_GIVEN + 2, MOST_GIVEN + 2))
    count = 0
    for y in range(n):
        for x in range(n):
            for z in range(x + 1, n):
                if x == y or z == y or not adjacent[x, y] or not adjacent[z, y] or adjacent[x, z]:
                    continue
                verdict, outside = _AMBIGUOUS, 0.0
                if not unsettled[x, z]:
                    verdict, outside = _judge(corr, n_rows, critical, rule, adjacent, x, y, z, lists, block)
                if verdict == _AMBIGUOUS:
                    ambiguous[x, y, z] = 1
                    ambiguous[z, y, x] = 1
                if verdict == _COLLIDER and not banned[x, y] and not banned[z, y]:
                    k = count
                    while rule == MAX_P and k > 0 and strength[k - 1] > outside:
                        strength[k] = strength[k - 1]
                        for part in range(3):
                            triples[k, part] = triples[k - 1, part]
                        k -= 1
                    strength[k] = outside
                    triples[k, 0], triples[k, 1], triples[k, 2] = x, y, z
                    count += 1
    stack, seen = np.empty(n, np.int64), np.empty(n, np.uint8)
    for k in range(count):
        x, y, z = triples[k, 0], triples[k, 1], triples[k, 2]
        if not _leads(marks, y, x, stack, seen) and not _leads(marks, y, z, stack, seen):
            marks[x, y] = ARROW
            marks[z, y] = ARROW
    changed = True
    while changed:
        changed = False
        for i in range(n):
            for j in range(n):
                is_open = undirected(marks, i, j) and not banned[i, j]
                if is_open and _follows(marks, ambiguous, i, j) and not _leads(marks, j, i, stack, seen):
                    marks[i, j] = ARROW
                    changed = True


@jit_inner
def _begin(adjacent: ByteArray, drawn: ByteArray, marks: ByteArray) -> None:
    n = len(adjacent)
    for i in range(n):
        for j in range(n):
            marks[i, j] = NONE
            if adjacent[i, j]:
                marks[i, j] = ARROW if drawn[i, j] else TAIL


@jit_inner
def _triples(adjacent: ByteArray) -> int:
    """At least as many as there are unshielded triples."""
    total = 0
    for y in range(len(adjacent)):
        degree = 0
        for x in range(len(adjacent)):
            degree += adjacent[x, y] != NONE
        total += degree * (degree - 1) // 2
    return total


@jit_inner
def _judge(
    corr: FloatArray,
    n_rows: int,
    critical: float,
    rule: int,
    adjacent: ByteArray,
    x: int,
    y: int,
    z: int,
    lists: IndexArray,
    block: FloatArray,
) -> tuple[int, float]:
    """(verdict, smallest |z| of the sets without y)."""
    n = len(corr)
    least_in, least_out = np.inf, np.inf
    count_in, count_out = 0, 0
    for side in range(2):
        near, other = (x, z) if side == 0 else (z, x)
        size = 0
        for t in range(n):
            if adjacent[near, t] and t != other:
                lists[0, size] = t
                size += 1
        for given in range(min(size, MOST_GIVEN) + 1):
            for k in range(given):
                lists[1, k] = k
            more = True
            while more:
                with_y, again = False, side == 1
                for k in range(given):
                    t = lists[0, lists[1, k]]
                    lists[2, k] = t
                    with_y = with_y or t == y
                    again = again and adjacent[other, t] != NONE
                if not again:  # the other side had this set, too
                    statistic = _statistic(corr, n_rows, x, z, lists[2], given, block)
                    if with_y:
                        least_in = min(least_in, statistic)
                        count_in += statistic <= critical
                    else:
                        least_out = min(least_out, statistic)
                        count_out += statistic <= critical
                more = _next(lists[1], given, size)
    if rule == MAX_P:
        return (_COLLIDER if least_out < least_in else _NEITHER), least_out
    total = count_in + count_out
    if rule == DEFINITE:
        is_collider, is_none = count_in == 0, count_out == 0
    else:
        is_collider, is_none = 2 * count_in < total, 2 * count_in > total
    if total == 0 or is_collider == is_none:
        return _AMBIGUOUS, least_out
    return (_COLLIDER if is_collider else _NEITHER), least_out


@inlined
def _next(chosen: IndexArray, given: int, size: int) -> bool:
    """The next `given` of 0 … size − 1 in ascending order; false after the last."""
    k = given - 1
    while k >= 0 and chosen[k] == size - given + k:
        k -= 1
    if k < 0:
        return False
    chosen[k] += 1
    for later in range(k + 1, given):
        chosen[later] = chosen[later - 1] + 1
    return True


@jit_inner
def _statistic(
    corr: FloatArray, n_rows: int, x: int, z: int, given: IndexArray, size: int, block: FloatArray
) -> float:
    """|z| of Fisher's test of x and z given so many nodes: the larger, the smaller p."""
    last = size + 1
    for i in range(last + 1):
        a = x if i == 0 else (z if i == 1 else given[i - 2])
        for j in range(last + 1):
            b = x if j == 0 else (z if j == 1 else given[j - 2])
            block[i, j] = corr[a, b]
    for t in range(last, 1, -1):
        pivot = max(block[t, t], _TINY)
        for i in range(t):
            factor = block[i, t] / pivot
            for j in range(t):
                block[i, j] -= factor * block[t, j]
    r = abs(block[0, 1]) / np.sqrt(max(block[0, 0] * block[1, 1], _TINY))
    r = min(r, 1 - 1e-15)
    return np.sqrt(max(n_rows - size - 3.0, 0.0)) * 0.5 * np.log((1 + r) / (1 - r))


@jit_inner
def _leads(marks: ByteArray, start: int, end: int, stack: IndexArray, seen: ByteArray) -> bool:
    """Whether a directed path leads from start to end."""
    n = len(marks)
    for k in range(n):
        seen[k] = 0
    stack[0] = start
    size = 1
    while size > 0:
        size -= 1
        node = stack[size]
        for t in range(n):
            if seen[t] == 0 and directed(marks, node, t):
                if t == end:
                    return True
                seen[t] = 1
                stack[size] = t
                size += 1
    return False


@jit_inner
def _follows(marks: ByteArray, ambiguous: ByteArray, i: int, j: int) -> bool:
    """Whether one of Meek's rules turns i — j into i → j; none builds on an ambiguous triple at i."""
    n = len(marks)
    for a in range(n):
        if a == j or marks[i, a] == NONE:
            continue
        if directed(marks, i, a) and directed(marks, a, j):
            return True
        open_triple = marks[a, j] == NONE and not ambiguous[a, i, j]
        if directed(marks, a, i) and open_triple:
            return True
        if not undirected(marks, i, a):
            continue
        for b in range(n):
            if b in (j, a) or marks[i, b] == NONE or not directed(marks, b, j):
                continue
            third = (
                undirected(marks, i, b)
                and directed(marks, a, j)
                and marks[a, b] == NONE
                and not ambiguous[a, i, b]
            )
            if third or (directed(marks, a, b) and open_triple):
                return True
    return False

"""The arrows of PC, compiled: unshielded colliders and Meek's rules in the order of causal-learn 0.1.4.8.

With conflicts in the data the result depends on that order, so it is copied:
`orient_by_background_knowledge`, `UCSepset.uc_sepset` with priority 2, then `Meek.meek`.
Marks follow discovery.graph: marks[i, j] is the mark at j, so that i → j is ARROW at [i, j] and TAIL
at [j, i].

Meek's rules there do not orient a → b where b is known as an ancestor of a. "Known" is an incomplete
transitive closure `ancestor` [n, n] (ancestor[j, i]: i before j), extended by each new arrow and rebuilt
from the arrows when a collider draws an arrow again; only the state after the last such rebuild matters.
"""

from __future__ import annotations

import numpy as np

from discovery.compiled import ByteArray, WordArray, jit
from discovery.skeleton import in_sepset

NONE, TAIL, ARROW = 0, 1, 2


@jit
def orient(
    adjacent: ByteArray, sepset: WordArray, banned: ByteArray, drawn: ByteArray, marks: ByteArray
) -> None:
    """Fill marks [n, n] uint8 from the skeleton and the unions of separating sets (skeleton.search) and from
    what is known: banned, drawn [n, n], see knowledge.Knowledge.matrices."""
    ancestor = np.empty((len(adjacent), len(adjacent)), np.uint8)
    _known(adjacent, drawn, marks, ancestor)
    initial = marks.copy()
    last_rebuild = _colliders(initial, sepset, banned, marks, ancestor, -1)
    marks[:] = initial
    _colliders(initial, sepset, banned, marks, ancestor, last_rebuild)
    initial[:] = marks
    changed = True
    while changed:
        changed = _rule1(marks, initial, banned, ancestor)
        changed |= _rule2(marks, initial, banned, ancestor)
        changed |= _rule3(marks, initial, banned, ancestor)


@jit
def _known(adjacent: ByteArray, drawn: ByteArray, marks: ByteArray, ancestor: ByteArray) -> None:
    """All edges, undirected but for those that knowledge draws."""
    marks[:] = adjacent
    _forget(ancestor)
    n = len(adjacent)
    for i in range(n):
        for j in range(i + 1, n):
            if adjacent[i, j] != NONE and drawn[i, j]:
                marks[i, j] = ARROW
                _extend(ancestor, i, j)
            elif adjacent[i, j] != NONE and drawn[j, i]:
                marks[j, i] = ARROW
                _extend(ancestor, j, i)


@jit
def _directed(marks: ByteArray, i: int, j: int) -> bool:
    return marks[i, j] == ARROW and marks[j, i] == TAIL


@jit
def _undirected(marks: ByteArray, i: int, j: int) -> bool:
    return marks[i, j] == TAIL and marks[j, i] == TAIL


@jit
def _colliders(
    initial: ByteArray,
    sepset: WordArray,
    banned: ByteArray,
    marks: ByteArray,
    ancestor: ByteArray,
    last_rebuild: int,
) -> int:
    """x → y ← z for every unshielded triple, y in none of the separating sets of x and z, unless an arrow is
    banned or y → x or y → z stands already. Ascending in y, then x, then z; as in the rules below, ends of
    edges that are tails at first (`initial`, without knowledge all) come before those with an arrowhead.

    Arrows drawn before the one of number `last_rebuild` leave no trace in `ancestor` but for the graph at
    that moment; with −1, `ancestor` is left alone. Returns the number of the last arrow that is drawn again
    (0 where none is)."""
    n = len(initial)
    drawn, rebuilt = 0, 0
    for mark in (TAIL, ARROW):
        for y in range(n):
            for x in range(n):
                if initial[x, y] != mark or banned[x, y]:
                    continue
                for second in (TAIL, ARROW):
                    for z in range(x + 1, n):
                        if (
                            initial[y, z] != second
                            or banned[z, y]
                            or not _collide(initial, sepset, marks, x, y, z)
                        ):
                            continue
                        for start in (x, z):
                            drawn += 1
                            if _directed(marks, start, y):
                                rebuilt = drawn
                            _draw(marks, ancestor, start, y, drawn, last_rebuild)
    return rebuilt


@jit
def _collide(initial: ByteArray, sepset: WordArray, marks: ByteArray, x: int, y: int, z: int) -> bool:
    if initial[x, z] != NONE or in_sepset(sepset, x, z, y):
        return False
    return not _directed(marks, y, x) and not _directed(marks, y, z)


@jit
def _draw(
    marks: ByteArray, ancestor: ByteArray, start: int, end: int, number: int, last_rebuild: int
) -> None:
    if number == last_rebuild:
        marks[start, end] = NONE
        marks[end, start] = NONE
        _rebuild(marks, ancestor)
    marks[start, end] = ARROW
    marks[end, start] = TAIL
    if 0 <= last_rebuild <= number:
        _extend(ancestor, start, end)


@jit
def _forget(ancestor: ByteArray) -> None:
    ancestor[:] = 0
    for i in range(len(ancestor)):
        ancestor[i, i] = 1


@jit
def _rebuild(marks: ByteArray, ancestor: ByteArray) -> None:
    _forget(ancestor)
    n = len(marks)
    for i in range(n - 1, -1, -1):
        for j in range(n - 1, i, -1):
            if _directed(marks, i, j):
                _extend(ancestor, i, j)
            elif _directed(marks, j, i):
                _extend(ancestor, j, i)


@jit
def _extend(ancestor: ByteArray, i: int, j: int) -> None:
    """Put i → j into the closure, as GeneralGraph.adjust_dpath: the order of the steps matters."""
    ancestor[j, i] = 1
    for k in range(len(ancestor)):
        if ancestor[i, k] == 1:
            ancestor[j, k] = 1
        if ancestor[k, j] == 1:
            ancestor[k, i] = 1


@jit
def _arrow(marks: ByteArray, banned: ByteArray, ancestor: ByteArray, i: int, j: int) -> bool:
    """Turn i — j into i → j unless that is banned or j is known as an ancestor of i."""
    if banned[i, j] or ancestor[i, j] == 1:
        return False
    marks[i, j] = ARROW
    _extend(ancestor, i, j)
    return True


@jit
def _rule1(marks: ByteArray, initial: ByteArray, banned: ByteArray, ancestor: ByteArray) -> bool:
    """i → j — k, i and k not adjacent: j → k.

    causal-learn goes through pairs (i, j) with a tail at j before those with an arrowhead there, as the
    marks were before the first rule (`initial`); within each by j, then i."""
    n = len(marks)
    changed = False
    for mark in (TAIL, ARROW):
        for j in range(n):
            for i in range(n):
                if initial[i, j] != mark or not _directed(marks, i, j):
                    continue
                for k in range(n):
                    if k != i and marks[i, k] == NONE and _undirected(marks, j, k):
                        changed |= _arrow(marks, banned, ancestor, j, k)
    return changed


@jit
def _rule2(marks: ByteArray, initial: ByteArray, banned: ByteArray, ancestor: ByteArray) -> bool:
    """i → j → k, i — k: i → k."""
    n = len(marks)
    changed = False
    for mark in (TAIL, ARROW):
        for j in range(n):
            for i in range(n):
                if initial[i, j] != mark or not _directed(marks, i, j):
                    continue
                for second in (TAIL, ARROW):
                    for k in range(n):
                        if initial[j, k] == second and _undirected(marks, i, k) and _directed(marks, j, k):
                            changed |= _arrow(marks, banned, ancestor, i, k)
    return changed


@jit
def _rule3(marks: ByteArray, initial: ByteArray, banned: ByteArray, ancestor: ByteArray) -> bool:
    """i — j → end, i — k → end, i — end, j < k not adjacent: i → end."""
    n = len(marks)
    changed = False
    for j in range(n):
        for i in range(n):
            if not _undirected(marks, i, j):
                continue
            for second in (TAIL, ARROW):
                for end in range(n):
                    if (
                        initial[j, end] != second
                        or not _directed(marks, j, end)
                        or not _undirected(marks, i, end)
                    ):
                        continue
                    if _has_partner(marks, i, j, end):
                        changed |= _arrow(marks, banned, ancestor, i, end)
    return changed


@jit
def _has_partner(marks: ByteArray, i: int, j: int, end: int) -> bool:
    for k in range(j + 1, len(marks)):
        if marks[j, k] == NONE and _undirected(marks, i, k) and _directed(marks, k, end):
            return True
    return False

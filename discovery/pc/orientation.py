"""The arrows of PC, compiled: unshielded colliders and Meek's rules in the order of causal-learn 0.1.4.8.

With conflicts in the data the result depends on that order, so it is copied:
`orient_by_background_knowledge`, `UCSepset.uc_sepset` with priority 2, then `Meek.meek`.
Marks follow discovery.graph.causal_graph: marks[i, j] is the mark at j, so that i → j is ARROW at [i, j] and
TAIL at [j, i].

Meek's rules there do not orient a → b where b is known as an ancestor of a. "Known" is an incomplete
transitive closure `ancestor` [n, n] (ancestor[j, i]: i before j), extended by each new arrow and rebuilt
from the arrows when a collider draws an arrow again; only the state after the last such rebuild matters.
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, NodeArray, WordArray
from axiograph.discovery.numerics.compiled import inlined, jit
from axiograph.discovery.pc.skeleton import in_sepset

NONE, TAIL, ARROW = 0, 1, 2


@jit
def orient(
    adjacent: ByteArray,
    sepset: WordArray,
    unsettled: ByteArray,
    banned: ByteArray,
    drawn: ByteArray,
    marks: ByteArray,
) -> None:
    """Fill marks [n, n] uint8 from the skeleton and the unions of separating sets (skeleton.search) and from
    what is known: banned, drawn [n, n], see knowledge.Knowledge.matrices. unsettled [n, n]: pairs that only
    knowledge keeps apart, of which no separating set says whether those between are colliders."""
    near = _neighbours(adjacent)
    ancestor = np.empty((len(adjacent), len(adjacent)), np.uint8)
    _from_knowledge(adjacent, drawn, marks, ancestor)
    initial = marks.copy()
    arrows = np.empty((8 * len(adjacent), 2), np.uint32)
    count, again = _colliders(initial, near, sepset, unsettled, banned, marks, arrows)
    if count > len(arrows):
        arrows = np.empty((count, 2), np.uint32)
        _copy(initial, marks)
        _colliders(initial, near, sepset, unsettled, banned, marks, arrows)
    _close(arrows, count, again, initial, marks, ancestor)
    _copy(marks, initial)
    changed = True
    while changed:
        changed = _rule1(marks, initial, near, unsettled, banned, ancestor)
        changed |= _rule2(marks, initial, near, banned, ancestor)
        changed |= _rule3(marks, initial, near, banned, ancestor)


@jit
def _neighbours(adjacent: ByteArray) -> NodeArray:
    """[n, 2 + largest degree]: how many neighbours each node has, then which, ascending."""
    n, most = len(adjacent), 0
    for i in range(n):
        degree = 0
        for j in range(n):
            degree += adjacent[i, j] != NONE
        most = max(most, degree)
    near = np.empty((n, 2 + most), np.uint32)
    for i in range(n):
        degree = 0
        for j in range(n):
            near[i, 1 + degree] = j
            degree += adjacent[i, j] != NONE
        near[i, 0] = degree
    return near


@inlined
def _from_knowledge(adjacent: ByteArray, drawn: ByteArray, marks: ByteArray, ancestor: ByteArray) -> None:
    """All edges, undirected but for those that knowledge draws."""
    _copy(adjacent, marks)
    n = len(adjacent)
    _forget(ancestor)
    for i in range(n):
        for j in range(i + 1, n):
            if adjacent[i, j] != NONE and drawn[i, j]:
                marks[i, j] = ARROW
                _extend(ancestor, i, j)
            elif adjacent[i, j] != NONE and drawn[j, i]:
                marks[j, i] = ARROW
                _extend(ancestor, j, i)


@inlined
def directed(marks: ByteArray, i: int, j: int) -> bool:
    return marks[i, j] == ARROW and marks[j, i] == TAIL


@inlined
def undirected(marks: ByteArray, i: int, j: int) -> bool:
    return marks[i, j] == TAIL and marks[j, i] == TAIL


@inlined
def _colliders(
    initial: ByteArray,
    near: NodeArray,
    sepset: WordArray,
    unsettled: ByteArray,
    banned: ByteArray,
    marks: ByteArray,
    arrows: NodeArray,
) -> tuple[int, int]:
    """x → y ← z for every unshielded triple, y in none of the separating sets of x and z, unless an arrow is
    banned or y → x or y → z stands already. Ascending in y, then x, then z; as in the rules below, ends of
    edges that are tails at first (`initial`, without knowledge all) come before those with an arrowhead.

    `arrows`: each arrow (start, end) in the order in which they are drawn, some of them again. Returns how
    many there are, also where there is no room for all, and which was the last that stood already (or −1)."""
    count, again = 0, -1
    for mark in (TAIL, ARROW):
        for y in range(len(initial)):
            for p in range(1, 1 + near[y, 0]):
                x = near[y, p]
                if initial[x, y] != mark or banned[x, y]:
                    continue
                for second in (TAIL, ARROW):
                    for q in range(p + 1, 1 + near[y, 0]):
                        z = near[y, q]
                        if (
                            initial[y, z] != second
                            or banned[z, y]
                            or unsettled[x, z]
                            or not _collide(initial, sepset, marks, x, y, z)
                        ):
                            continue
                        for start in (x, z):
                            again = count if directed(marks, start, y) else again
                            _draw(marks, start, y)
                            if count < len(arrows):
                                arrows[count, 0] = start
                                arrows[count, 1] = y
                            count += 1
    return count, again


@inlined
def _collide(initial: ByteArray, sepset: WordArray, marks: ByteArray, x: int, y: int, z: int) -> bool:
    unshielded = (initial[x, z] == NONE) & (not in_sepset(sepset, x, z, y))
    return unshielded & (not directed(marks, y, x)) & (not directed(marks, y, z))


@inlined
def _close(
    arrows: NodeArray, count: int, again: int, initial: ByteArray, marks: ByteArray, ancestor: ByteArray
) -> None:
    """Bring `ancestor` to where causal-learn has it after the colliders: arrows before the last one that is
    drawn `again` leave no trace but the graph at that moment, without it, from which the closure is made
    anew."""
    if again >= 0:
        _copy(initial, marks)
        for k in range(again):
            _draw(marks, arrows[k, 0], arrows[k, 1])
        marks[arrows[again, 0], arrows[again, 1]] = NONE
        marks[arrows[again, 1], arrows[again, 0]] = NONE
        _rebuild(marks, ancestor)
    for k in range(max(0, again), count):
        _draw(marks, arrows[k, 0], arrows[k, 1])
        _extend(ancestor, arrows[k, 0], arrows[k, 1])


@inlined
def _draw(marks: ByteArray, start: int, end: int) -> None:
    marks[start, end] = ARROW
    marks[end, start] = TAIL


@inlined
def _copy(source: ByteArray, target: ByteArray) -> None:
    for i in range(len(source)):
        for j in range(len(source)):
            target[i, j] = source[i, j]


@inlined
def _forget(ancestor: ByteArray) -> None:
    for i in range(len(ancestor)):
        for j in range(len(ancestor)):
            ancestor[i, j] = i == j


@inlined
def _rebuild(marks: ByteArray, ancestor: ByteArray) -> None:
    _forget(ancestor)
    n = len(marks)
    for i in range(n - 1, -1, -1):
        for j in range(n - 1, i, -1):
            if directed(marks, i, j):
                _extend(ancestor, i, j)
            elif directed(marks, j, i):
                _extend(ancestor, j, i)


@inlined
def _extend(ancestor: ByteArray, i: int, j: int) -> None:
    """Put i → j into the closure, as GeneralGraph.adjust_dpath: what is before i is before j, and i before
    what j is before. There a step of one loop follows a step of the other, but none changes what another
    reads."""
    ancestor[j, i] = 1
    for k in range(len(ancestor)):
        ancestor[j, k] |= ancestor[i, k]
    for k in range(len(ancestor)):
        ancestor[k, i] |= ancestor[k, j]


@inlined
def _arrow(marks: ByteArray, banned: ByteArray, ancestor: ByteArray, i: int, j: int) -> bool:
    """Turn i — j into i → j unless that is banned or j is known as an ancestor of i."""
    if banned[i, j] or ancestor[i, j] == 1:
        return False
    marks[i, j] = ARROW
    _extend(ancestor, i, j)
    return True


@inlined
def _rule1(
    marks: ByteArray,
    initial: ByteArray,
    near: NodeArray,
    unsettled: ByteArray,
    banned: ByteArray,
    ancestor: ByteArray,
) -> bool:
    """i → j — k, i and k not adjacent: j → k.

    causal-learn goes through pairs (i, j) with a tail at j before those with an arrowhead there, as the
    marks were before the first rule (`initial`); within each by j, then i."""
    changed = False
    for mark in (TAIL, ARROW):
        for j in range(len(marks)):
            for p in range(1, 1 + near[j, 0]):
                i = near[j, p]
                if initial[i, j] != mark or not directed(marks, i, j):
                    continue
                for q in range(1, 1 + near[j, 0]):
                    k = near[j, q]
                    open_pair = marks[i, k] == NONE and not unsettled[i, k]
                    if k != i and open_pair and undirected(marks, j, k):
                        changed |= _arrow(marks, banned, ancestor, j, k)
    return changed


@inlined
def _rule2(
    marks: ByteArray, initial: ByteArray, near: NodeArray, banned: ByteArray, ancestor: ByteArray
) -> bool:
    """i → j → k, i — k: i → k."""
    changed = False
    for mark in (TAIL, ARROW):
        for j in range(len(marks)):
            for p in range(1, 1 + near[j, 0]):
                i = near[j, p]
                if initial[i, j] != mark or not directed(marks, i, j):
                    continue
                for second in (TAIL, ARROW):
                    for q in range(1, 1 + near[j, 0]):
                        k = near[j, q]
                        if initial[j, k] == second and undirected(marks, i, k) and directed(marks, j, k):
                            changed |= _arrow(marks, banned, ancestor, i, k)
    return changed


@inlined
def _rule3(
    marks: ByteArray, initial: ByteArray, near: NodeArray, banned: ByteArray, ancestor: ByteArray
) -> bool:
    """i — j → end, i — k → end, i — end, j < k not adjacent: i → end."""
    changed = False
    for j in range(len(marks)):
        for p in range(1, 1 + near[j, 0]):
            i = near[j, p]
            if not undirected(marks, i, j):
                continue
            for second in (TAIL, ARROW):
                for q in range(1, 1 + near[j, 0]):
                    end = near[j, q]
                    if (
                        initial[j, end] != second
                        or not directed(marks, j, end)
                        or not undirected(marks, i, end)
                    ):
                        continue
                    if _has_partner(marks, near, i, j, end):
                        changed |= _arrow(marks, banned, ancestor, i, end)
    return changed


@inlined
def _has_partner(marks: ByteArray, near: NodeArray, i: int, j: int, end: int) -> bool:
    for p in range(1, 1 + near[end, 0]):
        k = near[end, p]
        if k > j and marks[j, k] == NONE and undirected(marks, i, k) and directed(marks, k, end):
            return True
    return False

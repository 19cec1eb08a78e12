"""From an order to a better one, compiled: each value in turn is moved to the place with the best score.

Of a move only what it changes is computed. Let v have rank c among the others. Put before w, it becomes a
candidate of w; put behind, it is none any more. So every w between has two scores, of which one is known, and
the other differs only where v is on the way down the tree of w. The score of v itself changes with its place
only where a value on its own way down is lost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import inlined, jit, jit_inner
from axiograph.discovery.orders.trees import FULL, Model, Room, Trees, larger, trace

BETTER = 1e-6  # a score that is higher by no more than this is the same
_SAME = 1e-9  # of several places for a value the first counts, unless another is better by more: not rounding
_LAST = np.iinfo(np.int64).max
_NO_ROOM = -2


class Walk(NamedTuple):
    """Where the search is. `order` [p]; `scores` [p]: of each value at its place; `grown` [p, p]: [w, v] is 1
    where v is on the way down the tree of w. For one move: `others` [p], the order without v; `rank` [p] in
    it; `own` [p], the score of v at each place; `change` [p], what moving v past others[i] changes there."""

    order: IndexArray
    scores: FloatArray
    grown: ByteArray
    others: IndexArray
    rank: IndexArray
    own: FloatArray
    change: FloatArray


@jit
def make_walk(p: int) -> Walk:
    """For p values."""
    return Walk(
        np.empty(p, np.int64),
        np.empty(p),
        np.empty((p, p), np.uint8),
        np.empty(p, np.int64),
        np.empty(p, np.int64),
        np.empty(p),
        np.empty(p),
    )


@jit
def climb(trees: Trees, model: Model, room: Room, walk: Walk, before: ByteArray, turns: IndexArray) -> Trees:
    """Move values of `walk.order` until no move makes the score better, in `turns` [p] over and over.

    before [p, p]: [a, b] is 1 where a has to stand before b, as it does at first. Returns the trees, which
    may have grown."""
    p = len(walk.order)
    while not _settle_all(trees, model, room, walk):
        trees = larger(trees)
    unmoved = turn = 0
    while unmoved < p:
        v = turns[turn]
        place = _best_place(trees, model, room, walk, before, v)
        if place == _NO_ROOM:
            trees = larger(trees)
            continue
        unmoved += 1
        if place >= 0:
            _move(trees, model, room, walk, v, place)
            unmoved = 0
        turn = (turn + 1) % p
    return trees


@jit_inner
def _settle_all(trees: Trees, model: Model, room: Room, walk: Walk) -> bool:
    """Scores and ways down at the places of `order`; false where the trees have no room."""
    for i in range(len(walk.order)):
        walk.rank[walk.order[i]] = i
    room_left = True
    for i in range(len(walk.order)):
        room_left = room_left and _settle(trees, model, room, walk, walk.order[i], i)
    return room_left


@jit_inner
def _settle(trees: Trees, model: Model, room: Room, walk: Walk, w: int, before: int) -> bool:
    """Score of w and its way down with the candidates of a rank below `before`."""
    node, size = trace(trees, model, room, walk.rank, w, before)
    if node == FULL:
        return False
    walk.scores[w] = trees.scores[node]
    for v in range(len(walk.order)):
        walk.grown[w, v] = 0
    for k in range(size):
        walk.grown[w, room.path[k]] = 1
    return True


@jit_inner
def _best_place(trees: Trees, model: Model, room: Room, walk: Walk, before: ByteArray, v: int) -> int:
    """Where v should stand among the others; −1 where it stands well, _NO_ROOM where the trees are full."""
    p = len(walk.order)
    current, m = 0, 0
    for i in range(p):
        w = walk.order[i]
        if w == v:
            current = i
        else:
            walk.others[m] = w
            walk.rank[w] = m
            m += 1
    low, high = 0, p - 1
    for i in range(p - 1):
        if before[walk.others[i], v]:
            low = i + 1
        if before[v, walk.others[i]] and i < high:
            high = i
    if not (
        _own_scores(trees, model, room, walk, v, low, high)
        and _changes(trees, model, room, walk, v, low, current, high)
    ):
        return _NO_ROOM
    best, place = walk.own[current] + BETTER, -1
    total = 0.0
    for i in range(current - 1, low - 1, -1):
        total += walk.change[i]
        if total + walk.own[i] > best + _SAME:
            best, place = total + walk.own[i], i
    total = 0.0
    for i in range(current, high):
        total += walk.change[i]
        if total + walk.own[i + 1] > best + _SAME:
            best, place = total + walk.own[i + 1], i + 1
    return place


@inlined
def _own_scores(trees: Trees, model: Model, room: Room, walk: Walk, v: int, low: int, high: int) -> bool:
    """Scores of v at the places low … high, from behind: as long as all on the way down are before it, the
    score is the same."""
    walk.rank[v] = _LAST
    place = high
    while place >= low:
        node, size = trace(trees, model, room, walk.rank, v, place)
        if node == FULL:
            return False
        last = -1
        for k in range(model.required[v, 0], size):
            last = max(last, walk.rank[room.path[k]])
        while place > last and place >= low:
            walk.own[place] = trees.scores[node]
            place -= 1
    return True


@inlined
def _changes(
    trees: Trees, model: Model, room: Room, walk: Walk, v: int, low: int, current: int, high: int
) -> bool:
    """What the score of each of the others becomes when v moves past it, less what it is."""
    walk.rank[v] = -1
    for i in range(low, current):
        w = walk.others[i]
        walk.change[i] = 0.0
        if model.allowed[w, v] and not _change(trees, model, room, walk, w, i):
            return False
    walk.rank[v] = _LAST
    for i in range(current, high):
        w = walk.others[i]
        walk.change[i] = 0.0
        if walk.grown[w, v] and not _change(trees, model, room, walk, w, i):
            return False
    return True


@inlined
def _change(trees: Trees, model: Model, room: Room, walk: Walk, w: int, place: int) -> bool:
    """What the score of w becomes at this place with the ranks as they are, less what it is."""
    node, _ = trace(trees, model, room, walk.rank, w, place)
    if node == FULL:
        return False
    walk.change[place] = trees.scores[node] - walk.scores[w]
    return True


@jit_inner
def _move(trees: Trees, model: Model, room: Room, walk: Walk, v: int, place: int) -> None:
    """Put v there, and bring scores and ways down to it. All of this has been traced: no tree grows."""
    p = len(walk.order)
    current = 0
    while walk.order[current] != v:
        current += 1
    walk.rank[v] = -1
    for i in range(place, current):
        _settle(trees, model, room, walk, walk.others[i], i)
    walk.rank[v] = _LAST
    for i in range(current, place):
        _settle(trees, model, room, walk, walk.others[i], i)
    _settle(trees, model, room, walk, v, place)
    for i in range(place):
        walk.order[i] = walk.others[i]
    walk.order[place] = v
    for i in range(place, p - 1):
        walk.order[i + 1] = walk.others[i]

"""Best-order search, compiled: from correlations to a DAG with a high Gaussian BIC: of few values the highest
(discovery.orders.exhaustive), else the highest that is climbed to from some orders.

Columns are first put into an order of their own, by their squared correlations with all others, so that the
result does not depend on the order in which they are given. Starts: that order, its reverse, then orders
drawn from a fixed stream, with values also taken up in a drawn order; required edges and tiers are respected
in all. The best score counts, of equal ones the first.
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, FloatArray, IndexArray, WordArray
from axiograph.discovery.numerics.compiled import jit, jit_inner
from axiograph.discovery.orders.climb import BETTER, Walk, climb
from axiograph.discovery.orders.exhaustive import Sets, best_of_all
from axiograph.discovery.orders.trees import (
    Model,
    Room,
    Trees,
    condition_all,
    larger,
    plant,
    shrink,
    trace,
)

FIRST_OF_STREAM = 88172645463325252  # Marsaglia's own first number


@jit
def own_order(corr: FloatArray) -> IndexArray:
    """[p]: columns by the sum of their squared correlations, ascending; equal ones as they are given.

    Each sum is made of sorted squares, so that rounding is the same for every order of the columns."""
    p = len(corr)
    order, totals, squares = np.empty(p, np.int64), np.empty(p), np.empty(p)
    for i in range(p):
        for j in range(p):
            square = corr[i, j] * corr[i, j]
            k = j
            while k > 0 and squares[k - 1] > square:
                squares[k] = squares[k - 1]
                k -= 1
            squares[k] = square
        total = 0.0
        for k in range(p):
            total += squares[k]
        totals[i] = total
        k = i
        while k > 0 and totals[order[k - 1]] > total:
            order[k] = order[k - 1]
            k -= 1
        order[k] = i
    return order


@jit
def best_order(
    corr: FloatArray,
    allowed: ByteArray,
    required: ByteArray,
    before: ByteArray,
    bound: int,
    rows: float,
    cost: float,
    starts: int,
    trees: Trees,
    room: Room,
    walk: Walk,
    sets: Sets,
    dag: ByteArray,
) -> tuple[float, Trees]:
    """Fill dag [p, p], entry [i, j] 1 for i → j, with the best one found; its score, and the trees, which may
    have grown.

    corr [p, p]; `allowed`, `required`, `before`: of discovery.orders.constraints; `bound`: most parents of a
    value; `rows`: n of the score; `cost`: of a parent; `starts`: how many orders are climbed from, where
    `sets` have no room for all DAGs."""
    p = len(corr)
    own = own_order(corr)
    model = _model(corr, allowed, required, bound, rows, cost, own)
    if len(sets.total) > 0:
        inner = np.empty((p, p), np.uint8)
        score = best_of_all(model, sets, inner)
        if score > -np.inf:
            for i in range(p):
                for j in range(p):
                    dag[own[i], own[j]] = inner[i, j]
            return score, trees
    earlier = np.empty((p, p), np.uint8)
    for i in range(p):
        for j in range(p):
            earlier[i, j] = before[own[i], own[j]]
    while not plant(trees, model, room):
        trees = larger(trees)
    best, wanted, turns = np.empty(p, np.int64), np.empty(p, np.int64), np.empty(p, np.int64)
    stream = np.array([FIRST_OF_STREAM], np.uint64)
    highest = -np.inf
    for start in range(starts):
        preferred(start, stream, wanted)
        preferred(0 if start == 1 else start, stream, turns)
        respecting(earlier, wanted, walk.order)
        trees = climb(trees, model, room, walk, earlier, turns)
        score = 0.0
        for y in range(p):
            score += walk.scores[y]
        if score > highest + BETTER:
            highest = score
            _copy(walk.order, best)
    _copy(best, walk.order)
    _read_dag(trees, model, room, walk, own, dag)
    return highest, trees


@jit_inner
def _copy(source: IndexArray, target: IndexArray) -> None:
    for i in range(len(source)):
        target[i] = source[i]


@jit
def _model(
    corr: FloatArray,
    allowed: ByteArray,
    required: ByteArray,
    bound: int,
    rows: float,
    cost: float,
    own: IndexArray,
) -> Model:
    """The same, with the columns in the order `own`."""
    p = len(corr)
    inner, may = np.empty((p, p)), np.empty((p, p), np.uint8)
    must = np.zeros((p, 1 + p), np.int64)
    for i in range(p):
        for j in range(p):
            inner[i, j] = corr[own[i], own[j]]
            # allowed[x, y] of x → y; the model asks for the parents of y.
            is_required = required[own[j], own[i]] == 1
            may[i, j] = (allowed[own[j], own[i]] == 1) & (not is_required) & (i != j)
            if is_required:
                must[i, 0] += 1
                must[i, must[i, 0]] = j
    return Model(inner, may, must, bound, rows, cost)


@jit_inner
def preferred(start: int, stream: WordArray, wanted: IndexArray) -> None:
    """The order that this start would have without knowledge."""
    p = len(wanted)
    for i in range(p):
        wanted[i] = p - 1 - i if start == 1 else i
    if start < 2:
        return
    for i in range(p - 1, 0, -1):
        # xorshift64 (Marsaglia 2003): the same numbers on every machine
        x = stream[0]
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
        stream[0] = x
        j = np.int64(x % np.uint64(i + 1))
        wanted[i], wanted[j] = wanted[j], wanted[i]


@jit
def respecting(before: ByteArray, wanted: IndexArray, order: IndexArray) -> None:
    """Fill `order`: always the first of `wanted` before which nothing has to come any more."""
    p = len(wanted)
    waits = np.zeros(p, np.int64)
    for b in range(p):
        for a in range(p):
            waits[b] += before[a, b]
    placed = np.zeros(p, np.uint8)
    for i in range(p):
        for v in wanted:
            if placed[v] == 0 and waits[v] == 0:
                order[i] = v
                placed[v] = 1
                for b in range(p):
                    waits[b] -= before[v, b]
                break


@jit_inner
def _read_dag(trees: Trees, model: Model, room: Room, walk: Walk, own: IndexArray, dag: ByteArray) -> None:
    """The parents that `walk.order` gives, in the columns as they were given. The trees hold all of them."""
    p = len(walk.order)
    for i in range(p):
        walk.rank[walk.order[i]] = i
        for j in range(p):
            dag[i, j] = 0
    for i in range(p):
        y = walk.order[i]
        _, size = trace(trees, model, room, walk.rank, y, i)
        condition_all(model, room, room.path, y, size)
        for k in range(shrink(model, room, y, size)):
            dag[own[room.kept[k]], own[y]] = 1

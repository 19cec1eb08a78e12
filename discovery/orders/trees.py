"""Grow-shrink trees, compiled: the parents of a value among those before it in an order, and their score.

Andrews et al. 2023 (NeurIPS, "Fast Scalable and Accurate Discovery of DAGs Using the Best Order Score Search
and Grow-Shrink Trees"). The score of y given parents S is −n log var(y | S) − λ |S|: larger is better. Among
the candidates, those before y, the parent that raises it most is added until none does; then the one whose
removal raises it most is removed, until none does. Every value has a tree: a node is a sequence of additions,
its branches are all values that would raise the score there, best first. What candidates lead to is found by
going down, at each node along the first branch that is a candidate; nothing is computed twice, whatever the
order. Required parents stand at the root.

Nodes hold no matrices. A new one is made from the correlations by a Cholesky factor of the parents, a row for
each: row k holds cov(s_k, ·| s_1 … s_{k−1}) / sd(s_k | s_1 … s_{k−1}), so that the variances of all values
given S, and their covariances with y, lose a product of rows with each parent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, CountArray, EntryArray, FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import inlined, jit, jit_inner

MIN_VARIANCE = 1e-9  # of a value given others, as a share of its own: below it, a regression is singular
FULL = -1
NEW = -1


class Trees(NamedTuple):
    """`nodes` [capacity, 2]: first branch and number of branches. `scores` [capacity]: once shrunk, NaN
    before they are asked for. `branches` [capacity, 2]: the value added, and the node that it leads to, or
    NEW. `roots` [p]. `used` [2]: nodes and branches."""

    nodes: EntryArray
    scores: FloatArray
    branches: EntryArray
    roots: EntryArray
    used: CountArray


class Model(NamedTuple):
    """What a score is of. `corr` [p, p]. `allowed` [p, p]: [y, x] is 1 where x may be added as a parent of y.
    `required` [p, 1 + p]: how many parents y must have, then which. `bound`: most parents of a value.
    `rows`: n of the score; `cost`: λ of a parent."""

    corr: FloatArray
    allowed: ByteArray
    required: IndexArray
    bound: int
    rows: float
    cost: float


class Room(NamedTuple):
    """What a walk works in. `factor` [bound + 1, p]; `variance`, `with_target` [p]: of all values given the
    path, and their covariances with the target; `path` [p]: the parents added; `kept` [p]: those left when
    shrunk; `gains` [p]; `inverse` [p]."""

    factor: FloatArray
    variance: FloatArray
    with_target: FloatArray
    path: IndexArray
    kept: IndexArray
    gains: FloatArray
    inverse: FloatArray


@jit
def make_trees(p: int, nodes: int, branches: int) -> Trees:
    """Room for so many; empty until `plant`."""
    return Trees(
        np.empty((nodes, 2), np.int32),
        np.empty(nodes),
        np.empty((branches, 2), np.int32),
        np.empty(p, np.int32),
        np.zeros(2, np.int64),
    )


@jit
def larger(trees: Trees) -> Trees:
    """The same with twice the room."""
    more = make_trees(len(trees.roots), 2 * len(trees.nodes), 2 * len(trees.branches))
    nodes, branches = trees.used[0], trees.used[1]
    for node in range(nodes):
        more.nodes[node, 0], more.nodes[node, 1] = trees.nodes[node, 0], trees.nodes[node, 1]
        more.scores[node] = trees.scores[node]
    for branch in range(branches):
        more.branches[branch, 0] = trees.branches[branch, 0]
        more.branches[branch, 1] = trees.branches[branch, 1]
    for y in range(len(trees.roots)):
        more.roots[y] = trees.roots[y]
    more.used[0], more.used[1] = nodes, branches
    return more


@jit
def make_room(p: int, bound: int) -> Room:
    """For walks of p values with so many parents at most."""
    return Room(
        np.empty((bound + 1, p)),
        np.empty(p),
        np.empty(p),
        np.empty(p, np.int64),
        np.empty(p, np.int64),
        np.empty(p),
        np.empty(p),
    )


@jit_inner
def plant(trees: Trees, model: Model, room: Room) -> bool:
    """Forget all nodes and make a root for every value; false where there is no room."""
    trees.used[0] = 0
    trees.used[1] = 0
    for y in range(len(model.corr)):
        size = model.required[y, 0]
        for k in range(size):
            room.path[k] = model.required[y, 1 + k]
        condition_all(model, room, room.path, y, size)
        node = _grow(trees, model, room, y, size)
        if node == FULL:
            return False
        trees.roots[y] = node
    return True


@jit_inner
def condition_all(model: Model, room: Room, parents: IndexArray, y: int, size: int) -> None:
    """Bring `room` to the first `size` of `parents`, those of y."""
    for t in range(len(model.corr)):
        room.variance[t] = model.corr[t, t]
        room.with_target[t] = model.corr[y, t]
    for k in range(size):
        condition(model, room, y, k, parents[k])


@inlined
def condition(model: Model, room: Room, y: int, k: int, parent: int) -> None:
    """Add row k of the factor, that of `parent`."""
    p = len(model.corr)
    factor = room.factor
    for t in range(p):
        factor[k, t] = model.corr[parent, t]
    for i in range(k):
        weight = factor[i, parent]
        for t in range(p):
            factor[k, t] -= weight * factor[i, t]
    scale = 1.0 / np.sqrt(max(room.variance[parent], MIN_VARIANCE))
    with_y = factor[k, y] * scale
    for t in range(p):
        value = factor[k, t] * scale
        factor[k, t] = value
        room.variance[t] -= value * value
        room.with_target[t] -= with_y * value


@jit_inner
def _grow(trees: Trees, model: Model, room: Room, y: int, size: int) -> int:
    """A new node where `room` is, or FULL."""
    p = len(model.corr)
    node, first = trees.used[0], trees.used[1]
    if node == len(trees.nodes) or first + p > len(trees.branches):
        return FULL
    count = 0
    if size < model.bound:
        # A parent that takes more of the variance than this is worth its cost; the last of it is no gain.
        variance = room.variance[y]
        least = max(variance * (1.0 - np.exp(-model.cost / model.rows)), 0.0)
        most = variance - MIN_VARIANCE
        for t in range(p):
            if model.allowed[y, t] == 0 or room.variance[t] < MIN_VARIANCE:
                continue
            gain = min(room.with_target[t] * room.with_target[t] / room.variance[t], most)
            if gain > least:
                k = count
                while k > 0 and room.gains[k - 1] < gain:
                    room.gains[k] = room.gains[k - 1]
                    trees.branches[first + k, 0] = trees.branches[first + k - 1, 0]
                    k -= 1
                room.gains[k] = gain
                trees.branches[first + k, 0] = t
                count += 1
        for k in range(count):
            trees.branches[first + k, 1] = NEW
    trees.nodes[node, 0] = first
    trees.nodes[node, 1] = count
    trees.scores[node] = np.nan
    trees.used[0] = node + 1
    trees.used[1] = first + count
    return node


@inlined
def trace(trees: Trees, model: Model, room: Room, rank: IndexArray, y: int, before: int) -> tuple[int, int]:
    """(node, size): where the candidates of y, those of a rank below `before`, lead, and how many parents
    were added, required ones among them, which are then in `room.path`. (FULL, 0) where there is no room:
    then the call can be made again with larger trees."""
    node = 0 + trees.roots[y]  # of 64 bits, as all other numbers
    size = model.required[y, 0]
    for k in range(size):
        room.path[k] = model.required[y, 1 + k]
    branch = _first_candidate(trees, rank, node, before)
    while branch >= 0 and trees.branches[branch, 1] != NEW:
        room.path[size] = trees.branches[branch, 0]
        size += 1
        node = 0 + trees.branches[branch, 1]
        branch = _first_candidate(trees, rank, node, before)
    if branch >= 0 or np.isnan(trees.scores[node]):
        node, size = _go_on(trees, model, room, rank, y, before, node, size)
    return node, size


@inlined
def _first_candidate(trees: Trees, rank: IndexArray, node: int, before: int) -> int:
    """The branch of `node` to follow, −1 where no candidate would raise the score."""
    branch = 0 + trees.nodes[node, 0]
    last = branch + trees.nodes[node, 1]
    while branch < last:
        if rank[trees.branches[branch, 0]] < before:
            return branch
        branch += 1
    return -1


@jit_inner
def _go_on(
    trees: Trees, model: Model, room: Room, rank: IndexArray, y: int, before: int, node: int, size: int
) -> tuple[int, int]:
    """`trace` from a node on below which there are no more nodes, with `size` parents in `room.path`."""
    condition_all(model, room, room.path, y, size)
    while True:
        branch = _first_candidate(trees, rank, node, before)
        if branch < 0:
            break
        room.path[size] = trees.branches[branch, 0]
        condition(model, room, y, size, room.path[size])
        size += 1
        node = _grow(trees, model, room, y, size)
        if node == FULL:
            return FULL, 0
        trees.branches[branch, 1] = node
    if np.isnan(trees.scores[node]):
        kept = shrink(model, room, y, size)
        variance = max(room.variance[y], MIN_VARIANCE)
        trees.scores[node] = -model.rows * np.log(variance) - model.cost * kept
    return node, size


@jit_inner
def shrink(model: Model, room: Room, y: int, size: int) -> int:
    """How many of the `size` parents of y in `room.path` stay; they are then in `room.kept`, and `room` is at
    them."""
    for k in range(size):
        room.kept[k] = room.path[k]
    required = model.required[y, 0]
    if size == required + 1:
        return size  # what was added last was worth it
    worth = np.exp(model.cost / model.rows)
    while size > required:
        # Without parent i the variance grows by b_i² / w_ii: b its coefficient, w the inverse covariances.
        variance, worst = max(room.variance[y], MIN_VARIANCE), -1
        least = variance * worth
        for i in range(size - 1, required - 1, -1):
            b = room.factor[i, y]
            for m in range(i + 1, size):
                b -= room.factor[i, room.kept[m]] * room.gains[m]
            b /= room.factor[i, room.kept[i]]
            room.gains[i] = b
            grown = variance + b * b / _inverse_diagonal(room, i, size)
            if grown < least:
                least, worst = grown, i
        if worst < 0:
            break
        for k in range(worst, size - 1):
            room.kept[k] = room.kept[k + 1]
        size -= 1
        condition_all(model, room, room.kept, y, size)
    return size


@inlined
def _inverse_diagonal(room: Room, i: int, size: int) -> float:
    """Entry i, i of the inverse of the covariances of `room.kept`: the squared length of column i of the
    inverse factor."""
    x = room.inverse
    x[i] = 1.0 / room.factor[i, room.kept[i]]
    total = x[i] * x[i]
    for m in range(i + 1, size):
        value = 0.0
        for q in range(i, m):
            value -= room.factor[q, room.kept[m]] * x[q]
        x[m] = value / room.factor[m, room.kept[m]]
        total += x[m] * x[m]
    return total

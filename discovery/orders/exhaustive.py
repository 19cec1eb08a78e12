"""The best of all DAGs over few values, compiled: dynamic programming over sets (Silander & Myllymäki 2006,
UAI, "A Simple Approach for Finding the Globally Optimal Bayesian Network Structure").

For every set S of values the best parents of each y within S are either S itself or the best within S less
one value; the best DAG of a set ends in one of its values, which takes its best parents within the others.
A set is a word of bits, bit x for value x.

Variances given S come from those given S less its lowest value by one step of elimination: in counting order
the latter is the last set of its size that was visited, so that a matrix for each size is enough; and only
values below the lowest of S are ever eliminated after it, so that of each matrix only these rows are needed.

The score of y given S is −n log var(y | S) − λ |S|. What is compared is var(y | S) · exp(λ / n)^|S|
instead, for DAGs the product over y: the same order, without a logarithm for every set.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from axiograph.discovery.numerics.arrays import ByteArray, FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import inlined, jit, jit_inner
from axiograph.discovery.orders.trees import MIN_VARIANCE, Model

MOST_VALUES = 12  # half a millisecond; each further one takes twice the time and room


class Sets(NamedTuple):
    """What the search works in. `within` [2^p, p]: of each value, the least cost of parents within a set;
    `total` [2^p]: the least product of costs of a DAG of a set; `rows` [p + 1, p, p] and `variance` [p + 1,
    p]: covariances and variances given a set of each size; `forbidden`, `required` [p]: sets of values that
    are no parents, and that must be."""

    within: FloatArray
    total: FloatArray
    rows: FloatArray
    variance: FloatArray
    forbidden: IndexArray
    required: IndexArray


@jit
def make_sets(p: int, most: int) -> Sets:
    """For p values; without room for sets where they are more than `most`."""
    count = 1 << p if p <= most else 0
    return Sets(
        np.empty((count, p)),
        np.empty(count),
        np.empty((p + 1, p, p)),
        np.empty((p + 1, p)),
        np.empty(p, np.int64),
        np.empty(p, np.int64),
    )


@jit_inner
def best_of_all(model: Model, sets: Sets, dag: ByteArray) -> float:
    """Fill dag [p, p], entry [i, j] 1 for i → j, with the best of all DAGs; its score. −∞ where no DAG has a
    score that is a number: required parents of which one is a function of others, or too dear."""
    p = len(model.corr)
    _read_model(model, sets)
    _find_parents(model, sets)
    sets.total[0] = 1.0
    for members in range(1, 1 << p):
        least = np.inf
        for y in range(p):
            if members >> y & 1:
                least = min(least, _ending_in(sets, members, y))
        sets.total[members] = least
    if not sets.total[(1 << p) - 1] < np.inf:
        return -np.inf
    return model.rows * _read_dag(sets, dag)


@inlined
def _ending_in(sets: Sets, members: int, y: int) -> float:
    """The least product of costs of the `members` where y is no parent of another."""
    others = members ^ (1 << y)
    return sets.total[others] * sets.within[others, y]


@jit_inner
def _read_model(model: Model, sets: Sets) -> None:
    p = len(model.corr)
    for y in range(p):
        required = forbidden = 0
        for k in range(model.required[y, 0]):
            required |= 1 << model.required[y, 1 + k]
        for x in range(p):
            sets.rows[0, y, x] = model.corr[y, x]
            if not model.allowed[y, x] and not required >> x & 1:
                forbidden |= 1 << x
        sets.required[y], sets.forbidden[y] = required, forbidden
        sets.variance[0, y] = model.corr[y, y]


@jit_inner
def _find_parents(model: Model, sets: Sets) -> None:
    """Fill `sets.within`."""
    p = len(model.corr)
    worth = np.exp(model.cost / model.rows)
    within = sets.within
    for members in range(1 << p):
        size = lowest = 0
        for x in range(p - 1, -1, -1):
            if members >> x & 1:
                size += 1
                lowest = x
        may_be = size == 0 or _eliminate(sets, size, lowest)
        price = worth**size if may_be and size <= model.bound else np.inf
        for y in range(p):
            ruled_out = (members & sets.forbidden[y]) | (sets.required[y] & ~members)
            cost = max(sets.variance[size, y], MIN_VARIANCE) * price
            within[members, y] = cost if ruled_out == 0 else np.inf
        for x in range(lowest, p):
            less = members ^ (1 << x)
            if less < members:
                for y in range(p):
                    within[members, y] = min(within[members, y], within[less, y])


@inlined
def _eliminate(sets: Sets, size: int, lowest: int) -> bool:
    """Fill the matrix of this size: that of one less, given the value `lowest` as well. False where that
    value is a function of the others."""
    p = len(sets.forbidden)
    rows, variance, above = sets.rows, sets.variance, size - 1
    pivot = variance[above, lowest]
    if not pivot >= MIN_VARIANCE:
        for j in range(p):
            variance[size, j] = 0.0  # so that the same is said of every set with all of these
        return False
    for t in range(lowest):
        weight = rows[above, t, lowest] / pivot
        for j in range(p):
            rows[size, t, j] = rows[above, t, j] - weight * rows[above, lowest, j]
    for j in range(p):
        variance[size, j] = variance[above, j] - rows[above, lowest, j] * (rows[above, lowest, j] / pivot)
    return True


@jit_inner
def _read_dag(sets: Sets, dag: ByteArray) -> float:
    """The DAG from its last value to the first, and its score by row. Costs of larger sets are copies of
    those of smaller ones, so that equal ones have the same parents."""
    p = len(sets.forbidden)
    members, score = (1 << p) - 1, 0.0
    for _ in range(p):
        y = 0
        while not members >> y & 1 or _ending_in(sets, members, y) != sets.total[members]:
            y += 1
        members ^= 1 << y
        score -= np.log(sets.within[members, y])
        parents, x = members, 0
        while x < p:
            less = parents ^ (1 << x)
            if less < parents and sets.within[less, y] == sets.within[parents, y]:
                parents, x = less, 0
            else:
                x += 1
        for x in range(p):
            dag[x, y] = parents >> x & 1
    return score

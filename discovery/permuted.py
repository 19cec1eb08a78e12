"""The null of the bootstrap: a table in which no value has to do with another, but rows of a role still have.

Every value's column is permuted on its own, by whole roles: role g gets all that role π(g) answered, so
that rows of one role stay as alike as they were, and n = roles is as right (or wrong) for the null as for
the data. Which of the role's rows comes first is shuffled as well: in the same order, a condition that
moves two values would keep them together.

Indicator columns say under which condition a row was taken. They stay, and values move only between rows
with the same indicators: what conditions do to each value is kept, and the null says which edges are found
beyond it.
"""

from __future__ import annotations

import numpy as np

from discovery.pc import FloatArray
from discovery.resample import IntArray


def null_sources(
    data: FloatArray, groups: IntArray | None, indicators: IntArray, rng: np.random.Generator
) -> IntArray:
    """[n_rows, n_values]: the row from which each cell of the null takes its column's score.

    `groups` [n_rows]: role numbers 0 … n_roles − 1, None for one row a role; `indicators`: column numbers.
    Each column's sources are a permutation of the rows. Roles may have different numbers of rows, and some
    none under a condition: there the role after next in the permutation's cycle gives the score, and so
    on."""
    rows, columns = data.shape
    roles = np.arange(rows) if groups is None else groups
    strata = _strata(data[:, indicators])
    sources = np.tile(np.arange(rows)[:, None], columns)
    fixed = _by_place(roles, strata, np.arange(rows))
    several = len(fixed) > strata.max() + 1  # rows of one role under one condition, in no order of their own
    for column in np.setdiff1d(np.arange(columns), indicators):
        shuffled = _by_place(roles, strata, rng.permutation(rows)) if several else fixed
        order = rng.permutation(fixed.shape[1])
        for into, out_of in zip(fixed, shuffled, strict=True):
            sources[_filled(into), column] = out_of[_giver(order, into >= 0)]
    return sources


def _strata(indicators: FloatArray) -> IntArray:
    """[n_rows]: the same number for rows with the same indicators."""
    return np.unique(indicators, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _by_place(roles: IntArray, strata: IntArray, order: IntArray) -> IntArray:
    """[n_places, n_roles]: the row of each role at each place, −1 where it has none. A place is the k-th
    row of a role in its stratum, in the given order of all rows."""
    by_block = order[np.lexsort((strata[order], roles[order]))]
    block = np.stack([roles[by_block], strata[by_block]])
    begins = np.flatnonzero(np.r_[True, (block[:, 1:] != block[:, :-1]).any(axis=0)])
    sizes = np.diff(np.r_[begins, len(roles)])
    k = np.arange(len(roles)) - np.repeat(begins, sizes)
    places = np.unique(strata[by_block] * len(roles) + k, return_inverse=True)[1].reshape(-1)
    table = np.full((places.max() + 1, roles.max() + 1), -1, np.int64)
    table[places, roles[by_block]] = by_block
    return table


def _filled(rows: IntArray) -> IntArray:
    return rows[rows >= 0]


def _giver(order: IntArray, there: np.ndarray) -> IntArray:
    """For each role that is `there`, the next one there in the cycles of the permutation `order`: a
    permutation of those roles, and `order` itself where it leads to none of the others."""
    giver = order[there]
    while not (known := there[giver]).all():
        giver = np.where(known, giver, order[giver])
    return giver

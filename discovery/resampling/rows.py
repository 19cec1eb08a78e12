"""How the rows of a replicate are drawn (DESIGN 12), and those of the null: from child streams of a seed,
whoever computes them.

The null is a table in which no value has to do with another, but rows of a role still have. Every value's
column is permuted separately, by whole roles: role g gets all that role π(g) answered, so that rows of one
role stay as alike as they were, and n = roles is as right (or wrong) for the null as for the data. Which of
the role's rows comes first is shuffled as well: in the same order, a condition that moves two values would
keep them together. Indicator columns say under which condition a row was taken. They stay, and values move
only between rows with the same indicators: what conditions do to each value remains, and the null says which
edges are found beyond it.

A second null keeps how extreme each role answers. Permuted columns do not: where some roles answer everything
strongly and others hardly anything, independent values have correlations that scatter more than n roles
allow, and a search finds edges that the first null does not know of. Here every deviation of a role from the
mean of a value keeps its size and gets a sign by chance, for each role and value apart, so that nothing but
the sizes is left in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.pc.inputs import MIN_ROWS
from axiograph.engine.errors import InputError

NULL_REPLICATES = 20


class Resample(StrEnum):
    """How a replicate is drawn. Rows of one role are not independent (DESIGN 11), so roles are drawn, each
    with all of its rows.

    ROWS_WITH_REPLACEMENT draws single rows instead. It is offered since others do it, and it is the wrong
    default: it takes the rows of one role for as many roles, so that its replicates differ too little from
    one another and an edge that a few roles make looks sure. With one row a role it is
    ROLES_WITH_REPLACEMENT."""

    HALF_OF_ROLES = "half_of_roles"
    ROLES_WITH_REPLACEMENT = "roles_with_replacement"
    ROWS_WITH_REPLACEMENT = "rows_with_replacement"


@dataclass(frozen=True)
class Resampling:
    """How many `replicates` are drawn, in which way (`resample`), from which `seed`; and on how many tables
    with permuted columns the null is found, two graphs each. The `resample` may be given by its name.

    Raises InputError for numbers out of range and names that there are not."""

    replicates: int = 1000
    resample: Resample = Resample.HALF_OF_ROLES
    seed: int = 0
    null_replicates: int = NULL_REPLICATES

    def __post_init__(self) -> None:
        object.__setattr__(self, "resample", parse_resample(self.resample))
        if self.replicates < 1 or self.null_replicates < 0 or self.seed < 0:
            raise InputError(
                "replicates, null replicates, seed",
                "at least 1, 0 and 0",
                f"{self.replicates}, {self.null_replicates} and {self.seed}",
                "Correct the discovery settings.",
            )


def parse_resample(name: Resample | str) -> Resample:
    """The way of drawing called `name`; InputError where there is none."""
    try:
        return Resample(name)
    except ValueError:
        names = ", ".join(Resample)
        raise InputError("resample", f"one of {names}", f"{name!r}", "Choose one of them.") from None


def rows_in_replicate(n_roles: int, resample: Resample) -> int:
    """How many rows a replicate's tests count as independent: its roles, however many rows each has.

    Half of the roles, rounded up, or n_roles, where rows are drawn singly as well. InputError where that is
    too few for PC."""
    rows = drawn_units(n_roles, resample)
    if rows < MIN_ROWS:
        raise InputError(
            "bootstrap",
            f"at least {MIN_ROWS} roles in a replicate",
            f"{rows} of {n_roles}",
            "Ask more roles.",
        )
    return rows


def drawn_units(units: int, resample: Resample) -> int:
    """How many a replicate draws of `units` roles (or rows)."""
    return (units + 1) // 2 if resample is Resample.HALF_OF_ROLES else units


def draw_many(units: int, resample: Resample, seed: int, numbers: Sequence[int]) -> IndexArray:
    """[R, k]: what the replicates `numbers` draw of the units 0 … units − 1: half of them (rounded up),
    each once, or as many as there are, with replacement.

    Replicate r draws from child stream r of `seed` (discovery.numerics.philox), whichever others are drawn
    with it. Units are roles, for ROWS_WITH_REPLACEMENT rows."""
    from axiograph.discovery.numerics.philox import draw_any, draw_distinct, key_of

    drawn = np.empty((len(numbers), drawn_units(units, resample)), np.int64)
    draw = draw_distinct if resample is Resample.HALF_OF_ROLES else draw_any
    draw(key_of(seed), np.asarray(numbers, dtype=np.int64), units, drawn)
    return drawn


@dataclass(frozen=True, eq=False)
class Units:
    """What is drawn, roles or rows, and the rows of each: those of unit u are rows[start[u] : start[u + 1]].

    `n_roles`: how many roles there are, which is what tests on all rows count as independent."""

    rows: IndexArray
    start: IndexArray
    n_roles: int

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def of(cls, n_rows: int, groups: IndexArray | None, resample: Resample) -> Units:
        """`groups` [n_rows]: the number of each row's role, 0 … n_roles − 1; None for one row a role.

        InputError where it is anything else."""
        if groups is None:
            return cls(np.arange(n_rows), np.arange(n_rows + 1), n_rows)
        sizes = _sizes(n_rows, groups)
        if resample is Resample.ROWS_WITH_REPLACEMENT:
            return cls(np.arange(n_rows), np.arange(n_rows + 1), len(sizes))
        start = np.concatenate([[0], np.cumsum(sizes)])
        return cls(np.argsort(groups, kind="stable"), start, len(sizes))

    @property
    def single(self) -> bool:
        """Whether every unit is one row."""
        return len(self) == len(self.rows)

    def rows_of(self, drawn: IndexArray) -> IndexArray:
        """The rows of the units `drawn`, a unit's rows again each time that it was drawn."""
        if self.single:
            return self.rows[drawn]
        sizes = self.start[drawn + 1] - self.start[drawn]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        return self.rows[np.repeat(self.start[drawn], sizes) + within]


def _sizes(n_rows: int, groups: IndexArray) -> IndexArray:
    groups = np.asarray(groups)
    if groups.shape != (n_rows,) or not np.issubdtype(groups.dtype, np.integer):
        raise InputError(
            "groups",
            f"the role number of each of {n_rows} rows",
            f"shape {groups.shape} of {groups.dtype}",
            "Pass one whole number a row.",
        )
    sizes = np.bincount(groups) if groups.min() >= 0 else np.zeros(1, np.int64)
    if not sizes.all():
        raise InputError(
            "groups",
            "numbers from 0 to the number of roles − 1, each at least once",
            f"numbers from {groups.min()} to {groups.max()}, {len(np.unique(groups))} of them different",
            "Number the roles without gaps.",
        )
    return sizes.astype(np.int64)


def null_sources(
    data: FloatArray, groups: IndexArray | None, indicators: IndexArray, rng: np.random.Generator
) -> IndexArray:
    """[n_rows, n_values]: the row from which each cell of the null takes its column's score.

    `groups` [n_rows]: role numbers 0 … n_roles − 1, None for one row a role; `indicators`: column numbers.
    Each column's sources are a permutation of the rows. Roles may have different numbers of rows, and some
    none under a condition: there the role after next in the permutation's cycle gives the score, and so
    on."""
    rows, columns = data.shape
    roles = np.arange(rows) if groups is None else groups
    strata = _strata(data[:, indicators])
    sources = np.tile(np.arange(rows)[:, None], columns)
    fixed = _by_slot(roles, strata, np.arange(rows))
    several = len(fixed) > strata.max() + 1  # rows of one role under one condition, in no order of their own
    for column in np.setdiff1d(np.arange(columns), indicators):
        shuffled = _by_slot(roles, strata, rng.permutation(rows)) if several else fixed
        order = rng.permutation(fixed.shape[1])
        for into, out_of in zip(fixed, shuffled, strict=True):
            sources[_filled(into), column] = out_of[_next_filled(order, into >= 0)]
    return sources


def null_signs(n_roles: int, n_columns: int, indicators: IndexArray, rng: np.random.Generator) -> FloatArray:
    """[n_roles, n_columns] of −1 and 1 by chance; 1 throughout in the columns `indicators`."""
    signs: FloatArray = np.where(rng.integers(0, 2, (n_roles, n_columns)) == 1, 1.0, -1.0)
    signs[:, indicators] = 1.0
    return signs


def _strata(indicators: FloatArray) -> IndexArray:
    """[n_rows]: the same number for rows with the same indicators."""
    return np.unique(indicators, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _by_slot(roles: IndexArray, strata: IndexArray, order: IndexArray) -> IndexArray:
    """[n_slots, n_roles]: the row of each role in each slot, −1 where it has none. A slot is the k-th
    row of a role in its stratum, in the given order of all rows."""
    by_block = order[np.lexsort((strata[order], roles[order]))]
    block = np.stack([roles[by_block], strata[by_block]])
    begins = np.flatnonzero(np.r_[True, (block[:, 1:] != block[:, :-1]).any(axis=0)])
    sizes = np.diff(np.r_[begins, len(roles)])
    k = np.arange(len(roles)) - np.repeat(begins, sizes)
    slots = np.unique(strata[by_block] * len(roles) + k, return_inverse=True)[1].reshape(-1)
    table = np.full((slots.max() + 1, roles.max() + 1), -1, np.int64)
    table[slots, roles[by_block]] = by_block
    return table


def _filled(rows: IndexArray) -> IndexArray:
    return rows[rows >= 0]


def _next_filled(order: IndexArray, filled: BoolArray) -> IndexArray:
    """For each role that has the slot (`filled`), the next such one in the cycles of the permutation `order`:
    a permutation of those roles, and `order` itself where it leads to none of the others."""
    source = order[filled]
    while not (has_slot := filled[source]).all():
        source = np.where(has_slot, source, order[source])
    return source

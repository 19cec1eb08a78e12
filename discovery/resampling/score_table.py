"""A table of scores with what is known about its rows, and a search that makes a graph of some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.matrix.corrections import Correction
from axiograph.discovery.numerics.arrays import FloatArray, IndexArray
from axiograph.discovery.pc.inputs import constant_columns
from axiograph.discovery.pc.search import ColumnSearch, LearnedGraph, SearchFunction, pc
from axiograph.engine.errors import InputError


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """`data` [n_rows, n_columns] and the `names` of its columns.

    `groups` [n_rows]: the role of each row, 0 … n_roles − 1; None for one row a role. `indicators`: names of
    columns that say under which condition a row was taken; the null leaves them
    (discovery.resampling.rows). `correction`: corrects the correlations of any of the rows. InputError for
    indicators that are no columns."""

    data: FloatArray
    names: Sequence[str]
    groups: IndexArray | None = None
    indicators: Sequence[str] = ()
    correction: Correction | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", np.ascontiguousarray(self.data, dtype=np.float64))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "indicators", tuple(self.indicators))
        unknown = sorted(set(self.indicators) - set(self.names))
        if unknown:
            raise InputError("indicators", "names of columns", f"{unknown}", "Correct the names.")

    @property
    def indicator_columns(self) -> IndexArray:
        """[n_indicators]: their column numbers."""
        return np.array([self.names.index(name) for name in self.indicators], dtype=np.int64)

    def within(self, names: Sequence[str]) -> ScoreTable:
        """The table with these columns only, in this order."""
        columns = [self.names.index(name) for name in names]
        return ScoreTable(
            self.data[:, columns],
            names,
            self.groups,
            [name for name in self.indicators if name in names],
            None if self.correction is None else self.correction.within(columns),
        )

    def permuted(self, sources: IndexArray) -> ScoreTable:
        """The table in which row i, column j has what row sources[i, j] has: score and what corrects it."""
        data = np.take_along_axis(self.data, sources, axis=0)
        correction = None if self.correction is None else self.correction.permuted(sources)
        return replace(self, data=data, correction=correction)

    def flipped(self, signs: FloatArray) -> ScoreTable | None:
        """The table in which column j of the rows of role g lies as far on the other side of its mean where
        signs[g, j] is −1; None where its correction knows more than scores."""
        centre = self.data.mean(axis=0)  # what fills gaps, too: it stays
        by_row = signs if self.groups is None else signs[self.groups]
        data = centre + by_row * (self.data - centre)
        if self.correction is None:
            return replace(self, data=data)
        correction = self.correction.with_scores(data)
        return None if correction is None else replace(self, data=data, correction=correction)


class Strength(NamedTuple):
    """How much a search found: more edges are more, and of equally many those in more closely related scores.
    A count alone has so many ties that few values could never be told from chance. Where a search sees more
    than scores, it is its own `gain` that is compared: what experiments did by chance costs an edge each, and
    a graph of true edges explains much more with as many."""

    edges: int
    relatedness: float
    gain: float | None = None

    def is_as_much_as(self, other: Strength) -> bool:
        """Both of the same search."""
        if self.gain is not None and other.gain is not None:
            return self.gain >= other.gain
        return (self.edges, self.relatedness) >= (other.edges, other.relatedness)


def relatedness(table: ScoreTable) -> float:
    """The sum of squared correlations over pairs of the columns that vary, scores as they are and gaps as
    they are filled: less than what the search sees, in the table and in its null alike."""
    r = np.corrcoef(table.data[:, ~constant_columns(table.data)].T)
    return float(np.sum(np.triu(np.atleast_2d(r), k=1) ** 2))


class SearchResult(NamedTuple):
    """`tested`: how many rows the tests counted as independent; `projected`: the corrected correlations had
    to be made positive definite."""

    result: LearnedGraph
    tested: int
    projected: bool


@dataclass(frozen=True)
class Search:
    """What makes a graph of rows: `function` with tests at level `alpha` and, where it takes it,
    `knowledge` (forbidden and required edges, tiers)."""

    function: SearchFunction = pc
    alpha: float = 0.05
    knowledge: Knowledge | None = None

    def on_half(self) -> Search:
        """What replicates ask of half of the roles."""
        return self._with(lambda function: function.on_half())

    def of_replicate(self, seed: int, number: int) -> Search:
        """What replicate `number` asks."""
        return self._with(lambda function: function.of_replicate(seed, number))

    def of_null(self, seed: int, number: int, *, signs: bool = False) -> Search:
        """What is asked of null table `number`."""
        return self._with(lambda function: function.of_null(seed, number, signs=signs))

    def _with(self, change: Callable[[ColumnSearch], ColumnSearch]) -> Search:
        if not isinstance(self.function, ColumnSearch):
            return self
        return replace(self, function=change(self.function))

    def run(self, table: ScoreTable, rows: IndexArray, n: int) -> SearchResult:
        """The graph of these rows, which may hold a row several times, n of them independent.

        A function is only told what differs from its defaults: it need not know all of it. Raises what the
        function and the table's correction raise."""
        told: dict[str, Any] = {} if self.knowledge is None else {"knowledge": self.knowledge}
        projected = False
        if table.correction is not None:
            corrected = table.correction.correlation(rows)
            told["correlation"], projected = corrected.matrix, corrected.projected
            n = corrected.rows(n)
        if n != len(rows):
            told["n"] = n
        return SearchResult(self.function(table.data[rows], table.names, self.alpha, **told), n, projected)

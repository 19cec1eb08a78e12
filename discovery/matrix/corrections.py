"""Correlations that take the place of the plain ones of a table: the protocol `Correction`, and the
correction for measurement error. (discovery.matrix.em and .pairwise have those for gaps.)

A score measures its value with error, which weakens its correlations; a partial correlation given a noisy
score then stays away from 0 although the values themselves are separated, and PC keeps an edge too many, the
more surely the more roles there are. The correction divides by the reliabilities (Spearman 1904, American
Journal of Psychology 15, p. 90): r_ij / √(ρ_i ρ_j), where ρ is Cronbach's alpha of the parts of a score,
which are items or whole repeats of the questionnaire.

It has a price: corrected correlations vary more, about as those of n ρ_i ρ_j roles (to first order, where
r = 0), so tests must count fewer roles: `Corrected.share`. And it is right only where the parts measure the
same thing: items of unequal difficulty look like error although they are none
(benchmarks/results/disattenuation.md shows when it helps and when it hurts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import polars as pl

from axiograph.discovery.matrix.profiles import ProfileMatrix
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.pc.inputs import MIN_ROWS
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.scoring.reliability import cronbach_alpha

Part = Literal["item", "repeat"]
MIN_RELIABILITY = 0.1  # below it a correction multiplies noise by more than three
MIN_EIGENVALUE = 0.01  # of a projected matrix: PC's tests on a nearly singular one find edges everywhere


@dataclass(frozen=True)
class Corrected:
    """`matrix` [n_columns, n_columns], NaN in the rows and columns of what has no correlations there: a
    constant column, a value that cannot be corrected. `projected`: it was not positive definite and was made
    so. `share`: how much of a role tests may count as one independent row, in (0, 1]."""

    matrix: FloatArray
    projected: bool
    share: float

    def rows(self, n: int) -> int:
        """What tests count as independent of n roles: at least PC's least, rounded down."""
        return max(min(MIN_ROWS, n), int(self.share * n))


class Correction(Protocol):
    """Correlations of any rows of a table of scores, of which it knows more than the table holds.

    It travels to the workers with the data: it must be picklable, and the same call must give the same
    answer."""

    def correlation(self, rows: IndexArray) -> Corrected:
        """Of these rows [m], numbers of rows of which some may come several times.

        Raises AxiographError where there is none: the replicate failed, and is counted with the reason."""
        ...

    def permuted(self, sources: IndexArray) -> Correction:
        """The same for the table in which row i, column j has what row sources[i, j] had there: score and
        parts; `sources` [n_rows, n_columns]."""
        ...

    def within(self, columns: Sequence[int]) -> Correction:
        """The same for these columns, in this order."""
        ...

    def with_scores(self, data: FloatArray) -> Correction | None:
        """The same for other scores [n_rows, n_columns] in the same cells; None where scores are not all that
        it knows."""
        ...

    def known(self) -> BoolArray | None:
        """[n_rows, n_columns]: which cells have a score; None where all have."""
        ...


def positive_definite(matrix: FloatArray) -> tuple[FloatArray, bool]:
    """(a correlation matrix whose eigenvalues are MIN_EIGENVALUE or more, whether it had to be changed).

    Eigenvalues below it are raised to it and the diagonal made 1 again (statsmodels' corr_clipped)."""
    if len(matrix) == 0 or float(np.linalg.eigvalsh(matrix)[0]) >= MIN_EIGENVALUE:
        return matrix, False
    from statsmodels.stats.correlation_tools import corr_clipped

    clipped = np.asarray(corr_clipped(np.clip(matrix, -1.0, 1.0), threshold=MIN_EIGENVALUE))
    return (clipped + clipped.T) / 2, True


@dataclass(frozen=True, eq=False)
class Disattenuation:
    """Corrects the correlations of any rows of `data` [n_rows, n_columns], whose scores are means of
    `parts` [n_rows, n_parts], NaN where missing: items, or whole repeats. `owner` [n_parts]: the column
    of each. Columns from `exact` on have no error: steering indicators."""

    data: FloatArray
    parts: FloatArray
    owner: IndexArray
    exact: int

    def reliability(self, rows: IndexArray) -> FloatArray:
        """[n_columns] Cronbach's alpha over these rows; NaN where undefined or below MIN_RELIABILITY."""
        parts = self.parts[rows]
        reliability = np.full(self.data.shape[1], np.nan)
        reliability[self.exact :] = 1.0
        for value in range(self.exact):
            of_value = parts[:, self.owner == value]
            alpha = _alpha_of_complete(of_value)
            if np.isnan(alpha):
                alpha = cronbach_alpha(of_value)[0] or np.nan
            if alpha >= MIN_RELIABILITY:
                reliability[value] = min(alpha, 1.0)
        return reliability

    def correlation(self, rows: IndexArray) -> Corrected:
        """The corrected correlations of these rows. RunError where fewer than two values can be corrected."""
        reliability = self.reliability(rows)
        with np.errstate(divide="ignore", invalid="ignore"):  # a constant column has no correlation
            matrix = np.atleast_2d(np.corrcoef(self.data[rows].T))
        usable = np.flatnonzero(~np.isnan(reliability) & ~np.isnan(np.diag(matrix)))
        if usable.size < 2:
            raise RunError(
                "correction for measurement error",
                f"two values with a reliability of {MIN_RELIABILITY:g} or more",
                f"{usable.size}",
                "Ask more roles or items, or leave the correction off.",
            )
        products = np.outer(reliability[usable], reliability[usable])
        inner = matrix[np.ix_(usable, usable)] / np.sqrt(products)
        np.fill_diagonal(inner, 1.0)
        inner, projected = positive_definite(inner)
        full = np.full_like(matrix, np.nan)
        full[np.ix_(usable, usable)] = inner
        return Corrected(full, projected, float(products[np.triu_indices(usable.size, 1)].mean()))

    def permuted(self, sources: IndexArray) -> Disattenuation:
        """The same for the table in which row i, column j is that of row sources[i, j]: score and parts."""
        return Disattenuation(
            np.take_along_axis(self.data, sources, axis=0),
            np.take_along_axis(self.parts, sources[:, self.owner], axis=0),
            self.owner,
            self.exact,
        )

    def with_scores(self, data: FloatArray) -> None:
        """Its parts would have to follow the scores."""
        return

    def known(self) -> None:
        """It needs whole rows."""
        return

    def within(self, columns: Sequence[int]) -> Disattenuation:
        """The same for these columns, in this order; indicators must stay last."""
        parts = [np.flatnonzero(self.owner == column) for column in columns]
        return Disattenuation(
            self.data[:, columns],
            self.parts[:, np.concatenate(parts)],
            np.repeat(np.arange(len(columns)), [len(of_column) for of_column in parts]),
            sum(column < self.exact for column in columns),
        )


def _alpha_of_complete(parts: FloatArray) -> float:
    """As engine.scoring.reliability.cronbach_alpha, in its short form; NaN where that one is needed."""
    if len(parts) < 2 or parts.shape[1] < 2:
        return np.nan
    parts = parts[:, np.ptp(parts, axis=0) != 0]  # a constant part is no part of what varies
    count = parts.shape[1]
    if count < 2:
        return np.nan
    total = float(parts.sum(axis=1).var())
    if not total > 1e-9:  # NaN too: a part is missing
        return np.nan
    return float(count / (count - 1) * (1 - parts.var(axis=0).sum() / total))


def disattenuation(matrix: ProfileMatrix, parts: pl.DataFrame, what: Part) -> Disattenuation:
    """The correction of this matrix by the `parts` of its scores: role, condition, value, part, score.

    `what`: what the parts are, for messages. Parts of rows that the matrix does not have are not used. Raises
    InputError where a value has fewer than two parts, or several conditions have parts of a role although the
    matrix has one row a role."""
    rows = pl.DataFrame({"role": matrix.roles, "row": range(len(matrix.roles))})
    key = ["role"]
    if matrix.conditions:
        rows, key = rows.with_columns(condition=pl.Series(matrix.conditions)), ["role", "condition"]
    used = parts.with_columns(pl.col("value").cast(pl.String)).filter(pl.col("value").is_in(matrix.values))
    used = used.join(rows, on=key, how="inner")
    if used.select(pl.struct("row", "value", "part").is_duplicated().any()).item():
        raise InputError(
            f"{what}s of the scores",
            "those of one condition",
            "several scores of one role, value and part",
            f"Pass the {what}s of the baseline only.",
        )
    order = {name: k for k, name in enumerate(matrix.values)}
    columns = used.select("value", "part").unique().sort("part")
    columns = columns.with_columns(owner=pl.col("value").replace_strict(order, return_dtype=pl.Int64))
    columns = columns.sort("owner", "part", maintain_order=True).with_row_index("column")
    _check_counts(matrix, columns, what)
    cells = used.join(columns, on=["value", "part"])
    table = np.full((len(matrix.roles), columns.height), np.nan)
    table[cells["row"].to_numpy(), cells["column"].to_numpy()] = cells["score"].to_numpy()
    return Disattenuation(matrix.data, table, columns["owner"].to_numpy(), len(matrix.values))


def _check_counts(matrix: ProfileMatrix, columns: pl.DataFrame, what: Part) -> None:
    counts = dict(columns.group_by("value").len().iter_rows())
    few = [name for name in matrix.values if counts.get(name, 0) < 2]
    if few:
        remedy = "Give them more items." if what == "item" else "Set sampling.repeats to 2 or more."
        raise InputError(
            "correction for measurement error",
            f"at least two {what}s for every value",
            f"{counts.get(few[0], 0)} for {few[0]!r}" + (f" and {len(few) - 1} more" if few[1:] else ""),
            f"{remedy} Or leave the correction off.",
        )

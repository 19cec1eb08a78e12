"""Correlations of a table with gaps: each over the rows that have both scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.matrix.corrections import Corrected, positive_definite
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.pc.inputs import check_collinearity, constant_columns
from axiograph.engine.errors import RunError

_NEARLY_EQUAL = 1e-6  # 1 − |r| of columns that are looked at again, row by row
_MIN_SHARED = 3  # rows that two columns must have in common; of two rows every correlation is ±1


@dataclass(frozen=True, eq=False)
class Pairwise:
    """Correlations of any rows of `data` [n_rows, n_columns] over pairwise complete rows; `observed` [n_rows,
    n_columns] is false in the gaps. Such correlations come from different rows and need not form a
    correlation matrix; tests count as many rows as the poorest pair has: one number must do for them all."""

    data: FloatArray
    observed: BoolArray

    def correlation(self, rows: IndexArray) -> Corrected:
        """The correlations of these rows; NaN for a column that is constant in them. RunError where two
        columns that vary have fewer than three rows in common, or do not vary over them."""
        observed = self.observed[rows].astype(np.float64)
        data = np.where(self.observed[rows], self.data[rows], 0.0)
        shared = shared_rows(self.observed[rows])
        usable = usable_columns(self.data[rows], self.observed[rows])
        poorest = check_shared(shared, usable)
        matrix = _pairwise_correlation(data, observed, shared)
        matrix[~usable] = matrix[:, ~usable] = np.nan
        inner = matrix[np.ix_(usable, usable)]
        if np.isnan(inner).any():
            raise _no_correlation("two columns of which one is constant where the other is known")
        inner, projected = positive_definite(inner)
        matrix[np.ix_(usable, usable)] = inner
        return Corrected(matrix, projected, min(1.0, poorest / len(rows)))

    def permuted(self, sources: IndexArray) -> Pairwise:
        """The same for the table in which row i, column j is that of row sources[i, j] here: score or gap."""
        take = np.take_along_axis
        return Pairwise(take(self.data, sources, axis=0), take(self.observed, sources, axis=0))

    def with_scores(self, data: FloatArray) -> Pairwise:
        """The same for other scores in the same cells."""
        return Pairwise(data, self.observed)

    def known(self) -> BoolArray:
        """[n_rows, n_columns]: which cells have a score."""
        return self.observed

    def within(self, columns: Sequence[int]) -> Pairwise:
        """The same for these columns, in this order."""
        return Pairwise(self.data[:, columns], self.observed[:, columns])


def shared_rows(observed: BoolArray) -> FloatArray:
    """[n_columns, n_columns]: in how many of the rows of `observed` [n_rows, n_columns] two columns have
    both scores."""
    known = observed.astype(np.float64)
    return np.asarray(known.T @ known)


def usable_columns(data: FloatArray, observed: BoolArray) -> BoolArray:
    """[n_columns]: whether a column has scores that differ by more than rounding; arrays [n_rows,
    n_columns]."""
    return ~constant_columns(data, observed)


def check_shared(shared: FloatArray, usable: BoolArray) -> float:
    """The least number of rows that two `usable` columns share; RunError where it is below three."""
    poorest = float(shared[np.ix_(usable, usable)].min(initial=np.inf))
    if poorest < _MIN_SHARED:
        raise _no_correlation(f"columns that share {poorest:.0f} rows")
    return poorest


def check_twins(data: FloatArray, observed: BoolArray, names: Sequence[str]) -> None:
    """RunError, with names, where two columns are equal up to rounding in the rows that have both scores, be
    it after scaling: no test tells them apart, though what fills their gaps would."""
    shared = shared_rows(observed)
    known = observed.astype(np.float64)
    matrix = _pairwise_correlation(np.where(observed, data, 0.0), known, shared)
    for i, j in np.argwhere(np.triu(np.abs(matrix) > 1 - _NEARLY_EQUAL, k=1)):
        both = observed[:, i] & observed[:, j]
        if both.sum() < _MIN_SHARED:
            continue
        pair = data[np.ix_(both, [i, j])]
        check_collinearity(np.corrcoef(pair.T), pair, [names[i], names[j]])


def _no_correlation(actual: str) -> RunError:
    return RunError(
        "correlations of scores with gaps",
        f"at least {_MIN_SHARED} rows that two columns share",
        actual,
        "Ask more roles, or use listwise handling of missing scores.",
    )


def _pairwise_correlation(data: FloatArray, observed: FloatArray, shared: FloatArray) -> FloatArray:
    """[n, n] from scores with 0 in the gaps; NaN where a column is constant in the rows two share."""
    centred = np.where(observed > 0, data - data.sum(axis=0) / np.maximum(observed.sum(axis=0), 1), 0.0)
    sums = centred.T @ observed  # [i, j]: of column i over the rows that have j too
    squares = (centred**2).T @ observed
    known = np.maximum(shared, 1.0)
    covariance = centred.T @ centred - sums * sums.T / known
    variance = squares - sums**2 / known
    flat = variance <= 1e-12 * np.maximum(squares, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = covariance / np.sqrt(variance * variance.T)
    matrix[flat | flat.T] = np.nan
    matrix = np.clip((matrix + matrix.T) / 2, -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix

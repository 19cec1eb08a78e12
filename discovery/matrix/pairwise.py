"""Correlations of a table with gaps: each over the rows that have both scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.matrix.corrections import Corrected, positive_definite
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.engine.errors import RunError

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
        shared = observed.T @ observed
        usable = ~self._constant(rows)
        poorest = shared[np.ix_(usable, usable)].min(initial=len(rows))
        if poorest < _MIN_SHARED:
            raise self._no_correlation(f"columns that share {poorest:.0f} rows")
        matrix = _pairwise_correlation(data, observed, shared)
        matrix[~usable] = matrix[:, ~usable] = np.nan
        inner = matrix[np.ix_(usable, usable)]
        if np.isnan(inner).any():
            raise self._no_correlation("two columns of which one is constant where the other is known")
        inner, projected = positive_definite(inner)
        matrix[np.ix_(usable, usable)] = inner
        return Corrected(matrix, projected, float(poorest / len(rows)))

    def permuted(self, sources: IndexArray) -> Pairwise:
        """The same for the table in which row i, column j is that of row sources[i, j] here: score or gap."""
        take = np.take_along_axis
        return Pairwise(take(self.data, sources, axis=0), take(self.observed, sources, axis=0))

    def within(self, columns: Sequence[int]) -> Pairwise:
        """The same for these columns, in this order."""
        return Pairwise(self.data[:, columns], self.observed[:, columns])

    def _constant(self, rows: IndexArray) -> BoolArray:
        """Columns that hold no two different scores."""
        observed = self.observed[rows]
        low = np.where(observed, self.data[rows], np.inf).min(axis=0)
        high = np.where(observed, self.data[rows], -np.inf).max(axis=0)
        return ~(high - low > 1e-12 * np.maximum(1.0, np.abs(high)))

    @staticmethod
    def _no_correlation(actual: str) -> RunError:
        return RunError(
            "pairwise correlations",
            f"at least {_MIN_SHARED} rows that two columns share",
            actual,
            "Ask more roles, or use listwise handling of missing scores.",
        )


def _pairwise_correlation(data: FloatArray, observed: FloatArray, shared: FloatArray) -> FloatArray:
    """[n, n] from scores with 0 in the gaps; NaN where a column is constant in the rows two share."""
    centred = np.where(observed > 0, data - data.sum(axis=0) / np.maximum(observed.sum(axis=0), 1), 0.0)
    sums = centred.T @ observed  # [i, j]: of column i over the rows that have j too
    squares = (centred**2).T @ observed
    covariance = centred.T @ centred - sums * sums.T / shared
    variance = squares - sums**2 / shared
    flat = variance <= 1e-12 * np.maximum(squares, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = covariance / np.sqrt(variance * variance.T)
    matrix[flat | flat.T] = np.nan
    matrix = np.clip((matrix + matrix.T) / 2, -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix

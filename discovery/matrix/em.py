"""Correlations of a table with gaps by the EM algorithm for multivariate normal scores, which are missing at
random (Little & Rubin 2020, Statistical Analysis with Missing Data, 3rd ed., ch. 11; Schafer 1997, Analysis
of Incomplete Multivariate Data, ch. 5).

An iteration fills every gap with its expectation given what the role did answer (E), adds the variance that
this leaves open, and takes means and covariances of the filled table (M). No role is thrown away, and the
result is a correlation matrix, which pairwise correlations need not form.

Plain EM overfits where roles are few: of 50 roles and 17 values its correlations are further from those of
the complete table than pairwise ones are, and it may need 1,000 iterations. So the E step takes covariances
that are shrunk (Schneider 2001, Journal of Climate 14, 853–871, regularised EM; his ridge regression), by
p / 10 n of p values and n roles, one half at most. This vanishes as n grows, and is the exact correlation
where nothing is missing. (Shrinking by p / n comes as near to the complete table but weakens the edges: mean
SHD 7.5 instead of 5.5 with 100 roles and boss.)

Tests count n times the mean share of roles that two values have in common. Simulation
(benchmarks/results/missing.md): tests of absent edges then reject about as often as they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from axiograph.discovery.matrix.corrections import Corrected
from axiograph.discovery.matrix.pairwise import check_shared, shared_rows, usable_columns
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.engine.errors import RunError

TOLERANCE = 1e-6
"""Converged: no mean and no covariance changes by more in an iteration, in standard deviations."""
MOST_ITERATIONS = 2000
SHRINKAGE, MOST_SHRINKAGE = 0.1, 0.5


class Moments(NamedTuple):
    """`mean` [p] and `covariance` [p, p] of the columns, in the units of the scores."""

    mean: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, eq=False)
class EmCorrelations:
    """Correlations of any rows of `data` [n_rows, n_columns] by EM; `observed` [n_rows, n_columns] is false
    in the gaps. `pattern` [n_rows]: a number for each pattern of gaps. `start`: from where to iterate; None
    from columns without correlation."""

    data: FloatArray
    observed: BoolArray
    pattern: IndexArray
    start: Moments | None = None

    @classmethod
    def of(cls, data: FloatArray, observed: BoolArray) -> EmCorrelations:
        """Of this table; the solution for all rows is the start for any of them. RunError as there."""
        plain = cls(data, observed, _patterns(observed))
        everyone = np.arange(len(data))
        usable = plain._usable(everyone)
        moments = plain._moments(everyone, usable, _spread(data, observed))
        mean, covariance = np.zeros(data.shape[1]), np.eye(data.shape[1])
        mean[usable], covariance[np.ix_(usable, usable)] = moments
        return replace(plain, start=Moments(mean, covariance))

    def correlation(self, rows: IndexArray) -> Corrected:
        """The correlations of these rows; NaN for a column that is constant in them.

        RunError where two columns that vary have fewer than three rows in common, or EM does not
        converge."""
        usable = self._usable(rows)
        spread = _spread(self.data[rows], self.observed[rows])
        covariance = self._moments(rows, usable, spread).covariance
        deviation = np.sqrt(np.diag(covariance))
        matrix = np.full((self.data.shape[1], self.data.shape[1]), np.nan)
        inner = covariance / np.outer(deviation, deviation)
        inner = np.clip((inner + inner.T) / 2, -1.0, 1.0)
        np.fill_diagonal(inner, 1.0)
        matrix[np.ix_(usable, usable)] = inner
        shared = shared_rows(self.observed[rows])[np.ix_(usable, usable)]
        pairs = shared[np.triu_indices(len(shared), 1)]
        return Corrected(matrix, False, float(pairs.mean() / len(rows)) if pairs.size else 1.0)

    def permuted(self, sources: IndexArray) -> EmCorrelations:
        """The same for the table in which row i, column j is that of row sources[i, j] here: score or gap.
        Its columns have nothing to do with each other, and that is where EM begins."""
        take = np.take_along_axis
        observed = take(self.observed, sources, axis=0)
        return EmCorrelations(take(self.data, sources, axis=0), observed, _patterns(observed))

    def with_scores(self, data: FloatArray) -> EmCorrelations:
        """The same for other scores in the same cells."""
        return EmCorrelations(data, self.observed, self.pattern)

    def known(self) -> BoolArray:
        """[n_rows, n_columns]: which cells have a score."""
        return self.observed

    def within(self, columns: Sequence[int]) -> EmCorrelations:
        """The same for these columns, in this order."""
        start = self.start
        if start is not None:
            start = Moments(start.mean[list(columns)], start.covariance[np.ix_(columns, columns)])
        observed = self.observed[:, columns]
        return EmCorrelations(self.data[:, columns], observed, _patterns(observed), start)

    def _usable(self, rows: IndexArray) -> IndexArray:
        """The columns that vary in these rows; RunError where two of them share too few."""
        usable = usable_columns(self.data[rows], self.observed[rows])
        check_shared(shared_rows(self.observed[rows]), usable)
        return np.flatnonzero(usable)

    def _moments(self, rows: IndexArray, usable: IndexArray, spread: Moments) -> Moments:
        """Of the columns `usable`; the iterations are in units of `spread`, their plain means and standard
        deviations."""
        from axiograph.discovery.matrix.em_loop import maximise

        if not len(usable):
            return Moments(np.zeros(0), np.zeros((0, 0)))
        order = rows[np.argsort(self.pattern[rows], kind="stable")]
        deviation = np.sqrt(np.diag(spread.covariance))[usable]
        centre = spread.mean[usable]
        scaled = (self.data[np.ix_(order, usable)] - centre) / deviation
        mean, covariance = np.zeros(len(usable)), np.eye(len(usable))
        if self.start is not None:
            mean = (self.start.mean[usable] - centre) / deviation
            covariance = self.start.covariance[np.ix_(usable, usable)] / np.outer(deviation, deviation)
        shrinkage = min(MOST_SHRINKAGE, SHRINKAGE * len(usable) / len(rows))
        observed = np.ascontiguousarray(self.observed[np.ix_(order, usable)])
        if maximise(scaled, observed, mean, covariance, shrinkage, TOLERANCE, MOST_ITERATIONS) < 0:
            raise RunError(
                "EM covariances",
                f"convergence within {MOST_ITERATIONS:,} iterations",
                "none",
                "Ask more roles, leave out values with many missing scores, or use another handling of them.",
            )
        return Moments(mean * deviation + centre, covariance * np.outer(deviation, deviation))


def _patterns(observed: BoolArray) -> IndexArray:
    return np.unique(observed, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _spread(data: FloatArray, observed: BoolArray) -> Moments:
    """Means, and variances on a diagonal, of the scores that are there; 0 where there are none."""
    count = np.maximum(observed.sum(axis=0), 1)
    mean = np.where(observed, data, 0.0).sum(axis=0) / count
    variance = (np.where(observed, data - mean, 0.0) ** 2).sum(axis=0) / count
    return Moments(mean, np.diag(variance))

"""Correlations corrected for measurement error: what the values would show without the noise of the answers.

A score measures its value with error, which weakens its correlations; a partial correlation given a noisy
score then stays away from 0 although the values themselves are separated, and PC keeps an edge too many, the
more surely the more roles there are. The correction divides by the reliabilities (Spearman 1904, American
Journal of Psychology 15, p. 90): r_ij / √(ρ_i ρ_j), where ρ is Cronbach's alpha of the parts of a score.

It has a price: corrected correlations vary more, about as those of n ρ_i ρ_j roles (to first order, where
r = 0), so tests must count fewer roles: `Corrected.share`. And it is right only where the parts measure the
same thing: items of unequal difficulty look like error although they are none
(benchmarks/results/disattenuation.md shows when it helps and when it hurts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.correction import Corrected, positive_definite
from discovery.pc import FloatArray
from engine.errors import RunError
from engine.reliability import cronbach_alpha

MIN_RELIABILITY = 0.1  # below it a correction multiplies noise by more than three


@dataclass(frozen=True, eq=False)
class Disattenuation:
    """Corrects the correlations of any rows of `data` [n_rows, n_columns], whose scores are means of
    `parts` [n_rows, n_parts], NaN where missing: items, or whole repeats. `owner` [n_parts]: the column
    of each. Columns from `exact` on have no error: steering indicators."""

    data: FloatArray
    parts: FloatArray
    owner: NDArray[np.int64]
    exact: int

    def reliability(self, rows: NDArray[np.int64]) -> FloatArray:
        """[n_columns] Cronbach's alpha over these rows; NaN where undefined or below MIN_RELIABILITY."""
        parts = self.parts[rows]
        found = np.full(self.data.shape[1], np.nan)
        found[self.exact :] = 1.0
        for value in range(self.exact):
            own = parts[:, self.owner == value]
            alpha = _alpha_of_complete(own)
            if np.isnan(alpha):
                alpha = cronbach_alpha(own)[0] or np.nan
            if alpha >= MIN_RELIABILITY:
                found[value] = min(alpha, 1.0)
        return found

    def correlation(self, rows: NDArray[np.int64]) -> Corrected:
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

    def permuted(self, sources: NDArray[np.int64]) -> Disattenuation:
        """The same for the table in which row i, column j is that of row sources[i, j]: score and parts."""
        return Disattenuation(
            np.take_along_axis(self.data, sources, axis=0),
            np.take_along_axis(self.parts, sources[:, self.owner], axis=0),
            self.owner,
            self.exact,
        )

    def within(self, columns: Sequence[int]) -> Disattenuation:
        """The same for these columns, in this order; indicators must stay last."""
        own = [np.flatnonzero(self.owner == column) for column in columns]
        return Disattenuation(
            self.data[:, columns],
            self.parts[:, np.concatenate(own)],
            np.repeat(np.arange(len(columns)), [len(parts) for parts in own]),
            sum(column < self.exact for column in columns),
        )


def _alpha_of_complete(parts: FloatArray) -> float:
    """As engine.reliability.cronbach_alpha, in its short form; NaN where that one is needed."""
    count = parts.shape[1]
    if count < 2 or len(parts) < 2:
        return np.nan
    total = float(parts.sum(axis=1).var())
    if not total > 1e-9:  # NaN too: a part is missing
        return np.nan
    return float(count / (count - 1) * (1 - parts.var(axis=0).sum() / total))

"""What a verdict asks of the scores themselves: their correlations, what they rest on, and whether roles
differ in how extreme they answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.resampling.score_table import ScoreTable, relatedness


@dataclass(frozen=True, eq=False)
class Moments:
    """`correlation` [n_values, n_values] that the search on all roles saw, `n` what its tests counted as
    independent; `relatedness`: discovery.resampling.score_table; `co_kurtosis`: see `co_kurtosis`, None where
    rows are not one a role."""

    correlation: FloatArray
    n: int
    relatedness: float
    co_kurtosis: float | None


def moments(table: ScoreTable, n_roles: int) -> Moments:
    """Of all rows of `table`, whose columns all vary; raises what its correction raises."""
    everyone = np.arange(len(table.data))
    known = None if table.correction is None else table.correction.known()
    scores = table.data if known is None else np.where(known, table.data, np.nan)
    excess = co_kurtosis(scores) if table.groups is None else None
    related = relatedness(table)
    if table.correction is None:
        return Moments(np.asarray(np.corrcoef(table.data.T)), n_roles, related, excess)
    corrected = table.correction.correlation(everyone)
    return Moments(corrected.matrix, corrected.rows(n_roles), related, excess)


def co_kurtosis(data: FloatArray) -> float | None:
    """How much more often than in normal scores two values are extreme in the same role: the mean over pairs
    of E[z_i² z_j²] − 1 − 2 r_ij², of data [n_rows, n_values], which may have NaN for missing scores.

    0 for normal scores, and on average for independent ones whatever their form. With κ of it, the
    correlation of two unrelated values has a variance of about (1 + κ) / n (Steiger & Hakstian 1982, British
    Journal of Mathematical and Statistical Psychology 35): tests that count n roles find too much. None with
    fewer than two values or four rows."""
    if data.shape[1] < 2 or len(data) < 4:
        return None
    observed = ~np.isnan(data)
    z = (data - np.nanmean(data, axis=0)) / np.nanstd(data, axis=0)
    filled = np.where(observed, z, 0.0)
    pairs = np.maximum(observed.T.astype(float) @ observed, 1.0)
    fourth = (filled**2).T @ filled**2 / pairs
    r = filled.T @ filled / pairs
    excess = (fourth - 1 - 2 * r**2)[np.triu_indices(data.shape[1], k=1)]
    return float(excess.mean())

"""Reliability: Cronbach's alpha of a table of scores that may have gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cronbach_alpha(table: NDArray[np.float64]) -> tuple[float | None, str | None]:
    """(alpha, None) of a roles × items table with NaN for missing, or (None, why it is undefined).

    alpha = k / (k − 1) × (1 − Σᵢ cᵢᵢ / Σᵢⱼ cᵢⱼ), with k items and cᵢⱼ the covariance of items i and j over
    the roles that have a score on both: on complete data the usual formula with the variance of the sum
    (Cronbach 1951). Pairwise covariances need not form a covariance matrix, so with gaps alpha may leave
    its usual range.
    """
    roles, items = table.shape
    if items < 2:
        return None, "fewer than 2 items"
    if roles < 2:
        return None, "fewer than 2 roles"
    covariance = pairwise_covariance(table)
    if np.isnan(covariance).any():
        return None, "two items with fewer than 2 roles in common"
    total = float(covariance.sum())
    # Rounding leaves about 1e-16 of a sum that is zero.
    if total <= 1e-12:
        return None, "no variance" if np.abs(covariance).max() <= 1e-12 else "no variance of the sum"
    return items / (items - 1) * (1 - float(np.trace(covariance)) / total), None


def pairwise_covariance(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Items × items: covariance over the rows that have both, divisor n − 1; NaN where n < 2."""
    there = (~np.isnan(table)).astype(np.float64)
    # Deviations from any constant give the same covariance; from the mean they lose no digits.
    filled = np.where(there > 0, table - np.nanmean(table, axis=0), 0.0)
    n = there.T @ there
    sums = filled.T @ there  # sums[i, j]: of item i over the rows that have j too
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = (filled.T @ filled - sums * sums.T / n) / (n - 1)
    return np.where(n >= 2, covariance, np.nan)

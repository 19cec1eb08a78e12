"""Reliability: Cronbach's alpha of a table of scores that may have gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cronbach_alpha(table: NDArray[np.float64]) -> tuple[float | None, str | None]:
    """(alpha, None) of a roles × items table with NaN for missing, or (None, why it is undefined).

    alpha = k c̄ / (v̄ + (k − 1) c̄), with k items, v̄ the mean of their variances and c̄ the mean of their
    covariances, each over the roles that have a score on both, and over the pairs that share at least two
    roles (drawn items leave some pairs without). On complete data this is the usual formula with the
    variance of the sum (Cronbach 1951). Pairwise covariances need not form a covariance matrix, so with
    gaps alpha may leave its usual range.
    """
    roles, items = table.shape
    if items < 2:
        return None, "fewer than 2 items"
    if roles < 2:
        return None, "fewer than 2 roles"
    covariance = pairwise_covariance(table)
    variances, pairs = np.diag(covariance), covariance[~np.eye(items, dtype=bool)]
    if np.isnan(variances).all() or np.isnan(pairs).all():
        return None, "no two items with 2 roles in common"
    mean_variance, mean_covariance = float(np.nanmean(variances)), float(np.nanmean(pairs))
    total = mean_variance + (items - 1) * mean_covariance
    # Rounding leaves about 1e-16 of a sum that is zero.
    if total <= 1e-12:
        return None, "no variance" if np.nanmax(np.abs(covariance)) <= 1e-12 else "no variance of the sum"
    return items * mean_covariance / total, None


def alpha_interval(
    alpha: float | None, items: int, roles: int, level: float = 0.05
) -> tuple[float | None, float | None]:
    """Feldt's interval of Cronbach's alpha at 1 − level (1965, Psychometrika 30, p. 357), (None, None)
    without alpha.

    (1 − α) / (1 − α̂) follows F with n − 1 and (n − 1)(k − 1) degrees of freedom, for n roles, k items,
    complete answers and scores that are normal; with gaps it is an approximation."""
    if alpha is None or items < 2 or roles < 2:
        return None, None
    from scipy.stats import f

    low, high = f.ppf([level / 2, 1 - level / 2], roles - 1, (roles - 1) * (items - 1))
    return 1 - (1 - alpha) * float(high), 1 - (1 - alpha) * float(low)


def pairwise_covariance(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Items × items: covariance over the rows that have both, divisor n − 1; NaN where n < 2."""
    present = (~np.isnan(table)).astype(np.float64)
    # Deviations from any constant give the same covariance; from the mean they lose no digits.
    filled = np.where(present > 0, table - np.nanmean(table, axis=0), 0.0)
    n = present.T @ present
    sums = filled.T @ present  # sums[i, j]: of item i over the rows that have j too
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = (filled.T @ filled - sums * sums.T / n) / (n - 1)
    return np.where(n >= 2, covariance, np.nan)

"""Reliability of a table of scores that may have gaps: Cronbach's alpha with its interval, McDonald's
omega."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NO_MATRIX = "answers have gaps, and what pairs of items share over their roles is no covariance matrix"
_NO_VARIANCE = 1e-12


def varying_items(table: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[n_items] which items of a roles × items table (NaN for missing) have two different scores: the others
    tell no role from another, and count in no reliability."""
    present = ~np.isnan(table)
    high = np.max(table, axis=0, where=present, initial=-np.inf)
    low = np.min(table, axis=0, where=present, initial=np.inf)
    return np.asarray(high - low > _NO_VARIANCE)


WEAK_ALPHA = 0.5  # below it less than half of a score's variance is common to its items


def cronbach_alpha(table: NDArray[np.float64]) -> tuple[float | None, str | None]:
    """(alpha, None) of a roles × items table with NaN for missing, or (None, why it is undefined).

    alpha = k c̄ / (v̄ + (k − 1) c̄), with k items that vary, v̄ the mean of their variances and c̄ the mean of
    their covariances, each over the roles that have a score on both, and over the pairs that share at least
    two roles (drawn items leave some pairs without). On complete data this is the usual formula with the
    variance of the sum (Cronbach 1951), at most 1; constant items add nothing to a score's variance, and
    counting them would make it look less reliable than it is. Pairwise covariances need not form a covariance
    matrix: where gaps leave c̄ above v̄, alpha is undefined."""
    roles, items = table.shape
    if items < 2:
        return None, "fewer than 2 items"
    if roles < 2:
        return None, "fewer than 2 roles"
    present = (~np.isnan(table)).astype(np.float64)
    if ((present.T @ present) - 2 * np.eye(items) * roles).max() < 2:
        return None, "no two items with 2 roles in common"
    varying = varying_items(table)
    if varying.sum() < 2:
        return None, "fewer than 2 items that vary" if varying.any() else "no variance"
    table = table[:, varying]
    items = table.shape[1]
    covariance = pairwise_covariance(table)
    variances, pairs = np.diag(covariance), covariance[~np.eye(items, dtype=bool)]
    if np.isnan(variances).all() or np.isnan(pairs).all():
        return None, "no two items with 2 roles in common"
    mean_variance, mean_covariance = float(np.nanmean(variances)), float(np.nanmean(pairs))
    total = mean_variance + (items - 1) * mean_covariance
    if mean_covariance > mean_variance * (1 + 1e-9):
        return None, NO_MATRIX
    # Rounding leaves about 1e-16 of a sum that is zero.
    if total <= _NO_VARIANCE:
        return None, "no variance of the sum"
    return items * mean_covariance / total, None


def mcdonald_omega(table: NDArray[np.float64]) -> tuple[float | None, str | None]:
    """(omega, None) of a roles × items table with NaN for missing, or (None, why it is undefined).

    omega = (Σ λ)² / ((Σ λ)² + Σ ψ), with the loadings and error variances of one factor of the items that
    vary (McDonald 1999, Test Theory, p. 89), by iterated principal axes (statsmodels). Unlike alpha it lets
    items differ in how much they say of their value."""
    table = table[:, varying_items(table)] if table.size else table
    roles, items = table.shape
    if items < 3:
        return None, "fewer than 3 items that vary"
    if roles < 3:
        return None, "fewer than 3 roles"
    covariance = pairwise_covariance(table)
    if np.isnan(covariance).any():
        return None, "two items without 2 roles in common"
    sizes = np.sqrt(np.diag(covariance))
    if float(np.linalg.eigvalsh(covariance)[0]) < -1e-9 * float(np.trace(covariance)):
        return None, NO_MATRIX
    if (sizes <= 1e-6).any():
        return None, NO_MATRIX
    import warnings

    from statsmodels.multivariate.factor import Factor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of slow convergence, which does not move a loading's second digit
        try:
            found = Factor(corr=covariance / np.outer(sizes, sizes), n_factor=1, method="pa").fit(maxiter=500)
            loadings, errors = found.loadings[:, 0] * sizes, found.uniqueness * sizes**2
        except (ValueError, np.linalg.LinAlgError):
            return None, "no one-factor model fits"
    if not np.isfinite(loadings).all() or (errors <= 0).any():
        return None, "one factor does not fit: some item would have no error (a Heywood case)"
    common = float(loadings.sum()) ** 2
    return common / (common + float(errors.sum())), None


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


def alpha_interval_with_gaps(
    table: NDArray[np.float64], level: float = 0.05
) -> tuple[float | None, float | None]:
    """The interval of alpha of a roles × items table with NaN for missing: a jackknife over roles of
    log(1 − alpha) with Student's t (Miller 1974, Biometrika 61, p. 1; the logarithm is what Feldt's
    F leaves). (None, None) where alpha is undefined, of all roles or without one of them."""
    from scipy.stats import t

    whole, roles = cronbach_alpha(table)[0], len(table)
    if whole is None or whole >= 1 or roles < 3:
        return None, None
    without = [cronbach_alpha(np.delete(table, role, axis=0))[0] for role in range(roles)]
    known = np.array([np.nan if a is None or a >= 1 else np.log1p(-a) for a in without])
    if np.isnan(known).any():
        return None, None
    pseudo = roles * np.log1p(-whole) - (roles - 1) * known
    wide = float(t.ppf(1 - level / 2, roles - 1)) * float(pseudo.std(ddof=1)) / np.sqrt(roles)
    centre = np.log1p(-whole)
    return float(-np.expm1(centre + wide)), float(-np.expm1(centre - wide))


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

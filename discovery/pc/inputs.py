"""What a search is asked: scores or correlations that are checked, and named where they cannot be used.

A test counts `n` rows as independent, fewer than the rows of the table where several belong to one role
(DESIGN 11), and may be given correlations in place of those of the table (discovery.matrix.corrections).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.engine.errors import InputError, RunError

MIN_ROWS = 5  # Fisher-z of order 1 has n − 1 − 3 degrees of freedom, which must be positive.
_TOLERANCE = 1e-12  # of correlations, and of scores relative to their own size: rounding of float64
ROUNDING = 1e-6
"""Differences of scores up to this share of the scale are rounding, not variation. A score in logprob mode is
tanh of half of log-odds that a model computed in float32: equal prompts in different batches differ by
1e-9 in a small model and by some 1e-7 in a large one, and no answer is that fine. (Fixed point of 2⁻⁴⁰ adds
1e-12.) The least difference that counted answers make is 1 / (items × repeats)."""


@dataclass(frozen=True)
class SearchInput:
    """What a search is asked about the columns that vary: `table` [rows, k], `correlation` [k, k], `names`,
    the `n` rows that count as independent, `alpha`, `knowledge`. `plain`: the correlation is that of the n
    rows."""

    table: FloatArray
    correlation: FloatArray
    names: tuple[str, ...]
    n: int
    alpha: float
    knowledge: Knowledge | None
    plain: bool

    def rows(self) -> FloatArray:
        """[n, k] rows with these correlations: the table itself, or `surrogate`. RunError as there."""
        return self.table if self.plain else surrogate(self.correlation, self.n)


def surrogate(correlation: FloatArray, n: int) -> FloatArray:
    """[n, k] invented rows whose sample correlation is `correlation` [k, k], exactly but for rounding.

    For algorithms that take rows yet look at nothing but their correlations and their number. The same rows
    every time. Raises RunError where n ≤ k or the matrix is not positive definite: no such rows exist, or the
    tests on them would be singular."""
    k = len(correlation)
    if n <= k:
        raise RunError(
            "surrogate rows",
            f"more rows than the {k} values",
            f"{n}",
            "Ask more roles, or use algorithm pc, which works from the correlations alone.",
        )
    noise = np.random.default_rng(0).standard_normal((n, k))
    basis, _ = np.linalg.qr(noise - noise.mean(axis=0))
    try:
        root = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError as error:
        raise RunError(
            "correlation matrix",
            "a positive definite one",
            "one that is not",
            "Leave out values that others determine, or ask more roles.",
        ) from error
    return np.ascontiguousarray(basis @ root.T) * np.sqrt(n - 1)


def check_input(data: FloatArray, names: Sequence[str], alpha: float, n: int | None = None) -> None:
    """InputError unless a search can be asked this at all: see discovery.pc.search.pc for the arguments."""
    if not 0 < alpha < 1:
        raise InputError("alpha", "a level between 0 and 1", f"{alpha}", "0.05 and 0.01 are usual.")
    if data.ndim != 2 or data.shape[1] != len(names):
        raise InputError(
            "scores",
            f"one column for each of {len(names)} names",
            f"shape {data.shape}",
            "Pass one name a column.",
        )
    independent = data.shape[0] if n is None else n
    if not MIN_ROWS <= independent <= data.shape[0]:
        raise InputError(
            "scores",
            f"at least {MIN_ROWS} roles"
            if independent < MIN_ROWS
            else f"no more than the {len(data)} rows as n",
            f"{independent}",
            "Ask more roles; 100 or more are useful.",
        )
    if not np.isfinite(data).all():
        bad = [name for k, name in enumerate(names) if not np.isfinite(data[:, k]).all()]
        raise InputError(
            "scores",
            "finite numbers",
            f"missing or infinite ones in {_listed(bad)}",
            "Leave out those rows or values.",
        )


def constant_columns(data: FloatArray, observed: BoolArray | None = None) -> BoolArray:
    """[n_values]: true for a column of `data` [n_rows, n_values] whose scores differ by no more than
    rounding, or are fewer than two. `observed` [n_rows, n_values]: where there is a score; everywhere by
    default."""
    known = np.ones(data.shape, dtype=bool) if observed is None else observed
    high = np.where(known, data, -np.inf).max(axis=0, initial=-np.inf)
    low = np.where(known, data, np.inf).min(axis=0, initial=np.inf)
    return ~(high - low > rounding(np.where(known, data, 0.0)))


def rounding(data: FloatArray) -> FloatArray:
    """[n_values]: by how much the scores of a column of `data` [n_rows, n_values] may differ by rounding.

    The scale of scores is −1 to 1. A table whose scores are all smaller has a smaller scale, that of its
    largest score; a column of larger ones is exact to 12 digits."""
    size = np.abs(data).max(axis=0, initial=0.0)
    return np.maximum(ROUNDING * min(1.0, float(size.max(initial=0.0))), _TOLERANCE * size)


def check_correlation(correlation: FloatArray, names: Sequence[str]) -> FloatArray:
    """`correlation` [n_values, n_values], made exactly symmetric; NaN throughout a row and column leaves that
    value out.

    InputError for another shape or what is no correlation matrix, RunError for a single correlation that is
    missing."""
    matrix = np.asarray(correlation, dtype=np.float64)
    if matrix.shape != (len(names), len(names)):
        raise InputError(
            "correlation matrix",
            f"shape ({len(names)}, {len(names)})",
            f"{matrix.shape}",
            "Pass one row and column a value.",
        )
    usable = ~np.isnan(np.diag(matrix))
    gaps = np.isnan(matrix) & np.outer(usable, usable)
    if gaps.any():
        i, j = np.argwhere(gaps)[0]
        raise RunError(
            "correlation matrix",
            "a correlation for every two values",
            f"none for {names[i]} and {names[j]}",
            "Leave out one of them, or ask more roles.",
        )
    inner = matrix[np.ix_(usable, usable)]
    if not np.allclose(inner, inner.T, rtol=0, atol=_TOLERANCE) or np.any(np.abs(inner) > 1 + _TOLERANCE):
        raise InputError("correlation matrix", "symmetric, within ±1", "another matrix", "Pass correlations.")
    return (matrix + matrix.T) / 2


def check_collinearity(correlation: FloatArray, table: FloatArray, names: Sequence[str]) -> None:
    """Raise RunError, with names, where columns of `table` [n_rows, n_values] are collinear but for rounding.

    causal-learn raises only when an inversion happens to meet an exact zero; else its answer is rounding
    noise. Two equal (or opposite) columns are found at any size; a longer combination only where there
    are more rows than columns, since with fewer every table has one.
    """
    enough_rows = len(table) > len(names)
    allowed = _twin_tolerance(table)
    if enough_rows and _clearly_of_full_rank(correlation, float(allowed.max(initial=_TOLERANCE))):
        return
    twins = np.argwhere(np.triu(np.abs(correlation) > 1 - allowed, k=1))
    if twins.size:
        raise collinear([names[k] for k in twins[0]])
    if not enough_rows:
        return
    values, vectors = np.linalg.eigh(correlation)
    if values[0] < _TOLERANCE:
        involved = np.abs(vectors[:, 0]) > 1e-6
        raise collinear([name for name, part in zip(names, involved, strict=True) if part])


def _twin_tolerance(table: FloatArray) -> FloatArray:
    """[n_values, n_values]: by how much the correlation of two columns that are equal up to rounding may
    fall short of 1. What column j has beyond i, of variance (1 − r²) var_j, is rounding where its standard
    deviation is; 1 − r² is about 2 (1 − r)."""
    share = rounding(table) / np.maximum(table.std(axis=0), np.finfo(np.float64).tiny)
    share = np.minimum(share, 1.0)
    return np.maximum(_TOLERANCE, np.minimum.outer(share, share) ** 2 / 2)


def _clearly_of_full_rank(correlation: FloatArray, tolerance: float) -> bool:
    """Whether the smallest eigenvalue, at least 1 / trace(inverse), is far above the tolerance: quick. No two
    columns have a 1 − |r| below it."""
    try:
        return 0 < float(np.trace(np.linalg.inv(correlation))) < 0.01 / tolerance
    except np.linalg.LinAlgError:
        return False


def collinear(names: Sequence[str]) -> RunError:
    """The error that names collinear columns."""
    return RunError(
        "PC",
        "columns that are not collinear",
        f"collinear columns: {_listed(names)}",
        "Leave out one of them: no test can tell them apart.",
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"

"""Exploratory factors of the items: a check that what the file calls values are values to the roles.

Not part of any score. Values that hang together, which is what a graph is about, share factors: in simulated
studies (three values, four items each, item noise .7 SD, 200 and 600 roles) parallel analysis kept one factor
each for values that correlate at .5, and mostly one for all where they correlate at .7 or more. So fewer
factors than values do not make values one, but items of one value on several factors speak against it
(benchmarks/psychometrics.py).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.engine.scoring.difficulty import role_item_table
from axiograph.engine.scoring.reliability import varying_items

ROLES_PER_ITEM = 3
SALIENT = 0.3  # a smaller loading shares less than a tenth of the item's variance with its factor
_ANSWERED = 0.9
_MANY_ITEMS, _SEED = 200, 0
_MANY_SCORES = 5_000_000  # so many are permuted 19 times: their eigenvalues hardly differ
_LOADINGS: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "value": pl.String,
    "factor": pl.Int64,
    "loading": pl.Float64,
    "on_value": pl.Boolean,
    "loadings": pl.List(pl.Float64),
}
_VALUES: dict[str, pl.DataType | type[pl.DataType]] = {
    "value": pl.String,
    "items": pl.Int64,
    "factor": pl.Int64,
    "share": pl.Float64,
    "others": pl.List(pl.String),
}
_EIGENVALUES: dict[str, pl.DataType | type[pl.DataType]] = {
    "factor": pl.Int64,
    "eigenvalue": pl.Float64,
    "random": pl.Float64,
    "kept": pl.Boolean,
}


@dataclass(frozen=True)
class Factors:
    """`kept`: how many factors there are; None where that is not known, for `reason`. `roles`: that have a
    score on nine in ten of the items, or more; `items`: that vary over these. Frames, in the order of items
    and values:

    - eigenvalues: factor (from 1), eigenvalue (of the items' correlations), random (what it exceeds in 5 % of
      random data only), kept;
    - loadings: item_id, value, factor (on which it loads strongest), loading, on_value (it belongs to its
      value's factor), loadings (on every factor);
    - values: value, items, factor (on which most of its items load strongest), share (of its items that load
      on it strongest, at least SALIENT and with one sign), others (values with the same factor)."""

    roles: int
    items: int
    kept: int | None
    reason: str | None
    eigenvalues: pl.DataFrame
    loadings: pl.DataFrame
    values: pl.DataFrame


def find_factors(scores: pl.DataFrame, values: tuple[str, ...]) -> Factors:
    """Factors among the items of all `values`. `scores`: as engine.scoring.item_rest.item_scores.

    The few answers that a role lacks (refused ones) count as the item's mean, which makes correlations a
    little smaller; a role that lacks more than one in ten is left out."""
    if scores.is_empty():
        return _unknown(0, 0, "no scored answer")
    value_of = dict(scores.select("item_id", "value").unique().iter_rows())
    names, table = role_item_table(scores)
    table = table[(~np.isnan(table)).mean(axis=1) >= _ANSWERED]
    varying = varying_items(table) if len(table) else np.zeros(len(names), dtype=bool)
    table, roles = table[:, varying], len(table)
    pairs = [(value_of[name], name) for name, varies in zip(names, varying, strict=True) if varies]
    items = len(pairs)
    if not roles:
        return _unknown(0, 0, "no role has a score on 90 % of the items")
    if items < 3:
        return _unknown(roles, items, "fewer than 3 items that vary")
    if roles < ROLES_PER_ITEM * items:
        needed = f"{roles:,} with 90 % of answers, {ROLES_PER_ITEM * items:,} needed for {items:,} items"
        return _unknown(roles, items, f"too few roles: {needed}")
    by_value = sorted(range(items), key=lambda k: (values.index(pairs[k][0]), pairs[k][1]))
    pairs, table = [pairs[k] for k in by_value], table[:, by_value]
    table = np.where(np.isnan(table), np.nanmean(table, axis=0), table)
    eigenvalues, thresholds = parallel_analysis(table)
    kept = kept_factors(eigenvalues, thresholds)
    listed = [
        (k + 1, float(e), float(t), k < kept)
        for k, (e, t) in enumerate(zip(eigenvalues, thresholds, strict=True))
    ]
    frame = pl.DataFrame(listed, schema=_EIGENVALUES, orient="row")
    tables = _assigned(pairs, rotated_loadings(table, kept)) if kept else _empty()
    return Factors(roles, items, kept, None, frame, *tables)


def parallel_analysis(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(eigenvalues, thresholds) [n_items] each, descending, of the correlations of a complete roles × items
    table whose columns vary: Horn's parallel analysis (1965, Psychometrika 30, p. 179) against the 95th
    percentile.

    The random data are the same answers, permuted within every item (Buja and Eyuboglu 1992, Multivariate
    Behavioral Research 27, p. 509): few roles that deviate from the rest make larger eigenvalues than normal
    scores would. Of 199 permutations (99 above 200 items, 19 of millions of scores) the 190th (95th, 19th)
    smallest, so that noise keeps a factor in exactly 5 %."""
    draws = 199 if table.shape[1] <= _MANY_ITEMS else 99
    draws = 19 if table.size > _MANY_SCORES else draws
    standard = _standardised(table)
    rng = np.random.default_rng(_SEED)
    random = np.stack([_eigenvalues(rng.permuted(standard, axis=0)) for _ in range(draws)])
    return _eigenvalues(standard), np.sort(random, axis=0)[(draws + 1) * 95 // 100 - 1]


def kept_factors(eigenvalues: NDArray[np.float64], thresholds: NDArray[np.float64]) -> int:
    """How many of the first eigenvalues exceed their thresholds, up to the first that does not."""
    below = np.flatnonzero(eigenvalues <= thresholds)
    return int(below[0]) if len(below) else len(eigenvalues)


def rotated_loadings(table: NDArray[np.float64], factors: int) -> NDArray[np.float64]:
    """[n_items, factors]: loadings of the standardised columns by maximum likelihood, after varimax
    (scikit-learn); every factor has the sign that makes the sum of its loadings positive."""
    from sklearn.decomposition import FactorAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of slow convergence, which does not move a loading's second digit
        model = FactorAnalysis(factors, rotation="varimax", svd_method="lapack", tol=1e-4, max_iter=5000)
        loadings = np.asarray(model.fit(_standardised(table)).components_.T, dtype=np.float64)
    return loadings * np.where(loadings.sum(axis=0) < 0, -1.0, 1.0)


def _standardised(table: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((table - table.mean(axis=0)) / table.std(axis=0))


def _eigenvalues(standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Descending."""
    return np.asarray(np.linalg.eigvalsh(standard.T @ standard / len(standard))[::-1])


def _assigned(
    pairs: list[tuple[str, str]], loadings: NDArray[np.float64]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Loadings and values of Factors; `pairs`: (value, item id) of every row of `loadings`."""
    strongest = np.abs(loadings).argmax(axis=1)
    of_item = loadings[np.arange(len(pairs)), strongest]
    values = list(dict.fromkeys(value for value, _ in pairs))
    rows_of = {value: np.array([k for k, pair in enumerate(pairs) if pair[0] == value]) for value in values}
    on_value, main = np.zeros(len(pairs), dtype=bool), {}
    for value, rows in rows_of.items():
        counts = np.bincount(strongest[rows], minlength=loadings.shape[1])
        # Of factors with as many items, that with more of their variance.
        sizes = (loadings[rows] ** 2).sum(axis=0)
        factor = main[value] = int(np.lexsort((sizes, counts))[-1])
        there = rows[strongest[rows] == factor]
        sign = np.sign(of_item[there].sum())
        on_value[there] = (sign * of_item[there]) >= SALIENT
    listed = [
        (item, value, int(strongest[k]) + 1, float(of_item[k]), bool(on_value[k]), loadings[k].tolist())
        for k, (value, item) in enumerate(pairs)
    ]
    of_values = []
    for value, rows in rows_of.items():
        others = [other for other in values if other != value and main[other] == main[value]]
        of_values.append((value, len(rows), main[value] + 1, float(on_value[rows].mean()), others))
    frame = pl.DataFrame(listed, schema=_LOADINGS, orient="row")
    return frame, pl.DataFrame(of_values, schema=_VALUES, orient="row")


def _empty() -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.DataFrame(schema=_LOADINGS), pl.DataFrame(schema=_VALUES)


def _unknown(roles: int, items: int, reason: str) -> Factors:
    return Factors(roles, items, None, reason, pl.DataFrame(schema=_EIGENVALUES), *_empty())

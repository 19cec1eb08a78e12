"""Difficulties of items: what a role that was asked some of a value's items would have scored on the others
is only known when the items' means are taken out."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.engine.scoring.scores import mean
from axiograph.engine.scoring.tally import Tally

_ROUNDS, _NO_VARIANCE = 200, 1e-12
_SCHEMA = {"item_id": pl.String, "item_mean": pl.Float64}


def item_means(tally: Tally, roles: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """The mean score of every item over the same roles, whichever roles were asked it: item_id, item_mean.

    `roles`: a column role, whose baseline answers count; `items`: item_id, agreement. Items of one value and
    key are taken together (`adjusted_means`); one that none of the roles has a score on has no row."""
    keyed = tally.items.join(roles.select("role"), on="role", how="semi")
    keyed = keyed.join(items.select("item_id", "agreement"), on="item_id", how="inner")
    keyed = keyed.with_columns(score=mean(pl.col("total"), pl.col("scored"))).drop_nulls("score")
    rows: list[tuple[str, float]] = []
    ordered = keyed.sort("value", "agreement", "item_id", "role")
    for group in ordered.partition_by("value", "agreement", maintain_order=True):
        names, table = role_item_table(group)
        rows += zip(names, adjusted_means(table).tolist(), strict=True)
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort("item_id")


def role_item_table(scores: pl.DataFrame) -> tuple[list[str], NDArray[np.float64]]:
    """(item ids, [n_roles, n_items] scores with NaN for gaps), both sorted, of rows item_id, role, score."""
    items = scores["item_id"].unique().sort()
    item = scores["item_id"].rank("dense").to_numpy() - 1
    role = scores["role"].rank("dense").to_numpy() - 1
    table = np.full((int(role.max()) + 1, len(items)), np.nan)
    table[role, item] = scores["score"].to_numpy()
    return items.to_list(), table


def adjusted_means(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n_items] means of the items of a [n_roles, n_items] table with NaN for gaps, as if all had answered
    all.

    score = role + item + error, roles and errors normal: items and variances by maximum likelihood (EM, Laird
    and Ware 1982, Biometrics 38, p. 963), so that which roles have answers to an item does not move it; then
    items are shrunk towards their mean by what their differences owe to errors (an empirical Bayes estimate,
    Morris 1983, JASA 78, p. 47). Without gaps their sum is that of the plain means. Every item must have an
    answer."""
    present = ~np.isnan(table)
    answered, filled = present.astype(np.float64), np.where(present, table, 0.0)
    means = filled.sum(axis=0) / answered.sum(axis=0)
    if present.all():
        off = table - means - table.mean(axis=1, keepdims=True) + means.mean()
        degrees = max(1, (table.shape[0] - 1) * (table.shape[1] - 1))
        errors = np.full(table.shape[1], float((off**2).sum()) / degrees / table.shape[0])
    else:
        means, errors = _with_gaps(filled, answered)
    centre = float(means.mean())
    spread = max(0.0, float(((means - centre) ** 2).sum() / max(1, len(means) - 1) - errors.mean()))
    if spread + float(errors.max()) <= _NO_VARIANCE:
        return np.asarray(means)
    return np.asarray(centre + spread / (spread + errors) * (means - centre))


def _with_gaps(
    filled: NDArray[np.float64], answered: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(item means, their squared standard errors), by EM; `filled`: scores with 0 for gaps."""
    means = filled.sum(axis=0) / answered.sum(axis=0)
    whole = float(((filled - answered * means) ** 2).sum() / answered.sum())
    if whole <= _NO_VARIANCE:
        return means, np.zeros(len(means))
    of_roles, of_errors = whole / 2, whole / 2
    for _ in range(_ROUNDS):
        means, information = _items_given(filled, answered, of_roles / of_errors)
        known = of_errors + answered.sum(axis=1) * of_roles
        roles = of_roles * (filled - answered * means).sum(axis=1) / known
        unsure = of_roles * of_errors / known
        left = answered * ((filled - means - roles[:, None]) ** 2 + unsure[:, None])
        before, of_roles = of_roles, float((roles**2 + unsure).mean())
        of_errors = max(float(left.sum() / answered.sum()), _NO_VARIANCE)
        if abs(of_roles - before) <= 1e-6 * whole:
            break
    return means, of_errors * np.diag(np.linalg.inv(information))


def _items_given(
    filled: NDArray[np.float64], answered: NDArray[np.float64], ratio: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(item means, their information × the variance of errors), by generalised least squares given the ratio
    of the variances of roles and errors."""
    weighted = answered * (ratio / (1 + answered.sum(axis=1) * ratio))[:, None]
    # A little of the identity: items that no chain of roles joins are told apart by their means alone.
    information = np.diag(answered.sum(axis=0)) - weighted.T @ answered + 1e-9 * np.eye(filled.shape[1])
    return np.linalg.solve(information, filled.sum(axis=0) - weighted.T @ filled.sum(axis=1)), information

"""Items against the rest of their value: which of them speak against it, since they are keyed the wrong way
or ask about something else."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.engine.scoring.difficulty import role_item_table
from axiograph.engine.scoring.scores import mean
from axiograph.engine.scoring.style import Style
from axiograph.engine.scoring.tally import Tally
from axiograph.engine.study.conditions import BASELINE

MIN_ROLES = 5
_SCHEMA = {
    "item_id": pl.String,
    "value": pl.String,
    "agreement": pl.Int8,
    "roles": pl.Int64,
    "item_rest": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def item_scores(
    tally: Tally, items: pl.DataFrame, style: Style | None, *, drop_shared: bool = False
) -> pl.DataFrame:
    """value, item_id, role, score: the baseline scores of which profiles are made, means over repeats; with
    `style` less agreement × what it takes out. `items`: item_id, agreement, shared. drop_shared as in
    engine.scoring.profiles."""
    keyed = items.filter(~pl.col("shared")) if drop_shared else items
    table = tally.items.join(keyed.select("item_id", "agreement"), on="item_id", how="inner")
    score = mean(pl.col("total"), pl.col("scored"))
    if style is not None:
        taken = style.roles.filter(pl.col("condition") == BASELINE).select("role", "subtracted")
        table = table.join(taken, on="role", how="left")
        # An item that all answer alike shows no style: it stays constant.
        varies = pl.col("low").min().over("item_id") != pl.col("high").max().over("item_id")
        score = score - pl.col("agreement") * pl.when(varies).then(pl.col("subtracted")).fill_null(0.0)
    return table.select(pl.col("value").cast(pl.String), "item_id", "role", score=score).drop_nulls("score")


def item_rest(scores: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """How an item goes with the rest of its value, a row per item of `items`, in their order.

    Columns: item_id, value, agreement, roles (with the item and another of its value), item_rest (the
    correlation of the item's score with the mean of the others that the role has, each less its mean over
    roles), low, high (95 %, Fisher's z), against (whether that interval lies below 0: of items that have
    nothing to do with their value one in forty). Null where an item does not vary or has fewer than MIN_ROLES
    roles. `scores`: as in `item_scores`."""
    rows: dict[str, tuple[int, float]] = {}
    for group in scores.sort("value", "item_id", "role").partition_by("value", maintain_order=True):
        names, table = role_item_table(group)
        rows |= dict(zip(names, correlations_with_rest(table), strict=True))
    listed = [
        (*item, *_with_interval(*rows.get(item[0], (0, np.nan))))
        for item in items.select("item_id", "value", "agreement").iter_rows()
    ]
    found = pl.DataFrame(listed, schema=_SCHEMA, orient="row")
    return found.with_columns(against=(pl.col("high") < 0).fill_null(False))


def correlations_with_rest(table: NDArray[np.float64]) -> list[tuple[int, float]]:
    """(roles, correlation with the mean of the others) of every item of a [n_roles, n_items] table, NaN for
    gaps and where the correlation is undefined. Items are centred first, since roles lack different ones."""
    present = ~np.isnan(table)
    counts = present.sum(axis=0)
    centred = np.where(
        present, table - np.where(present, table, 0.0).sum(axis=0) / np.maximum(counts, 1), 0.0
    )
    found = []
    for item in range(table.shape[1]):
        others = present.sum(axis=1) - present[:, item]
        rows = present[:, item] & (others > 0)
        rest = (centred.sum(axis=1) - centred[:, item])[rows] / others[rows]
        own = centred[rows, item]
        varies = rows.sum() >= MIN_ROLES and min(np.ptp(own), np.ptp(rest)) > 1e-9
        found.append((int(rows.sum()), float(np.corrcoef(own, rest)[0, 1]) if varies else np.nan))
    return found


def _with_interval(roles: int, correlation: float) -> tuple[int, float | None, float | None, float | None]:
    if np.isnan(correlation):
        return roles, None, None, None
    z, wide = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12)), 1.96 / np.sqrt(roles - 3)
    return roles, correlation, float(np.tanh(z - wide)), float(np.tanh(z + wide))

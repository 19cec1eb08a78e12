"""Effects split into content and style: how much of what a condition did to a plain score is saying yes more
or less often (DESIGN 21)."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import BASELINE, Pairing, select_roles
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import column_moments, t_interval

_PARTS = ("plain", "content", "style", "items")
_SCHEMA = {
    "condition": pl.String,
    "value": pl.String,
    "pairs": pl.Int64,
    "key_balance": pl.Float64,
    **{f"{part}{end}": pl.Float64 for part in _PARTS for end in ("", "_low", "_high")},
    "subtracted": pl.Boolean,
}


def split_effects(
    plain: pl.DataFrame,
    content: pl.DataFrame,
    styles: pl.DataFrame,
    balance: dict[str, float],
    split: str | None,
    level: float,
) -> pl.DataFrame:
    """A row per condition and value: the mean difference of the plain score to the baseline over the roles of
    `split` (None: all), and its parts, which add up to it: plain = content + style + items.

    style is key balance × how much more the roles say yes (engine.scoring.style, whether or not that is told
    from chance); items is what it owes to answers that lack under one of the two, 0 where none does; content
    is the rest. Each has its interval at 1 − level, Student's over roles, pointwise. subtracted: whether the
    style of the condition is taken out of contents. Null where style is unknown: then content holds it.

    `plain`, `content`: the two tables of profiles; `styles`: as engine.scoring.style.Style.roles; `balance`:
    the mean key of every value. Values without a balance have no row."""
    tables = [select_roles(table, split, BASELINE) for table in (plain, content, styles)]
    names = [name for name in plain.columns if name in balance]
    keyed = np.array([balance[name] for name in names])
    means, contents = (Pairing(table, BASELINE, names) for table in tables[:2])
    moved = Pairing(tables[2], BASELINE, ["style", "subtracted"])
    rows = []
    for condition in means.conditions:
        whole, freed = means.differences(condition), contents.differences(condition)
        style, taken = (column[:, None] * keyed for column in moved.differences(condition).T)
        known = np.isfinite(style).any()
        own = freed + taken - np.where(known, style, 0.0)
        items = _without_rounding(whole - freed - taken)
        parts = [_with_intervals(part, level) for part in (whole, own, style, items)]
        is_taken = bool((np.abs(taken) > 0).any())
        for k, name in enumerate(names):
            pairs = int(np.isfinite(whole[:, k]).sum())
            numbers = [part[end][k] for part in parts for end in range(3)]
            rows.append((condition, name, pairs, keyed[k], *numbers, is_taken))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))


def _without_rounding(differences: FloatArray) -> FloatArray:
    return np.where(np.abs(differences) < 1e-9, 0.0, differences)


def _with_intervals(differences: FloatArray, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(mean, low, high) [n_values] of [n_roles, n_values] differences with NaN for no pair."""
    count, mean, _ = column_moments(differences)
    return np.where(count > 0, mean, np.nan), *t_interval(differences, level)

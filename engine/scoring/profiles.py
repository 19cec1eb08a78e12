"""Profiles of roles, and what says how far to trust them (DESIGN 6, 10, 14): tables from a tally."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.engine.answers.parsing import STATES
from axiograph.engine.errors import RunError
from axiograph.engine.scoring.reliability import cronbach_alpha
from axiograph.engine.scoring.scores import mean, total
from axiograph.engine.scoring.tally import Tally


def profiles(tally: Tally, *, drop_shared: bool = False) -> pl.DataFrame:
    """Mean score per value over items and repeats, one row per role × condition, sorted by these.

    Columns: role, condition, split, then one Float64 per value in the order of the items; null where a role
    has no scored item. drop_shared leaves out items whose text serves several values (DESIGN 14). Raises
    RunError where modes are mixed or a role is in both splits.
    """
    _check_one_mode(tally)
    splits = _role_splits(tally)
    counts = ~pl.col("shared") if drop_shared else pl.lit(True)
    sums = tally.cells.group_by("role", "condition", "value").agg(
        total=pl.col("total").filter(counts).sum(), scored=pl.col("scored").filter(counts).sum()
    )
    means = sums.select("role", "condition", "value", score=mean(pl.col("total"), pl.col("scored")))
    values = pl.Series(tally.values, dtype=pl.String)
    table = means.pivot(on="value", on_columns=values, index=["role", "condition"], values="score")
    table = table.join(splits, on="role")
    return table.select("role", "condition", "split", *tally.values).sort("condition", "role")


def answer_rates(tally: Tally) -> pl.DataFrame:
    """How each condition was answered, one row per condition of the plan, sorted.

    Columns: condition, planned, answered (has a response), yes, no, unsure, refused, unparsed (counts),
    answered_rate (of planned), yes_rate, …, unparsed_rate (of answered; null where nothing was answered),
    fallback (rows of logprob mode read after a generated thought).
    """
    counts = ["planned", "answered", *STATES, "fallback"]
    table = tally.answers.group_by("condition").agg(pl.col(counts).sum())
    answered = pl.when(pl.col("answered") > 0).then(pl.col("answered"))
    rates = {f"{name}_rate": pl.col(name) / answered for name in STATES}
    table = table.with_columns(answered_rate=pl.col("answered") / pl.col("planned"), **rates)
    order = ["condition", "planned", "answered", *STATES, "answered_rate", *rates, "fallback"]
    return table.select(order).sort("condition")


def acquiescence(tally: Tally) -> pl.DataFrame:
    """How much a role says yes whatever is asked, per role × condition, in [−1, 1].

    The raw answer is score × agreement: +1 yes, −1 no, 0 unsure (tanh(log_odds / 2) in logprob mode). For
    each value with scored items of both keys: half the sum of the mean raw answer to its positively and to
    its negatively keyed items, in which the value itself cancels; then the mean over those values.

    Columns: role, condition, split, acquiescence (null without such a value), values (how many there were).
    Raises RunError where modes are mixed.
    """
    _check_one_mode(tally)
    names = ["role", "condition", "split"]
    raw = pl.col("total") * pl.col("agreement")
    agree, oppose = pl.col("agreement") > 0, pl.col("agreement") < 0
    balanced = (_mean_where(raw, agree) + _mean_where(raw, oppose)) / 2
    by_value = tally.cells.group_by(*names, "value").agg(balanced=balanced)
    column = pl.col("balanced")
    grouped = by_value.group_by(names).agg(
        acquiescence=mean(total(column), column.count()), values=column.is_not_null().sum()
    )
    return grouped.sort("condition", "role", "split")


def _mean_where(sums: pl.Expr, where: pl.Expr) -> pl.Expr:
    return mean(sums.filter(where).sum(), pl.col("scored").filter(where).sum())


def constant_items(tally: Tally) -> pl.DataFrame:
    """Items whose score is the same for every baseline role: they tell no role from another.

    Columns: item_id, value, rows (scored), score (the one they have; null where no answer was scored).
    """
    grouped = tally.items.group_by("item_id", "value").agg(
        rows=pl.col("scored").sum(), score=pl.col("low").min(), top=pl.col("high").max()
    )
    alike = grouped.filter((pl.col("rows") == 0) | (pl.col("score") == pl.col("top")))
    return alike.drop("top").sort("value", "item_id").with_columns(pl.col("value").cast(pl.String))


def reliability(tally: Tally) -> pl.DataFrame:
    """Cronbach's alpha per value over the baseline roles, from pairwise covariances of its items' scores.

    The formula is that of engine.scoring.reliability.cronbach_alpha; an item's score is its mean over
    repeats, and items without any score are left out. Columns: value, alpha (null where undefined), items,
    roles, reason (null, or why alpha is undefined). Raises RunError where modes are mixed.
    """
    _check_one_mode(tally)
    means = tally.items.with_columns(score=mean(pl.col("total"), pl.col("scored"))).drop_nulls("score")
    table = means.with_columns(pl.col("value").cast(pl.String)).sort("value", "item_id", "role")
    groups = table.partition_by("value", as_dict=True)
    rows = [_alpha_row(value, groups.get((value,))) for value in tally.values]
    numbers = {"alpha": pl.Float64, "items": pl.Int64, "roles": pl.Int64}
    schema = {"value": pl.String, **numbers, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _alpha_row(value: str, means: pl.DataFrame | None) -> tuple[str, float | None, int, int, str | None]:
    if means is None:
        return value, None, 0, 0, "no scored answer"
    item = means["item_id"].rank("dense").to_numpy() - 1
    role = means["role"].rank("dense").to_numpy() - 1
    table = np.full((int(role.max()) + 1, int(item.max()) + 1), np.nan)
    table[role, item] = means["score"].to_numpy()
    alpha, reason = cronbach_alpha(table)
    return value, alpha, table.shape[1], table.shape[0], reason


def _check_one_mode(tally: Tally) -> None:
    if len(tally.modes) > 1:
        remedy = "Score the runs apart: their scores have different scales."
        raise RunError("scores", "answers of one mode", " and ".join(sorted(tally.modes)), remedy)


def _role_splits(tally: Tally) -> pl.DataFrame:
    """role, split; RunError where a role is in both splits."""
    pairs = tally.cells.select("role", "split").unique()
    doubled = pairs.filter(pl.col("role").is_duplicated())["role"].unique().sort()
    if len(doubled):
        examples = f"{len(doubled)} in both, such as {doubled[0]!r}"
        raise RunError("profiles", "each role in one split", examples, "Plan the study again.")
    return pairs

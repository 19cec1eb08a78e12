"""Profiles of roles, and what says how far to trust them (DESIGN 6, 10, 14): tables from a tally."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.engine.answers.parsing import STATES, UNFINISHED
from axiograph.engine.errors import RunError
from axiograph.engine.scoring.reliability import (
    alpha_interval,
    alpha_interval_with_gaps,
    cronbach_alpha,
    mcdonald_omega,
    varying_items,
)
from axiograph.engine.scoring.scores import mean, total
from axiograph.engine.scoring.tally import Tally


def profiles(tally: Tally, *, drop_shared: bool = False) -> pl.DataFrame:
    """Mean score per value over items and repeats, one row per role × condition, sorted by these.

    Columns: role, condition, split, then one Float64 per value in the order of the items; null where a role
    has no scored item. drop_shared leaves out items whose text serves several values (DESIGN 14). Raises
    RunError where modes are mixed or a role is in both splits.
    """
    check_one_mode(tally)
    counts = ~pl.col("shared") if drop_shared else pl.lit(True)
    sums = tally.cells.group_by("role", "condition", "value").agg(
        total=pl.col("total").filter(counts).sum(), scored=pl.col("scored").filter(counts).sum()
    )
    return as_profiles(tally, sums.with_columns(score=mean(pl.col("total"), pl.col("scored"))))


def as_profiles(tally: Tally, means: pl.DataFrame) -> pl.DataFrame:
    """The profiles of rows role, condition, value, score: see `profiles`."""
    splits = _role_splits(tally)
    means = means.select("role", "condition", "value", "score")
    values = pl.Series(tally.values, dtype=pl.String)
    table = means.pivot(on="value", on_columns=values, index=["role", "condition"], values="score")
    table = table.join(splits, on="role")
    return table.select("role", "condition", "split", *tally.values).sort("condition", "role")


def answer_rates(tally: Tally) -> pl.DataFrame:
    """How each condition was answered, one row per condition of the plan, sorted.

    Columns: condition, planned, answered (has a response), yes, no, chosen, unsure, refused, unparsed,
    unfinished (counts), answered_rate (of planned), yes_rate, … (of answered; null where nothing was),
    fallback (rows of logprob mode read after a generated thought).
    """
    counts = ["planned", "answered", *STATES, "fallback"]
    table = tally.answers.group_by("condition").agg(pl.col(counts).sum())
    answered = pl.when(pl.col("answered") > 0).then(pl.col("answered"))
    rates = {f"{name}_rate": pl.col(name) / answered for name in STATES}
    table = table.with_columns(answered_rate=pl.col("answered") / pl.col("planned"), **rates)
    order = ["condition", "planned", "answered", *STATES, "answered_rate", *rates, "fallback"]
    return table.select(order).sort("condition")


def shown_states(rates: pl.DataFrame) -> list[str]:
    """The states that are worth a column: yes and no where some answer is one or none is an option of a
    scale, chosen where one is, unfinished where a thought is. `rates`: as answer_rates."""
    yes_or_no = rates.select((pl.col("yes") + pl.col("no") > 0).any()).item()
    # Tables of earlier versions lack them.
    rare = {
        state
        for state in ("chosen", UNFINISHED)
        if state not in rates.columns or not rates.select((pl.col(state) > 0).any()).item()
    }
    hidden = rare if yes_or_no or "chosen" in rare else {*rare, "yes", "no"}
    return [state for state in STATES if state not in hidden]


def acquiescence(tally: Tally) -> pl.DataFrame:
    """How much a role says yes whatever is asked, per role × condition, in [−1, 1].

    The raw answer is score × agreement: +1 yes, −1 no, 0 unsure (tanh(log_odds / 2) in logprob mode). For
    each value with scored items of both keys: half the sum of the mean raw answer to its positively and to
    its negatively keyed items, in which the value itself cancels; then the mean over those values.

    Columns: role, condition, split, acquiescence (null without such a value), values (how many there were).
    Raises RunError where modes are mixed.
    """
    check_one_mode(tally)
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


def order_effects(tally: Tally) -> pl.DataFrame:
    """How far answers to scales move towards the option that is shown first, per role × condition, in [−1,
    1]: half of the difference between how high answers are where the highest option is first, and where the
    lowest is. Columns: role, condition, order_effect (null unless both orders were answered)."""
    mean_of = {
        name: mean(pl.col("total").filter(where).sum(), pl.col("scored").filter(where).sum())
        for name, where in (("high", pl.col("descending")), ("low", ~pl.col("descending")))
    }
    grouped = tally.orders.group_by("role", "condition").agg(**mean_of)
    effect = (pl.col("high") - pl.col("low")) / 2
    return grouped.select("role", "condition", order_effect=effect).sort("condition", "role")


def response_distributions(tally: Tally) -> pl.DataFrame:
    """How often every item got every answer in the baseline: item_id, state, chosen (the option's position;
    null without a scale), answers, share (of the item's answers), sorted."""
    rows, item = pl.col("rows"), ["item_id", "state", "chosen"]
    table = tally.given.with_columns(answers=rows, share=rows / rows.sum().over("item_id"))
    return table.select(*item, "answers", "share").sort(item)


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


_RELIABILITY = {
    "value": pl.String,
    "alpha": pl.Float64,
    "items": pl.Int64,
    "roles": pl.Int64,
    "reason": pl.String,
    "low": pl.Float64,
    "high": pl.Float64,
    "varying": pl.Int64,
    "omega": pl.Float64,
    "omega_reason": pl.String,
}
SPEAK_AGAINST = "its items speak against each other: their mean covariance is not above 0"


def reliability(tally: Tally, scores: pl.DataFrame | None = None) -> pl.DataFrame:
    """Cronbach's alpha and McDonald's omega per value over the baseline roles, from pairwise covariances of
    its items' scores: engine.scoring.reliability has the formulas.

    An item's score is its mean over repeats, or that in `scores` (engine.scoring.item_rest.item_scores:
    value, item_id, role, score). Items without any score are left out. Columns: value, alpha (null where
    undefined), items, roles, reason (null, why alpha is undefined, or what its sign says), low, high (alpha's
    95 % interval: Feldt's, with gaps a jackknife), varying (items of the two that vary), omega, omega_reason.
    Raises RunError where modes are mixed."""
    check_one_mode(tally)
    if scores is None:
        scores = tally.items.with_columns(score=mean(pl.col("total"), pl.col("scored")))
    means = scores.drop_nulls("score")
    table = means.with_columns(pl.col("value").cast(pl.String)).sort("value", "item_id", "role")
    groups = table.partition_by("value", as_dict=True)
    rows = [_reliability_row(value, groups.get((value,))) for value in tally.values]
    return pl.DataFrame(rows, schema=_RELIABILITY, orient="row")


def _reliability_row(value: str, means: pl.DataFrame | None) -> list[str | float | int | None]:
    if means is None:
        return [value, None, 0, 0, "no scored answer", None, None, 0, None, "no scored answer"]
    item = means["item_id"].rank("dense").to_numpy() - 1
    role = means["role"].rank("dense").to_numpy() - 1
    table = np.full((int(role.max()) + 1, int(item.max()) + 1), np.nan)
    table[role, item] = means["score"].to_numpy()
    alpha, reason = cronbach_alpha(table)
    varying = int(varying_items(table).sum())
    if np.isnan(table).any():
        ends = alpha_interval_with_gaps(table)
    else:
        ends = alpha_interval(alpha, varying, table.shape[0])
    if alpha is not None and alpha <= 0:
        reason = SPEAK_AGAINST
    return [value, alpha, table.shape[1], table.shape[0], reason, *ends, varying, *mcdonald_omega(table)]


def check_one_mode(tally: Tally) -> None:
    """RunError where the answers were scored in several modes."""
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

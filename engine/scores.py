"""Scores: answers as numbers, profiles of roles, and what says how far to trust them (DESIGN 6, 10, 14).

Polars, lazy and streaming: only grouped results are held in memory. Frames that come in:

- plan: request_id, role, condition, item_id, repeat, split, one row per request;
- responses: request_id, mode, state, log_odds, fallback, at most one row per request;
- items: item_id, value, agreement, question, shared (the item's text serves several values).

Sums are taken over scores in fixed point (multiples of 2⁻⁴⁰), so that a result does not depend on the order
in which threads meet the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import polars as pl

from engine.answers import STATES
from engine.conditions import BASELINE
from engine.errors import RunError
from engine.reliability import cronbach_alpha

_UNIT = 2.0**40  # 8 million scores of size 1 fit into 64 bits; a score is off by at most 5e-13


def item_scores(plan: pl.LazyFrame, responses: pl.LazyFrame, items: pl.DataFrame) -> pl.LazyFrame:
    """One row per response: the plan's and response's columns, value, agreement, shared and `score`.

    score (Float64): generate mode: agreement × (+1 yes, −1 no, 0 unsure); logprob mode: agreement ×
    tanh(log_odds / 2), and the same as generate mode in its fallback rows; null where refused or unparsed.
    `value` is an Enum whose order is that of `items`. A request without a response has no row.

    Raises RunError for an item that `items` does not have, and for a state or mode that is unknown.
    """
    _check_known(plan, responses, items)
    values = pl.Enum(items["value"].unique(maintain_order=True))
    ids = plan.collect_schema()["item_id"]
    keys = items.lazy().select(
        pl.col("item_id").cast(ids), pl.col("value").cast(values), pl.col("agreement").cast(pl.Int8), "shared"
    )
    answers = responses.select("request_id", "mode", "state", "log_odds", "fallback")
    return (
        plan.select("request_id", "role", "condition", "split", "item_id", "repeat")
        .join(answers, on="request_id", how="inner")
        .join(keys, on="item_id", how="inner")
        .with_columns(score=_score())
    )


def profiles(scores: pl.LazyFrame, *, drop_shared: bool = False) -> pl.DataFrame:
    """Mean score per value over items and repeats, one row per role × condition, sorted by these.

    `scores` is what item_scores gives. Columns: role, condition, split, then one Float64 per value in the
    order of the items; null where a role has no scored item. drop_shared leaves out items whose text serves
    several values (DESIGN 14). Raises RunError where modes are mixed or a role is in both splits.
    """
    _check_one_mode(scores)
    splits = _role_splits(scores)
    values = _values(scores)
    kept = pl.col("score").filter(~pl.col("shared")) if drop_shared else pl.col("score")
    cells = _collect(scores.group_by("role", "condition", "value").agg(score=_mean(kept)))
    table = cells.pivot(on="value", on_columns=values, index=["role", "condition"], values="score")
    table = table.with_columns(pl.col("role", "condition").cast(pl.String)).join(splits, on="role")
    return table.select("role", "condition", "split", *values).sort("condition", "role")


def part_scores(
    scores: pl.LazyFrame, part: Literal["item", "repeat"], *, drop_shared: bool = False
) -> pl.DataFrame:
    """The parts of which a profile's score is the mean: a row per role, condition, value and part, sorted.

    `part`: an item (its score, the mean over repeats) or a repeat (the mean over the items it was asked).
    Columns: role, condition, value (Enum), part (String), score; parts without a scored answer have no row.
    drop_shared as in `profiles`. Raises RunError where modes are mixed."""
    _check_one_mode(scores)
    kept = scores.filter(~pl.col("shared")) if drop_shared else scores
    column = {"item": "item_id", "repeat": "repeat"}[part]
    named = kept.with_columns(pl.col("role", "condition", column).cast(pl.String)).rename({column: "part"})
    means = named.group_by("role", "condition", "value", "part").agg(score=_mean(pl.col("score")))
    return _collect(means).drop_nulls("score").sort("condition", "role", "value", "part")


def answer_rates(plan: pl.LazyFrame, responses: pl.LazyFrame) -> pl.DataFrame:
    """How each condition was answered, one row per condition of the plan, sorted.

    Columns: condition, planned, answered (has a response), yes, no, unsure, refused, unparsed (counts),
    answered_rate (of planned), yes_rate, …, unparsed_rate (of answered; null where nothing was answered),
    fallback (rows of logprob mode read after a generated thought).
    """
    joined = plan.select("request_id", "condition").join(
        responses.select("request_id", "state", "fallback"), on="request_id", how="left"
    )
    state = pl.col("state").cast(pl.String)
    counts = joined.group_by("condition").agg(
        planned=pl.len(),
        answered=state.is_not_null().sum(),
        **{name: (state == name).sum() for name in STATES},
        fallback=pl.col("fallback").fill_null(False).sum(),
    )
    answered = pl.when(pl.col("answered") > 0).then(pl.col("answered"))
    rates = {f"{name}_rate": pl.col(name) / answered for name in STATES}
    table = _collect(counts).with_columns(
        pl.col("condition").cast(pl.String), answered_rate=pl.col("answered") / pl.col("planned"), **rates
    )
    order = ["condition", "planned", "answered", *STATES, "answered_rate", *rates, "fallback"]
    return table.select(order).sort("condition")


def acquiescence(scores: pl.LazyFrame) -> pl.DataFrame:
    """How much a role says yes whatever is asked, per role × condition, in [−1, 1].

    The raw answer is score × agreement: +1 yes, −1 no, 0 unsure (tanh(log_odds / 2) in logprob mode). For
    each value with scored items of both keys: half the sum of the mean raw answer to its positively and to
    its negatively keyed items, in which the value itself cancels; then the mean over those values.

    Columns: role, condition, split, acquiescence (null without such a value), values (how many there were).
    Raises RunError where modes are mixed.
    """
    _check_one_mode(scores)
    raw = pl.col("score") * pl.col("agreement")
    names = ["role", "condition", "split"]
    cells = scores.group_by(*names, "value").agg(
        balanced=(_mean(raw.filter(pl.col("agreement") > 0)) + _mean(raw.filter(pl.col("agreement") < 0))) / 2
    )
    grouped = cells.group_by(names).agg(
        acquiescence=_mean(pl.col("balanced")), values=pl.col("balanced").is_not_null().sum()
    )
    return _collect(grouped).with_columns(pl.col(names).cast(pl.String)).sort("condition", "role", "split")


def constant_items(scores: pl.LazyFrame) -> pl.DataFrame:
    """Items whose score is the same for every baseline role: they tell no role from another.

    Columns: item_id, value, rows (scored), score (the one they have; null where no answer was scored).
    """
    grouped = (
        _baseline(scores)
        .group_by("item_id", "value")
        .agg(rows=pl.col("score").is_not_null().sum(), score=pl.col("score").min(), top=pl.col("score").max())
        .filter((pl.col("rows") == 0) | (pl.col("score") == pl.col("top")))
    )
    strings = pl.col("item_id", "value").cast(pl.String)
    return _collect(grouped.drop("top")).sort("value", "item_id").with_columns(strings)


def reliability(scores: pl.LazyFrame) -> pl.DataFrame:
    """Cronbach's alpha per value over the baseline roles, from pairwise covariances of its items' scores.

    The formula is that of engine.reliability.cronbach_alpha; an item's score is its mean over repeats, and
    items without any score are left out. Columns: value, alpha (null where undefined), items, roles, reason
    (null, or why alpha is undefined). Raises RunError where modes are mixed.
    """
    _check_one_mode(scores)
    means = _baseline(scores).group_by("value", "item_id", "role").agg(score=_mean(pl.col("score")))
    strings = pl.col("value", "item_id", "role").cast(pl.String)
    table = _collect(means.drop_nulls("score")).with_columns(strings).sort("value", "item_id", "role")
    groups = table.partition_by("value", as_dict=True)
    rows = [_alpha_row(value, groups.get((value,))) for value in _values(scores)]
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


def _baseline(scores: pl.LazyFrame) -> pl.LazyFrame:
    return scores.filter(pl.col("condition").cast(pl.String) == BASELINE)


def _check_one_mode(scores: pl.LazyFrame) -> None:
    modes = _strings(scores, "mode")
    if len(modes) > 1:
        remedy = "Score the runs apart: their scores have different scales."
        raise RunError("scores", "answers of one mode", " and ".join(modes), remedy)


def _role_splits(scores: pl.LazyFrame) -> pl.DataFrame:
    """role, split; RunError where a role is in both splits."""
    pairs = _collect(scores.select("role", "split").unique()).cast(pl.String)
    doubled = pairs.filter(pl.col("role").is_duplicated())["role"].unique().sort()
    if len(doubled):
        found = f"{len(doubled)} in both, such as {doubled[0]!r}"
        raise RunError("profiles", "each role in one split", found, "Plan the study again.")
    return pairs


def _score() -> pl.Expr:
    state = pl.col("state").cast(pl.String)
    sign = pl.when(state == "yes").then(1.0).when(state == "no").then(-1.0).when(state == "unsure").then(0.0)
    scored = pl.when(state.is_in(["yes", "no", "unsure"])).then((pl.col("log_odds") / 2).tanh())
    by_odds = (pl.col("mode").cast(pl.String) == "logprob") & ~pl.col("fallback").fill_null(False)
    return pl.col("agreement") * pl.when(by_odds).then(scored.fill_nan(None)).otherwise(sign)


def _mean(scores: pl.Expr) -> pl.Expr:
    """The mean of the scores that are not null, as an exact sum of fixed-point numbers; null without any."""
    total = (scores * _UNIT).round().cast(pl.Int64).sum()
    count = scores.count()
    return pl.when(count > 0).then(total / _UNIT / count)


def _values(scores: pl.LazyFrame) -> list[str]:
    kind = scores.collect_schema()["value"]
    assert isinstance(kind, pl.Enum)
    return kind.categories.to_list()


def _collect(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect(engine="streaming")


def _strings(frame: pl.LazyFrame, column: str) -> list[str]:
    """The different entries of a column, sorted."""
    return sorted(_collect(frame.select(pl.col(column).unique()))[column].cast(pl.String).drop_nulls())


def _check_known(plan: pl.LazyFrame, responses: pl.LazyFrame, items: pl.DataFrame) -> None:
    for frame, column, known in (
        (plan, "item_id", items["item_id"].to_list()),
        (responses, "state", STATES),
        (responses, "mode", ("generate", "logprob")),
    ):
        _check_column(frame, column, known)


def _check_column(frame: pl.LazyFrame, column: str, known: Iterable[str]) -> None:
    unknown = sorted(set(_strings(frame, column)) - set(known))
    if unknown:
        found = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        remedy = "The answers do not belong to this study or version: score them with their own."
        raise RunError(f"scores, column {column}", "known entries", found, remedy)

"""Scores: answers as numbers (DESIGN 6, 10, 14). Polars, lazy. Frames that come in:

- plan: request_id, role, condition, item_id, repeat, split, one row per request;
- responses: request_id, mode, state, log_odds, fallback, and, for answer scales, chosen and probabilities, at
  most one row per request;
- items: item_id, value, agreement, question, shared (the item's text serves several values), option_scores
  (of its scale's options, in [−1, 1]; null without a scale), and, where item means are to be taken out,
  item_mean (engine.scoring.difficulty).

Sums are taken over scores in fixed point (multiples of 2⁻⁴⁰), so that a result does not depend on the order
in which threads meet the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import polars as pl

from axiograph.engine.answers.parsing import STATES
from axiograph.engine.errors import RunError

OF_SCALES = ("chosen", "probabilities")
_UNIT = 2.0**40  # 8 million scores of size 1 fit into 64 bits; a score is off by at most 5e-13


def item_scores(
    plan: pl.LazyFrame, responses: pl.LazyFrame, items: pl.DataFrame, more: Sequence[str] = ()
) -> pl.LazyFrame:
    """One row per response: the plan's and response's columns, value, agreement, shared, item_mean where the
    items have it, and `score`; `more` names further columns of the responses that are kept.

    score (Float64): generate mode: agreement × (+1 yes, −1 no, 0 unsure, or what the chosen option is worth);
    logprob mode: agreement × tanh(log_odds / 2), or the mean of what the options are worth, weighted by their
    probabilities, and the same as generate mode in its fallback rows; null where refused or unparsed, and for
    an unsure answer to a scale.
    `value` is an Enum whose order is that of `items`. A request without a response has no row.

    Raises RunError for an item that `items` does not have, and for a state or mode that is unknown.
    """
    _check_known(plan, responses, items)
    values = pl.Enum(items["value"].unique(maintain_order=True))
    ids = plan.collect_schema()["item_id"]
    has_scales = "option_scores" in items.columns and items["option_scores"].is_not_null().any()
    keys = items.lazy().select(
        pl.col("item_id").cast(ids),
        pl.col("value").cast(values),
        pl.col("agreement").cast(pl.Int8),
        "shared",
        *(["item_mean"] if "item_mean" in items.columns else []),
        *(["option_scores"] if has_scales else []),
    )
    scales = [name for name in OF_SCALES if name in responses.collect_schema().names()]
    answers = responses.select("request_id", "mode", "state", "log_odds", "fallback", *scales, *more)
    return (
        plan.select("request_id", "role", "condition", "split", "item_id", "repeat")
        .join(answers, on="request_id", how="inner")
        .join(keys, on="item_id", how="inner")
        .with_columns(score=_score(has_scales and len(scales) == len(OF_SCALES)))
    )


def part_scores(
    scores: pl.LazyFrame, part: Literal["item", "repeat"], *, drop_shared: bool = False
) -> pl.DataFrame:
    """The parts of which a profile's score is the mean: a row per role, condition, value and part, sorted.

    `part`: an item (its score, the mean over repeats) or a repeat (the mean over the items it was asked).
    Columns: role, condition, value (Enum), part (String), score; parts without a scored answer have no row.
    drop_shared as in `profiles`. Raises RunError where modes are mixed."""
    _check_one_mode(scores)
    scores = scores.filter(~pl.col("shared")) if drop_shared else scores
    column = {"item": "item_id", "repeat": "repeat"}[part]
    named = scores.with_columns(pl.col("role", "condition", column).cast(pl.String)).rename({column: "part"})
    score = pl.col("score")
    means = named.group_by("role", "condition", "value", "part").agg(score=mean(total(score), score.count()))
    return _collect(means).drop_nulls("score").sort("condition", "role", "value", "part")


def _check_one_mode(scores: pl.LazyFrame) -> None:
    modes = _strings(scores, "mode")
    if len(modes) > 1:
        remedy = "Score the runs apart: their scores have different scales."
        raise RunError("scores", "answers of one mode", " and ".join(modes), remedy)


def _score(scales: bool) -> pl.Expr:
    return pl.col("agreement") * plain_score(scales)


def plain_score(scales: bool = False) -> pl.Expr:
    """An answer between −1 (no, the lowest option) and 1 (yes, the highest), whatever the key; null where it
    is none. `scales`: whether there are the columns option_scores, chosen and probabilities."""
    if not scales:
        return _yes_or_no()
    worth = pl.col("option_scores")
    # A middle that is no score is null: it counts neither above nor below.
    expected = (pl.col("probabilities") * worth).list.sum() / (
        pl.col("probabilities") * (worth * 0.0 + 1.0)
    ).list.sum()
    chosen = worth.list.get(pl.col("chosen"), null_on_oob=True)
    by_odds = (pl.col("mode").cast(pl.String) == "logprob") & ~pl.col("fallback").fill_null(False)
    by_scale = pl.when(by_odds).then(expected.fill_nan(None)).otherwise(chosen)
    by_scale = pl.when(pl.col("state").cast(pl.String) == "chosen").then(by_scale)
    return pl.when(worth.is_null()).then(_yes_or_no()).otherwise(by_scale)


def _yes_or_no() -> pl.Expr:
    state = pl.col("state").cast(pl.String)
    sign = pl.when(state == "yes").then(1.0).when(state == "no").then(-1.0).when(state == "unsure").then(0.0)
    scored = pl.when(state.is_in(["yes", "no", "unsure"])).then((pl.col("log_odds") / 2).tanh())
    by_odds = (pl.col("mode").cast(pl.String) == "logprob") & ~pl.col("fallback").fill_null(False)
    return pl.when(by_odds).then(scored.fill_nan(None)).otherwise(sign)


def total(scores: pl.Expr) -> pl.Expr:
    """The sum of the scores that are not null, exact, in units of 2⁻⁴⁰ (Int64)."""
    return (scores * _UNIT).round().cast(pl.Int64).sum()


def mean(total: pl.Expr, count: pl.Expr) -> pl.Expr:
    """The mean score of `count` scores that add up to `total`; null without any."""
    return pl.when(count > 0).then(total / _UNIT / count)


def _collect(frame: pl.LazyFrame) -> pl.DataFrame:
    return frame.collect(engine="streaming")


def _strings(frame: pl.LazyFrame, column: str) -> list[str]:
    """The different entries of a column, sorted."""
    return sorted(_collect(frame.select(pl.col(column).unique()))[column].cast(pl.String).drop_nulls())


def _check_known(plan: pl.LazyFrame, responses: pl.LazyFrame, items: pl.DataFrame) -> None:
    for frame, column, entries in (
        (plan, "item_id", items["item_id"].to_list()),
        (responses, "state", STATES),
        (responses, "mode", ("generate", "logprob", "constrained")),
    ):
        _check_column(frame, column, entries)


def _check_column(frame: pl.LazyFrame, column: str, entries: Iterable[str]) -> None:
    unknown = sorted(set(_strings(frame, column)) - set(entries))
    if unknown:
        examples = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        remedy = "The answers do not belong to this study or version: score them with their own."
        raise RunError(f"scores, column {column}", "known entries", examples, remedy)

"""Quality of the questionnaire in a run: how conditions were answered, acquiescence and reliability, each
with its interval. The stage `score` writes these tables; the report shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import polars as pl

from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import RoleDraws, percentile_range
from axiograph.engine.answers.parsing import STATES
from axiograph.engine.scoring.reliability import alpha_interval
from axiograph.engine.study.split import TEST, TRAIN

ALL = "all"
TOKENS = "tokens"
_MEASURES = (*STATES, TOKENS)
_LEVEL, _DRAWS, _SEED = 0.05, 1000, 0


def answering(
    answers: pl.DataFrame, role_split: Mapping[str, str], conditions: Sequence[str]
) -> pl.DataFrame:
    """How every condition was answered, of all roles and of either split: a row per split ("all", "train",
    "test"), condition (in the order of `conditions`) and measure.

    Columns: split, condition, measure (a state: the share of answers in it; "tokens": new tokens an answer),
    roles, answers, mean, low, high. Means are over roles, each counting once; low and high are the percentile
    interval at 95 % of roles drawn again 1,000 times. Answers that were not generated (logprob mode) have no
    length. `answers`: as in engine.scoring.tally.Tally."""
    table = _shares(answers, role_split, conditions)
    draws = cache(lambda roles: RoleDraws.of(roles, _DRAWS, _SEED))
    rows = []
    for split in (ALL, TRAIN, TEST):
        chosen = table if split == ALL else table.filter(pl.col("split") == split)
        for (condition,), group in chosen.group_by("condition", maintain_order=True):
            scores = group.select(_MEASURES).to_numpy().astype(np.float64)
            low, high = percentile_range(draws(len(scores)).means(scores).T, _LEVEL)
            roles = (~np.isnan(scores)).sum(axis=0)
            for k in np.flatnonzero(roles):
                mean = float(scores[~np.isnan(scores[:, k]), k].mean())
                ends = (float(low[k]), float(high[k])) if roles[k] > 1 else (None, None)
                count = int(group["answered"].sum())
                rows.append((split, condition, _MEASURES[k], int(roles[k]), count, mean, *ends))
    names = {"split": pl.String, "condition": pl.String, "measure": pl.String}
    schema = names | {"roles": pl.Int64, "answers": pl.Int64}
    return pl.DataFrame(
        rows, schema=schema | dict.fromkeys(("mean", "low", "high"), pl.Float64), orient="row"
    )


def _shares(answers: pl.DataFrame, role_split: Mapping[str, str], conditions: Sequence[str]) -> pl.DataFrame:
    """condition, role, split, answered, a share per state, tokens: sorted by condition, then by role."""
    order = {name: k for k, name in enumerate(conditions)}
    position = pl.col("condition").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    shares = {name: pl.col(name) / pl.col("answered") for name in STATES}
    table = answers.filter(pl.col("answered") > 0).with_columns(
        **shares,
        tokens=pl.col("new_tokens") / pl.col("written"),
        split=pl.col("role").replace_strict(role_split, return_dtype=pl.String),
    )
    return table.sort(position, "role")


def means_over_roles(table: pl.DataFrame, column: str, conditions: Sequence[str]) -> pl.DataFrame:
    """A row per condition (in the order of `conditions`) with roles whose `column` is not null: condition,
    roles, mean, low, high (95 %, over roles), lowest, highest (of a role).

    `table`: a row per condition and role, as engine.scoring.profiles.acquiescence and order_effects."""
    rows = []
    for condition in conditions:
        found = table.filter(pl.col("condition") == condition)[column].drop_nulls().to_numpy()
        if len(found):
            ends = _interval(found)
            row = (condition, len(found), float(found.mean()), *ends, float(found.min()), float(found.max()))
            rows.append(row)
    numbers = dict.fromkeys(("mean", "low", "high", "lowest", "highest"), pl.Float64)
    return pl.DataFrame(rows, schema={"condition": pl.String, "roles": pl.Int64, **numbers}, orient="row")


def one_word(answers: pl.DataFrame, conditions: Sequence[str], graded: bool) -> pl.DataFrame:
    """How near a condition is to one-word answering, a row per condition in the order of `conditions`:
    condition, roles (with an answer), same_answer (mean over roles of the share of the word
    that a role gives most often), word (the one that most answers have), word_share (its share of all
    answers), one_word_roles (the share of roles that gave no other word). `answers`: as in
    engine.scoring.tally.Tally. `graded` (log-odds): all but the numbers of roles are null, since a sign that
    is always the same is no answer that is; and so they are where options of a scale are chosen."""
    words = ("yes", "no", "unsure")
    order = pl.DataFrame({"condition": list(conditions)}, schema={"condition": pl.String})
    table = answers.with_columns(given=pl.sum_horizontal(*words, "chosen"), most=pl.max_horizontal(words))
    table = table.filter(pl.col("given") > 0).sort("condition", "role")
    share = pl.col("most") / pl.col("given")
    grouped = table.group_by("condition", maintain_order=True).agg(
        roles=pl.len().cast(pl.Int64),
        same_answer=share.mean(),
        one_word_roles=(pl.col("most") == pl.col("given")).mean(),
        **{word: pl.col(word).sum() for word in (*words, "chosen")},
    )
    most = pl.max_horizontal(words)
    word = pl.coalesce(pl.when(pl.col(name) == most).then(pl.lit(name)) for name in words)
    grouped = grouped.with_columns(word=word, word_share=most / pl.sum_horizontal(words))
    names = ["condition", "roles", "same_answer", "word", "word_share", "one_word_roles"]
    table = order.join(grouped, on="condition", how="inner", maintain_order="left")
    known = pl.lit(not graded) & (pl.col("chosen") == 0)
    return table.select(*names[:2], *(pl.when(known).then(pl.col(name)).alias(name) for name in names[2:]))


def _interval(scores: FloatArray) -> tuple[float | None, float | None]:
    if len(scores) < 2:
        return None, None
    means = RoleDraws.of(len(scores), _DRAWS, _SEED).means(scores[:, None])
    low, high = percentile_range(means.T, _LEVEL)
    return float(low[0]), float(high[0])


def reliability_intervals(reliability: pl.DataFrame) -> pl.DataFrame:
    """value, low, high: the 95 % interval of every Cronbach's alpha, null where alpha is undefined.

    `reliability`: as in engine.scoring.profiles.reliability; of an earlier version, without intervals:
    Feldt's."""
    if "low" in reliability.columns:
        return reliability.select("value", "low", "high")
    rows = [
        (value, *alpha_interval(alpha, items, roles))
        for value, alpha, items, roles in reliability.select("value", "alpha", "items", "roles").iter_rows()
    ]
    return pl.DataFrame(
        rows, schema={"value": pl.String, "low": pl.Float64, "high": pl.Float64}, orient="row"
    )

"""Scores beside the norms of people: how far the mean of the roles lies from that of a group, in standard
deviations of the group. Roles are not people; a norm says where a scale's middle is in practice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.prompting.options import option_scores
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.questionnaire import Item

_SCHEMA = {
    "questionnaire": pl.String,
    "name": pl.String,
    "value": pl.String,
    "group": pl.String,
    "of": pl.String,
    "file_mean": pl.Float64,
    "file_sd": pl.Float64,
    "norm_n": pl.Int64,
    "norm_mean": pl.Float64,
    "norm_sd": pl.Float64,
    "roles": pl.Int64,
    "mean": pl.Float64,
    "sd": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "remark": pl.String,
}
_OF_PARTS = "roles were asked some of its items each, so that their SD holds what items differ by"


def norm_table(inputs: Inputs, plain: pl.DataFrame) -> pl.DataFrame:
    """A row per norm of the study's values, in the order of the files.

    Columns: questionnaire, name (of the value in its file), value (as grouped), group, of, file_mean, file_sd
    (the inventory's units), norm_n, norm_mean, norm_sd (in [−1, 1] as scores are; null where a norm is no
    linear function of the score), roles, mean, sd (of the baseline roles), difference (mean − norm_mean, in
    norm_sd), low, high (its 95 % interval over roles, by Student's t; the norm's own error is not in it),
    remark (why something is null, or what to mind).
    `plain`: engine.scoring.profiles.profiles over all items: norms are of plain means, and of all items."""
    rows = []
    for (questionnaire, name), norms in inputs.norms.items():
        value = f"{questionnaire}: {name}" if inputs.study.group_by == "scale" else name
        items = [item for item in inputs.items if item.value == value]
        known = value in plain.columns
        scores = plain.filter(pl.col("condition") == BASELINE)[value].drop_nulls() if known else pl.Series()
        of_roles = _of_roles(scores.to_numpy())
        reason = _not_the_same(items, questionnaire, inputs)
        for norm in norms:
            about = (questionnaire, name, value, norm.group, norm.of, norm.mean, norm.sd, norm.n)
            rows.append((*about, *_against(norm, items, of_roles, reason, inputs)))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _of_roles(scores: NDArray[np.float64]) -> tuple[int, float | None, float | None]:
    n = len(scores)
    sd = float(scores.std(ddof=1)) if n > 1 else None
    return n, float(scores.mean()) if n else None, sd


def _not_the_same(items: list[Item], questionnaire: str, inputs: Inputs) -> str | None:
    """Why the value's scores are not of what its norm is of; None where they are."""
    others = sorted({item.questionnaire for item in items} - {questionnaire})
    if others:
        return f"the value has items of {', '.join(others)}, too (group_by: scale keeps them apart)"
    if any(None in (option_scores(item.scale, inputs.study.answers) or []) for item in items):
        return "the middle of the scale is no score here (answers.midpoint: missing)"
    return None


def _against(
    norm: Norm,
    items: list[Item],
    of_roles: tuple[int, float | None, float | None],
    reason: str | None,
    inputs: Inputs,
) -> Iterator[float | int | str | None]:
    """norm_mean … remark."""
    norm_mean = norm_sd = None
    if reason is None:
        try:
            norm_mean, norm_sd = norm.as_score([item.scale for item in items])
        except ValueError as error:
            reason = f"no linear function of the score: {error}"
    roles, mean, sd = of_roles
    difference = low = high = None
    if norm_mean is not None and mean is not None and norm_sd is not None:
        difference = (mean - norm_mean) / norm_sd
        if sd is not None:
            from scipy.stats import t

            wide = float(t.ppf(0.975, roles - 1)) * sd / np.sqrt(roles) / norm_sd
            low, high = float(difference - wide), float(difference + wide)
    if reason is None and norm_sd is None:
        reason = "the norm has no SD"
    if reason is None and not roles:
        reason = "no scored answer"
    if reason is None and (inputs.study.sampling.share < 1 or inputs.study.split.items < 1):
        reason = _OF_PARTS
    yield from (norm_mean, norm_sd, roles, mean, sd, difference, low, high, reason)

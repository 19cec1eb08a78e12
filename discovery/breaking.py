"""Where steering breaks the model: the strength from which on too many answers are refused or cannot be read.

The rule: for every role, the share of its answers that are refused or unparsed, less the same share under
the baseline; then the mean over roles, with its interval. A condition breaks the model where the whole
interval lies above `margin`, it holds where the whole interval lies below, and is unsettled between (and with
fewer than MIN_PAIRS roles). Roles count, not answers: answers of one role are alike.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from discovery.changes import MIN_PAIRS
from discovery.draws import RoleDraws, percentile_range
from engine.errors import InputError

MARGIN = 0.1
HOLDS, BREAKS, UNSETTLED = "holds", "breaks", "unsettled"


def unreadable(
    answers: pl.DataFrame, *, baseline: str, level: float, resamples: int, margin: float, seed: int
) -> pl.DataFrame:
    """A row per condition besides the baseline: condition, roles (with answers under it and the baseline),
    answers, refused, unparsed (counts over these roles), share and baseline_share (of refused or unparsed,
    mean over roles), rise (their difference), low and high (percentile interval of the rise at 1 − level over
    `resamples` draws of the roles), state.

    `answers`: role, condition, answers, refused, unparsed, one row per role and condition. InputError for a
    margin that is not between 0 and 1."""
    if not 0 < margin < 1:
        raise InputError("effects.break_margin", "a share between 0 and 1", f"{margin}", "0.1 is usual.")
    counted = answers.filter(pl.col("answers") > 0).with_columns(
        own=(pl.col("refused") + pl.col("unparsed")) / pl.col("answers")
    )
    before = counted.filter(pl.col("condition") == baseline).select("role", before="own").sort("role")
    places = before.with_row_index("place")
    draws = RoleDraws.of(before.height, resamples, seed)
    paired = counted.filter(pl.col("condition") != baseline).join(places, on="role").sort("place")
    rows = []
    for condition in answers.filter(pl.col("condition") != baseline)["condition"].unique(maintain_order=True):
        own = paired.filter(pl.col("condition") == condition)
        rise = np.full((before.height, 1), np.nan)
        rise[own["place"].to_numpy(), 0] = (own["own"] - own["before"]).to_numpy()
        low, high = (float(end[0]) for end in percentile_range(draws.means(rise).T, level))
        known = own.height >= 2
        counts = [int(own[name].sum()) for name in ("answers", "refused", "unparsed")]
        means = [own["own"].mean(), own["before"].mean(), (own["own"] - own["before"]).mean()]
        ends = (low, high) if known else (None, None)
        rows.append((condition, own.height, *counts, *means, *ends, _state(own.height, low, high, margin)))
    schema: dict[str, type[pl.DataType]] = {"condition": pl.String}
    schema |= dict.fromkeys(("roles", "answers", "refused", "unparsed"), pl.Int64)
    schema |= dict.fromkeys(("share", "baseline_share", "rise", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema | {"state": pl.String}, orient="row")


def _state(roles: int, low: float, high: float, margin: float) -> str:
    if roles < MIN_PAIRS or np.isnan(low):
        return UNSETTLED
    return BREAKS if low > margin else HOLDS if high < margin else UNSETTLED


def limits(known: pl.DataFrame, doses: pl.DataFrame, baseline: str, margin: float) -> pl.DataFrame:
    """A row per sweep and side (+: strengths above 0, −: below; a strength 0 that is no baseline is on both):
    sweep, feature, unit, side, strengths, holds_to (the largest strength up to which all hold; null: not even
    the smallest), breaks_from (the smallest that breaks; null: none did), margin. What lies between is not
    settled: the strength at which the model breaks lies in (holds_to, breaks_from]."""
    points = doses.filter(pl.col("condition") != baseline).join(
        known.select("condition", "state"), on="condition", how="left", maintain_order="left"
    )
    rows = []
    for (sweep,), own in points.group_by("sweep", maintain_order=True):
        for side, chosen in (
            ("+", own.filter(pl.col("strength") >= 0).sort("strength")),
            ("-", own.filter(pl.col("strength") <= 0).sort("strength", descending=True)),
        ):
            if not (chosen["strength"] != 0).any():
                continue
            head = (sweep, own["feature"][0], own["unit"][0], side, chosen.height)
            rows.append((*head, _holds_to(chosen), _breaks_from(chosen), margin))
    schema: dict[str, type[pl.DataType]] = {
        "sweep": pl.String,
        "feature": pl.Int64,
        "unit": pl.String,
        "side": pl.String,
    }
    schema |= {"strengths": pl.Int64} | dict.fromkeys(("holds_to", "breaks_from", "margin"), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _holds_to(points: pl.DataFrame) -> float | None:
    reached = None
    for strength, state in points.select("strength", "state").iter_rows():
        if state != HOLDS:
            break
        reached = strength
    return reached


def _breaks_from(points: pl.DataFrame) -> float | None:
    broken = points.filter(pl.col("state") == BREAKS)
    return None if broken.is_empty() else float(broken["strength"][0])

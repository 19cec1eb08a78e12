"""Sweeps of steering strengths: what every strength did to every value, and whether it goes one way.

A sweep is a set of conditions that differ in one strength; cluster.doses says which. Changes themselves are
those of discovery.effects: here they are put in order, with the mean scores beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from discovery.breaking import MARGIN, limits, unreadable
from discovery.draws import RoleDraws, percentile_range
from discovery.matrix import value_columns
from discovery.pairing import BASELINE, check_level, select_roles
from discovery.pc import FloatArray
from discovery.sign_counts import sign_similarity, sign_table
from discovery.trends import Sweep, trend_table

DOSE_SCHEMA: dict[str, type[pl.DataType]] = {
    "sweep": pl.String,
    "sae": pl.String,
    "feature": pl.Int64,
    "control": pl.String,
    "kind": pl.String,
    "unit": pl.String,
    "span": pl.String,
    "hook_point": pl.String,
    "strength": pl.Float64,
    "condition": pl.String,
}
RESAMPLES = 1000
_TESTED = ("difference", "low", "high", "p_adjusted", "changed")


@dataclass(frozen=True)
class DoseTables:
    """Tables of `dose_tables`, which explains their columns; the fields are the names of their files."""

    doses: pl.DataFrame
    dose_response: pl.DataFrame
    trends: pl.DataFrame
    sign_counts: pl.DataFrame
    sign_similarity: pl.DataFrame
    unreadable: pl.DataFrame
    limits: pl.DataFrame


def dose_tables(
    profiles: pl.DataFrame,
    changes: pl.DataFrame,
    answers: pl.DataFrame,
    doses: pl.DataFrame,
    *,
    split: str | None = "test",
    baseline: str = BASELINE,
    level: float = 0.05,
    resamples: int = RESAMPLES,
    margin: float = MARGIN,
    seed: int = 0,
) -> DoseTables:
    """Everything that a sweep of strengths says about the values and about the model.

    `profiles`, `split`, `baseline`, `level`, `seed` as in discovery.effects, whose table `changes` comes from
    the same roles; `doses` (DOSE_SCHEMA): the points of every sweep; `answers`: role, condition and counts of
    answers, refused, unparsed. Intervals are percentile intervals at 1 − level over `resamples` draws of the
    roles, pointwise.

    `dose_response`, on the roles of `split`: sweep, feature, unit, strength, condition, value, pairs (roles
    scored under it and under the baseline), mean (score of the roles scored under it) with mean_low and
    mean_high, and of `changes`: difference, low, high, p_adjusted, changed (in the baseline's own row 0 and
    null). `trends` on the same roles: discovery.trends.trend_table. `sign_counts`, `sign_similarity`, on the
    roles of either split: discovery.sign_counts. `unreadable`, `limits`, on all roles: discovery.breaking.

    Raises InputError as discovery.effects does."""
    check_level(level)
    names = value_columns(profiles)
    selected = select_roles(profiles, split, baseline)
    sweeps = _sweeps(selected, doses, names)
    known = unreadable(answers, baseline=baseline, level=level, resamples=resamples, margin=margin, seed=seed)
    counts = sign_table(profiles, names, baseline)
    return DoseTables(
        doses=doses,
        dose_response=_responses(sweeps, changes, baseline, level, resamples, seed),
        trends=trend_table(sweeps, names, level, resamples, seed),
        sign_counts=counts,
        sign_similarity=sign_similarity(counts),
        unreadable=known,
        limits=limits(known, doses, baseline, margin),
    )


def _sweeps(profiles: pl.DataFrame, doses: pl.DataFrame, names: list[str]) -> list[Sweep]:
    """The scores of every sweep over the baseline's roles; conditions without a profile are left out."""
    rows = profiles.partition_by("condition", as_dict=True)
    roles = profiles.select(pl.col("role").unique().sort())
    found = []
    for (sweep,), points in doses.group_by("sweep", maintain_order=True):
        asked = points.filter(pl.col("condition").is_in([str(name) for (name,) in rows]))
        if asked.is_empty():
            continue
        scores = [_scores(rows[(condition,)], roles, names) for condition in asked["condition"]]
        found.append(Sweep(str(sweep), asked, np.stack(scores, axis=1)))
    return found


def _scores(profiles: pl.DataFrame, roles: pl.DataFrame, names: list[str]) -> FloatArray:
    """[n_roles, n_values], NaN where a role has none."""
    joined = roles.join(profiles, on="role", how="left", maintain_order="left")
    return joined.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def _responses(
    sweeps: list[Sweep], changes: pl.DataFrame, baseline: str, level: float, resamples: int, seed: int
) -> pl.DataFrame:
    parts = [
        _means(sweep, changes["value"].unique(maintain_order=True), level, resamples, seed)
        for sweep in sweeps
    ]
    head: dict[str, type[pl.DataType]] = {
        name: DOSE_SCHEMA[name] for name in ("sweep", "feature", "unit", "strength", "condition")
    }
    numbers: dict[str, type[pl.DataType]] = dict.fromkeys(("mean", "mean_low", "mean_high"), pl.Float64)
    table = pl.concat(parts) if parts else pl.DataFrame(schema=head | {"value": pl.String} | numbers)
    own = changes.rename({"mean_difference": "difference"}).select("condition", "value", "pairs", *_TESTED)
    joined = table.join(own, on=["condition", "value"], how="left", maintain_order="left")
    is_baseline = pl.col("condition") == baseline
    return joined.with_columns(difference=pl.when(is_baseline).then(0.0).otherwise("difference")).select(
        *head, "value", "pairs", *numbers, *_TESTED
    )


def _means(sweep: Sweep, names: pl.Series, level: float, resamples: int, seed: int) -> pl.DataFrame:
    """Mean scores with their intervals over roles, a row per strength and value."""
    draws = RoleDraws.of(len(sweep.scores), resamples, seed)
    parts = []
    for place, point in enumerate(sweep.points.iter_rows(named=True)):
        scores = sweep.scores[:, place]
        known = (~np.isnan(scores)).sum(axis=0)
        low, high = percentile_range(draws.means(scores).T, level)
        mean = np.where(known > 0, np.nansum(scores, axis=0) / np.maximum(known, 1), np.nan)
        columns = {"mean": mean, "mean_low": low, "mean_high": high}
        for name, needed in (("mean", 1), ("mean_low", 2), ("mean_high", 2)):
            columns[name] = np.where(known >= needed, columns[name], np.nan)
        fixed = [
            pl.lit(point[name], dtype=DOSE_SCHEMA[name]).alias(name)
            for name in ("sweep", "feature", "unit", "strength", "condition")
        ]
        parts.append(
            pl.DataFrame({"value": names, **columns}).with_columns(pl.col(columns).fill_nan(None), *fixed)
        )
    order = ["sweep", "feature", "unit", "strength", "condition", "value", "mean", "mean_low", "mean_high"]
    return pl.concat(parts).select(order)

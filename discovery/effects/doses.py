"""Sweeps of steering strengths: what every strength did to every value, whether that goes one way, and from
which strength on the model is broken.

A sweep is a set of conditions that differ in one strength; cluster.stages.doses says which. Changes
themselves are those of discovery.effects.testing: here they are put in order, with the mean scores beside
them.

Trends. Within every role: Kendall's tau-a between strength and score (Mann 1945: pairs of strengths at which
the score rises, less those at which it falls, over all pairs; ties count 0, a missing score shortens the
row). Then over roles: whether the mean tau is 0, by Student's t, Benjamini–Hochberg over all sweeps and
values. The moderated t of changes would find too many: taus of what rises lie near 1 and vary less than those
of what does not, whose variances they would make too small. Page's L and Jonckheere's test were not taken:
they shuffle the strengths within a role, as if the answers at neighbouring strengths were unrelated. Steered
answers are not: a role that drifts, drifts through all strengths. Then these tests find trends in noise
(tests/discovery/effects/test_trends.py has the rates), while a mean over roles only needs that a role would
as soon fall as rise. They also need complete rows without ties.

Breaking. For every role, the share of its answers that are refused or unparsed, less the same share under the
baseline; then the mean over roles, with its t interval. A condition breaks the model where the whole interval
lies above a margin, it holds where the whole interval lies below, and is unsettled between (and with fewer
than MIN_PAIRS roles). Each condition by its own variance: that of a share depends on the share. Roles count,
not answers: answers of one role are alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import (
    BASELINE,
    MIN_PAIRS,
    benjamini_hochberg,
    select_roles,
)
from axiograph.discovery.effects.contrast import sign_similarity, sign_table
from axiograph.discovery.effects.moderation import MeanTests, moments
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import ROUNDING, t_interval
from axiograph.engine.study.schema import EffectsSpec

MIN_STRENGTHS = 3
HOLDS, BREAKS, UNSETTLED = "holds", "breaks", "unsettled"
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
    spec: EffectsSpec = EffectsSpec(),
    *,
    rounding: float = ROUNDING,
) -> DoseTables:
    """Everything that a sweep of strengths says about the values and about the model.

    `profiles` and `spec` as in discovery.effects.testing, whose table `changes` comes from the same roles;
    `doses` (DOSE_SCHEMA): the points of every sweep; `answers`: role, condition and counts of answers,
    refused, unparsed. Intervals are t intervals over roles at 1 − level, pointwise, null with fewer than
    MIN_PAIRS roles.

    `dose_response`, on the roles that `spec.roles` names: sweep, feature, unit, strength, condition, value,
    pairs (roles scored under it and under the baseline), mean (score of the roles scored under it) with
    mean_low and mean_high, and of `changes`: difference, low, high, p_adjusted, changed (in the baseline's
    own row 0 and null). `trends` on the same roles: `trend_table`. `sign_counts`, `sign_similarity`, on the
    roles of either split: discovery.effects.contrast. `unreadable`, `limits`, on all roles.

    `rounding`: scores of a role that differ by no more are equal, in trends and counts (score_rounding of
    discovery.effects.rounding). Raises InputError as discovery.effects.testing does."""
    names = value_columns(profiles)
    selected = select_roles(profiles, None if spec.roles == "all" else spec.roles, BASELINE)
    sweeps = _sweeps(selected, doses, names)
    states = unreadable(answers, spec)
    counts = sign_table(profiles, names, BASELINE, rounding)
    return DoseTables(
        doses=doses,
        dose_response=_responses(sweeps, changes, spec),
        trends=trend_table(sweeps, names, spec, rounding),
        sign_counts=counts,
        sign_similarity=sign_similarity(counts),
        unreadable=states,
        limits=limits(states, doses, spec.break_margin),
    )


def _sweeps(profiles: pl.DataFrame, doses: pl.DataFrame, names: list[str]) -> list[Sweep]:
    """The scores of every sweep over the baseline's roles; conditions without a profile are left out."""
    rows = profiles.partition_by("condition", as_dict=True)
    roles = profiles.select(pl.col("role").unique().sort())
    sweeps = []
    for (sweep,), points in doses.group_by("sweep", maintain_order=True):
        asked = points.filter(pl.col("condition").is_in([str(name) for (name,) in rows]))
        if asked.is_empty():
            continue
        scores = [_scores(rows[(condition,)], roles, names) for condition in asked["condition"]]
        sweeps.append(Sweep(str(sweep), asked, np.stack(scores, axis=1)))
    return sweeps


def _scores(profiles: pl.DataFrame, roles: pl.DataFrame, names: list[str]) -> FloatArray:
    """[n_roles, n_values], NaN where a role has none."""
    joined = roles.join(profiles, on="role", how="left", maintain_order="left")
    return joined.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def _responses(sweeps: list[Sweep], changes: pl.DataFrame, spec: EffectsSpec) -> pl.DataFrame:
    parts = [_means(sweep, changes["value"].unique(maintain_order=True), spec) for sweep in sweeps]
    head: dict[str, type[pl.DataType]] = {
        name: DOSE_SCHEMA[name] for name in ("sweep", "feature", "unit", "strength", "condition")
    }
    numbers: dict[str, type[pl.DataType]] = dict.fromkeys(("mean", "mean_low", "mean_high"), pl.Float64)
    table = pl.concat(parts) if parts else pl.DataFrame(schema=head | {"value": pl.String} | numbers)
    tests = changes.rename({"mean_difference": "difference"}).select("condition", "value", "pairs", *_TESTED)
    joined = table.join(tests, on=["condition", "value"], how="left", maintain_order="left")
    is_baseline = pl.col("condition") == BASELINE
    return joined.with_columns(difference=pl.when(is_baseline).then(0.0).otherwise("difference")).select(
        *head, "value", "pairs", *numbers, *_TESTED
    )


def _means(sweep: Sweep, names: pl.Series, spec: EffectsSpec) -> pl.DataFrame:
    """Mean scores with their intervals over roles, a row per strength and value."""
    parts = []
    for number, point in enumerate(sweep.points.iter_rows(named=True)):
        scores = sweep.scores[:, number]
        roles = (~np.isnan(scores)).sum(axis=0)
        low, high = t_interval(scores, spec.level, MIN_PAIRS)
        mean = np.where(roles > 0, np.nansum(scores, axis=0) / np.maximum(roles, 1), np.nan)
        columns = {"mean": mean, "mean_low": low, "mean_high": high}
        fixed = [
            pl.lit(point[name], dtype=DOSE_SCHEMA[name]).alias(name)
            for name in ("sweep", "feature", "unit", "strength", "condition")
        ]
        parts.append(
            pl.DataFrame({"value": names, **columns}).with_columns(pl.col(columns).fill_nan(None), *fixed)
        )
    order = ["sweep", "feature", "unit", "strength", "condition", "value", "mean", "mean_low", "mean_high"]
    return pl.concat(parts).select(order)


@dataclass(frozen=True, eq=False)
class Sweep:
    """`points`: rows of DOSE_SCHEMA by rising strength; `scores` [n_roles, n_points, n_values], NaN where
    missing."""

    name: str
    points: pl.DataFrame
    scores: FloatArray


def trend_table(
    sweeps: list[Sweep], names: list[str], spec: EffectsSpec, rounding: float = ROUNDING
) -> pl.DataFrame:
    """A row per sweep and value: sweep, feature, unit, value, strengths (how many), roles (with two scores or
    more), tau (mean over them, in [−1, 1]), low and high (at 1 − level), p (two-sided, Student's t),
    p_adjusted (Benjamini–Hochberg over all rows), trend: rising or falling where p_adjusted ≤ level, else
    none (not shown), null where not tested, and reason says why."""
    taus = [kendall(sweep.scores, rounding) for sweep in sweeps]
    flat = np.concatenate(taus, axis=1) if taus else np.zeros((0, 0))
    roles, tau, variance = moments(flat)
    strengths = np.repeat([len(sweep.points) for sweep in sweeps], len(names)).astype(np.int64)
    enough = np.where(strengths >= MIN_STRENGTHS, roles, 0)
    tests, _ = MeanTests.of(tau, variance, enough, MIN_PAIRS, alike=False)
    p, tested = tests.p, np.isfinite(tests.p)
    reach = tests.reach(spec.level)
    reach = np.where(np.isfinite(reach), reach, np.nan)
    low, high = np.maximum(tau - reach, -1.0), np.minimum(tau + reach, 1.0)
    p_adjusted, shown = benjamini_hochberg(p, spec.level)
    label = np.where(shown, np.where(tau > 0, "rising", "falling"), "none")
    reason = np.where(
        strengths < MIN_STRENGTHS, f"fewer than {MIN_STRENGTHS} strengths", f"fewer than {MIN_PAIRS} roles"
    )
    keys = [(s.name, s.points["feature"][0], s.points["unit"][0], name) for s in sweeps for name in names]
    head = {"sweep": pl.String, "feature": pl.Int64, "unit": pl.String, "value": pl.String}
    return pl.DataFrame(keys, schema=head, orient="row").with_columns(
        pl.Series("strengths", strengths, dtype=pl.Int64),
        pl.Series("roles", roles, dtype=pl.Int64),
        *(
            pl.Series(name, np.where(tested, column, np.nan), dtype=pl.Float64).fill_nan(None)
            for name, column in (
                ("tau", tau),
                ("low", low),
                ("high", high),
                ("p", p),
                ("p_adjusted", p_adjusted),
            )
        ),
        pl.Series("trend", [a if t else None for a, t in zip(label, tested, strict=True)], dtype=pl.String),
        pl.Series("reason", [None if t else r for r, t in zip(reason, tested, strict=True)], dtype=pl.String),
    )


def kendall(scores: FloatArray, rounding: float = ROUNDING) -> FloatArray:
    """[n_roles, n_values]: Kendall's tau-a of each role's scores [n_roles, n_points, n_values] with the order
    of the points, steps up to `rounding` counting 0; NaN where fewer than two are known."""
    roles, points, values = scores.shape
    total, pairs = np.zeros((roles, values)), np.zeros((roles, values))
    for a, b in combinations(range(points), 2):
        step = scores[:, b] - scores[:, a]
        scored = ~np.isnan(step)
        total += np.where(scored & (np.abs(step) > rounding), np.sign(np.where(scored, step, 0.0)), 0.0)
        pairs += scored
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def unreadable(answers: pl.DataFrame, spec: EffectsSpec = EffectsSpec()) -> pl.DataFrame:
    """A row per condition besides the baseline: condition, roles (with answers under it and the baseline),
    answers, refused, unparsed (counts over these roles), share and baseline_share (of refused or unparsed,
    mean over roles), rise (their difference), low and high (its t interval at 1 − level, null with fewer than
    MIN_PAIRS roles), state.

    `answers`: role, condition, answers, refused, unparsed, one row per role and condition."""
    counted = answers.filter(pl.col("answers") > 0).with_columns(
        share=(pl.col("refused") + pl.col("unparsed")) / pl.col("answers")
    )
    before = counted.filter(pl.col("condition") == BASELINE).select("role", before="share").sort("role")
    paired = counted.filter(pl.col("condition") != BASELINE).join(before, on="role").sort("role")
    rows = []
    for condition in answers.filter(pl.col("condition") != BASELINE)["condition"].unique(maintain_order=True):
        roles = paired.filter(pl.col("condition") == condition)
        rise = (roles["share"] - roles["before"]).to_numpy()[:, None]
        low, high = (float(end[0]) for end in t_interval(rise, spec.level, MIN_PAIRS))
        counts = [int(roles[name].sum()) for name in ("answers", "refused", "unparsed")]
        means = [roles["share"].mean(), roles["before"].mean(), (roles["share"] - roles["before"]).mean()]
        ends = (low, high) if roles.height >= MIN_PAIRS else (None, None)
        state = _state(roles.height, low, high, spec.break_margin)
        rows.append((condition, roles.height, *counts, *means, *ends, state))
    schema: dict[str, type[pl.DataType]] = {"condition": pl.String}
    schema |= dict.fromkeys(("roles", "answers", "refused", "unparsed"), pl.Int64)
    schema |= dict.fromkeys(("share", "baseline_share", "rise", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema | {"state": pl.String}, orient="row")


def _state(roles: int, low: float, high: float, margin: float) -> str:
    if roles < MIN_PAIRS or np.isnan(low):
        return UNSETTLED
    return BREAKS if low > margin else HOLDS if high < margin else UNSETTLED


def limits(states: pl.DataFrame, doses: pl.DataFrame, margin: float) -> pl.DataFrame:
    """Of `states` (a table of `unreadable`) a row per sweep and side (+: strengths above 0, −: below; a
    strength 0 that is no baseline is on both): sweep, feature, unit, side, strengths, holds_to (the largest
    strength up to which all hold; null: not even the smallest), breaks_from (the smallest that breaks; null:
    none did), margin. What lies between is not settled: the strength at which the model breaks lies in
    (holds_to, breaks_from]."""
    points = doses.filter(pl.col("condition") != BASELINE).join(
        states.select("condition", "state"), on="condition", how="left", maintain_order="left"
    )
    rows = []
    for (sweep,), strengths in points.group_by("sweep", maintain_order=True):
        for side, chosen in (
            ("+", strengths.filter(pl.col("strength") >= 0).sort("strength")),
            ("-", strengths.filter(pl.col("strength") <= 0).sort("strength", descending=True)),
        ):
            if not (chosen["strength"] != 0).any():
                continue
            head = (sweep, strengths["feature"][0], strengths["unit"][0], side, chosen.height)
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

"""Sweeps of steering strengths: what every strength did to every value, whether that goes one way, and from
which strength on the model is broken.

A sweep is a set of conditions that differ in one strength; cluster.stages.doses says which. Changes
themselves are those of discovery.effects.testing: here they are put in order, with the mean scores beside
them.

Trends. Within every role: Kendall's tau-a between strength and score (Mann 1945: pairs of strengths at which
the score rises, less those at which it falls, over all pairs; ties count 0, a missing score shortens the
row). Then over roles: the mean tau, tested by flipping the signs of the roles' taus (Fisher's randomisation
test). Page's L and Jonckheere's test were not taken: they shuffle the strengths within a role, as if the
answers at neighbouring strengths were unrelated. Steered answers are not: a role that drifts, drifts through
all strengths. Then these tests find trends in noise (tests/discovery/effects/test_trends.py has the rates),
while signs of roles only need that a role would as soon fall as rise. They also need complete rows without
ties.

Breaking. For every role, the share of its answers that are refused or unparsed, less the same share under the
baseline; then the mean over roles, with its interval. A condition breaks the model where the whole interval
lies above a margin, it holds where the whole interval lies below, and is unsettled between (and with fewer
than MIN_PAIRS roles). Roles count, not answers: answers of one role are alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import (
    BASELINE,
    MIN_PAIRS,
    benjamini_hochberg,
    draw_count,
    select_roles,
)
from axiograph.discovery.effects.contrast import sign_similarity, sign_table
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.discovery.numerics.arrays import FloatArray, IndexArray
from axiograph.discovery.numerics.intervals import ROUNDING, RoleDraws, percentile_range
from axiograph.engine.study.schema import EffectsSpec

MIN_STRENGTHS = 3
HOLDS, BREAKS, UNSETTLED = "holds", "breaks", "unsettled"
_CHUNK_CELLS = 4_000_000
_EXACT_ROLES = 14  # 2¹⁴ sign patterns are all tried
_STREAM = (3, 0)  # child seed of the sign flips
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
) -> DoseTables:
    """Everything that a sweep of strengths says about the values and about the model.

    `profiles` and `spec` as in discovery.effects.testing, whose table `changes` comes from the same roles;
    `doses` (DOSE_SCHEMA): the points of every sweep; `answers`: role, condition and counts of answers,
    refused, unparsed. Intervals are percentile intervals at 1 − level over `resamples` draws of the roles,
    pointwise.

    `dose_response`, on the roles that `spec.roles` names: sweep, feature, unit, strength, condition, value,
    pairs (roles scored under it and under the baseline), mean (score of the roles scored under it) with
    mean_low and mean_high, and of `changes`: difference, low, high, p_adjusted, changed (in the baseline's
    own row 0 and null). `trends` on the same roles: `trend_table`. `sign_counts`, `sign_similarity`, on the
    roles of either split: discovery.effects.contrast. `unreadable`, `limits`, on all roles.

    Raises InputError as discovery.effects.testing does."""
    names = value_columns(profiles)
    selected = select_roles(profiles, None if spec.roles == "all" else spec.roles, BASELINE)
    sweeps = _sweeps(selected, doses, names)
    states = unreadable(answers, spec)
    counts = sign_table(profiles, names, BASELINE)
    return DoseTables(
        doses=doses,
        dose_response=_responses(sweeps, changes, spec),
        trends=trend_table(sweeps, names, spec),
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
    draws = RoleDraws.of(len(sweep.scores), spec.resamples, spec.seed)
    parts = []
    for number, point in enumerate(sweep.points.iter_rows(named=True)):
        scores = sweep.scores[:, number]
        roles = (~np.isnan(scores)).sum(axis=0)
        low, high = percentile_range(draws.means(scores).T, spec.level)
        mean = np.where(roles > 0, np.nansum(scores, axis=0) / np.maximum(roles, 1), np.nan)
        columns = {"mean": mean, "mean_low": low, "mean_high": high}
        for name, needed in (("mean", 1), ("mean_low", 2), ("mean_high", 2)):
            columns[name] = np.where(roles >= needed, columns[name], np.nan)
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


def trend_table(sweeps: list[Sweep], names: list[str], spec: EffectsSpec) -> pl.DataFrame:
    """A row per sweep and value: sweep, feature, unit, value, strengths (how many), roles (with two scores or
    more), tau (mean over them, in [−1, 1]), low and high (percentile interval at 1 − level over `resamples`
    draws of the roles), p (two-sided), p_adjusted (Benjamini–Hochberg over all rows), trend: rising or
    falling where p_adjusted ≤ level, else none (not shown), null where not tested, and reason says why."""
    taus = [kendall(sweep.scores) for sweep in sweeps]
    flat = np.concatenate(taus, axis=1) if taus else np.zeros((0, 0))
    roles = (~np.isnan(flat)).sum(axis=0)
    strengths = np.repeat([len(sweep.points) for sweep in sweeps], len(names)).astype(np.int64)
    tested = (strengths >= MIN_STRENGTHS) & (roles >= 2)
    tau = np.where(roles > 0, np.nansum(flat, axis=0) / np.maximum(roles, 1), np.nan)
    draws = RoleDraws.of(len(flat), spec.resamples, spec.seed)
    low, high = percentile_range(draws.means(flat).T, spec.level) if flat.size else (tau, tau)
    count = draw_count(None, int(tested.sum()), spec.level)
    p = np.where(tested, sign_flip_p(flat, count, spec.seed), np.nan)
    p_adjusted, shown = benjamini_hochberg(p, spec.level)
    label = np.where(shown, np.where(tau > 0, "rising", "falling"), "none")
    reason = np.where(
        strengths < MIN_STRENGTHS, f"fewer than {MIN_STRENGTHS} strengths", "fewer than 2 roles"
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


def kendall(scores: FloatArray) -> FloatArray:
    """[n_roles, n_values]: Kendall's tau-a of each role's scores [n_roles, n_points, n_values] with the order
    of the points; NaN where fewer than two are known."""
    roles, points, values = scores.shape
    total, pairs = np.zeros((roles, values)), np.zeros((roles, values))
    for a, b in combinations(range(points), 2):
        step = scores[:, b] - scores[:, a]
        scored = ~np.isnan(step)
        total += np.where(scored & (np.abs(step) > ROUNDING), np.sign(np.where(scored, step, 0.0)), 0.0)
        pairs += scored
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def sign_flip_p(taus: FloatArray, draws: int, seed: int) -> FloatArray:
    """[m]: two-sided p of the sums of the columns of [n_roles, m] under random signs of the rows, NaN left
    out. Over all patterns of signs where there are few, else (1 + as extreme) / (1 + draws)."""
    values = np.nan_to_num(taus, nan=0.0)
    observed = np.abs(values.sum(axis=0)) - 1e-9  # sums of the same numbers in another order are equal
    exact = len(values) <= _EXACT_ROLES
    total = 2 ** len(values) if exact else draws
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_STREAM))
    extreme = np.zeros(values.shape[1], np.int64)
    step = max(1, _CHUNK_CELLS // max(1, max(values.shape)))
    for start in range(0, total, step):
        count = min(step, total - start)
        signs = _patterns(start, count, len(values)) if exact else rng.integers(0, 2, (count, len(values)))
        extreme += (np.abs((2.0 * signs - 1.0) @ values) >= observed).sum(axis=0)
    return extreme / total if exact else (1 + extreme) / (1 + total)


def _patterns(start: int, count: int, roles: int) -> IndexArray:
    """[count, roles]: the bits of the numbers from `start`."""
    return (np.arange(start, start + count)[:, None] >> np.arange(roles)) & 1


def unreadable(answers: pl.DataFrame, spec: EffectsSpec = EffectsSpec()) -> pl.DataFrame:
    """A row per condition besides the baseline: condition, roles (with answers under it and the baseline),
    answers, refused, unparsed (counts over these roles), share and baseline_share (of refused or unparsed,
    mean over roles), rise (their difference), low and high (percentile interval of the rise at 1 − level over
    `resamples` draws of the roles), state.

    `answers`: role, condition, answers, refused, unparsed, one row per role and condition."""
    counted = answers.filter(pl.col("answers") > 0).with_columns(
        share=(pl.col("refused") + pl.col("unparsed")) / pl.col("answers")
    )
    before = counted.filter(pl.col("condition") == BASELINE).select("role", before="share").sort("role")
    numbered = before.with_row_index("number")
    draws = RoleDraws.of(before.height, spec.resamples, spec.seed)
    paired = counted.filter(pl.col("condition") != BASELINE).join(numbered, on="role").sort("number")
    rows = []
    for condition in answers.filter(pl.col("condition") != BASELINE)["condition"].unique(maintain_order=True):
        roles = paired.filter(pl.col("condition") == condition)
        rise = np.full((before.height, 1), np.nan)
        rise[roles["number"].to_numpy(), 0] = (roles["share"] - roles["before"]).to_numpy()
        low, high = (float(end[0]) for end in percentile_range(draws.means(rise).T, spec.level))
        counts = [int(roles[name].sum()) for name in ("answers", "refused", "unparsed")]
        means = [roles["share"].mean(), roles["before"].mean(), (roles["share"] - roles["before"]).mean()]
        ends = (low, high) if roles.height >= 2 else (None, None)
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

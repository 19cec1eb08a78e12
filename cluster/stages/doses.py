"""The dose–response tables of a run: which of its conditions are the points of which sweep, and what the
sweeps did, written beside the tables of the stage `effects`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import polars as pl

from axiograph.cluster.stages.score import read_scores
from axiograph.discovery.effects.changes import Pairing
from axiograph.discovery.effects.doses import DOSE_SCHEMA, DoseTables, dose_tables
from axiograph.discovery.effects.hints import steering_against_hints
from axiograph.discovery.effects.rounding import score_rounding
from axiograph.engine.answers.parsing import UNFINISHED
from axiograph.engine.errors import RunError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.storage.files import write_atomic
from axiograph.engine.study.conditions import BASELINE, Condition, Control, OperationPoint
from axiograph.engine.study.schema import EffectsSpec
from axiograph.engine.study.steering import OperationSpec
from axiograph.steering.directions.saes import source_name

SPREAD = (0.1, 0.9)


def dose_table(conditions: Sequence[Condition]) -> pl.DataFrame:
    """One row per sweep and strength (DOSE_SCHEMA), by sweep in the order of the study, then by strength.

    A sweep is one operation with a strength (feature, unit, span, hook point), while the other operations
    and the hint of the condition stay as they are. The baseline is the strength 0 of a sweep that only adds,
    also where strength 0 was asked as a negative control; nothing clamped is the baseline."""
    sweeps: dict[_Key, list[tuple[OperationPoint, str]]] = {}
    alone: set[_Key] = set()  # sweeps in which nothing else is done
    for condition in conditions:
        if condition.is_negative_control:
            continue
        for key, point in _swept(condition):
            sweeps.setdefault(key, []).append((point, condition.name))
            others = [other for other in condition.operations if other is not point]
            if condition.hint is None and all(other.does_nothing for other in others):
                alone.add(key)
    names = _names({key: _name(key, points[0][0]) for key, points in sweeps.items()})
    rows = []
    for key, points in sweeps.items():
        first = points[0][0]
        strengths = {point.strength: name for point, name in points}
        if key in alone and first.kind == "add":
            strengths[0.0] = BASELINE
        fixed = {
            "sweep": names[key],
            "sae": None if first.sae is None else source_name(first.sae),
            # A control is not the feature: what it stands beside is in the name of the sweep.
            "feature": None if first.control is not None else first.feature,
            "control": None if first.control is None else first.control.kind,
            "kind": first.kind,
            "unit": first.unit,
            "span": first.span,
            "hook_point": None if first.hook_point is None else str(first.hook_point),
        }
        rows += [
            {**fixed, "strength": strength, "condition": strengths[strength]}
            for strength in sorted(strengths, key=lambda s: s or 0.0)
        ]
    return pl.DataFrame(rows, schema=DOSE_SCHEMA)


# The operation without its strength, its feature, everything else of the condition, and what control it is.
_Key = tuple[OperationSpec, int | None, tuple[str, ...], Control | None]


def _swept(condition: Condition) -> Iterator[tuple[_Key, OperationPoint]]:
    hint = [] if condition.hint is None else [f"hint {condition.hint.name}"]
    for number, point in enumerate(condition.operations):
        if point.strength is None:
            continue
        others = [other.label for i, other in enumerate(condition.operations) if i != number]
        spec = point.spec.model_copy(update={"features": (), "strengths": (), "controls": None})
        yield (spec, point.feature, tuple(others + hint), point.control), point


def _name(key: _Key, point: OperationPoint) -> str:
    name = point.label.partition(":")[0]
    return f"{name} with {' & '.join(key[2])}" if key[2] else name


def _names(wanted: dict[_Key, str]) -> dict[_Key, str]:
    """Numbered where several sweeps would be called the same."""
    named: dict[_Key, str] = {}
    for key, name in wanted.items():
        twins = [other for other in wanted if wanted[other] == name]
        named[key] = name if len(twins) == 1 else f"{name} ({twins.index(key) + 1})"
    return named


def write_doses(
    run: RunDir, spec: EffectsSpec, profiles: pl.DataFrame, changes: pl.DataFrame, scored: pl.LazyFrame
) -> DoseTables:
    """Make the tables of discovery.effects.doses and write each as Parquet and CSV into the run's effects.

    `scored`: engine.scoring.scores.item_scores of all stored answers; `changes`: as discovery.effects.testing
    found them."""
    doses = dose_table(run.inputs().conditions)
    dtypes = read_scores(run, "provenance")["dtype"].cast(pl.String).unique().drop_nulls()
    rounding = score_rounding(run.inputs().study.scoring.mode, dtypes)
    tables = dose_tables(profiles, changes, answers_by_role(scored), doses, spec, rounding=rounding)
    named = {field.name: getattr(tables, field.name) for field in fields(DoseTables)}
    named["role_spread"] = role_spread(profiles, tables.doses["condition"].to_list(), spec.roles)
    named["steering_against_hints"] = steering_against_hints(run.inputs().conditions, tables.sign_counts)
    for name, table in named.items():
        write_atomic(run.effects / f"{name}.parquet", table.write_parquet)
        write_atomic(run.effects / f"{name}.csv", table.write_csv)
    return tables


def role_spread(profiles: pl.DataFrame, conditions: Sequence[str], roles: str) -> pl.DataFrame:
    """condition, value, spread_low, spread_high: between which differences to the baseline the middle 80 % of
    the roles lie. `roles`: of this split, or "all". A condition and value without a difference has no row."""
    chosen = profiles.filter(pl.col("condition").is_in([*conditions, BASELINE]))
    chosen = chosen if roles == "all" else chosen.filter(pl.col("split") == roles)
    values = [name for name in chosen.columns if name not in ("role", "condition", "split")]
    names = {"condition": pl.String, "value": pl.String}
    schema = names | {"spread_low": pl.Float64, "spread_high": pl.Float64}
    if not (chosen["condition"] != BASELINE).any():
        return pl.DataFrame(schema=schema)
    pairing, rows = Pairing(chosen, BASELINE, values), []
    for condition in pairing.conditions:
        differences = pairing.differences(condition)
        for k, value in enumerate(values):
            defined = differences[~np.isnan(differences[:, k]), k]
            if defined.size:
                rows.append((condition, value, *map(float, np.quantile(defined, SPREAD))))
    return pl.DataFrame(rows, schema=schema, orient="row")


def read_doses(run: RunDir) -> DoseTables:
    """The tables that `write_doses` wrote; RunError where one cannot be read."""
    tables = {}
    for field in fields(DoseTables):
        path = run.effects / f"{field.name}.parquet"
        try:
            tables[field.name] = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            cause = str(error).splitlines()[0]
            remedy = f"Run `axiograph effects {run.path}`."
            raise RunError(str(path), "a table of the stage effects", cause, remedy) from error
    return DoseTables(**tables)


def answers_by_role(scored: pl.LazyFrame) -> pl.DataFrame:
    """role, condition, answers, refused, unparsed (with thoughts that came to no end): a row per role and
    condition, sorted."""
    state = pl.col("state").cast(pl.String)
    counts = scored.group_by("role", "condition").agg(
        answers=pl.len(),
        refused=(state == "refused").sum(),
        unparsed=state.is_in(["unparsed", UNFINISHED]).sum(),
    )
    named = pl.col("role", "condition").cast(pl.String)
    whole = pl.col("answers", "refused", "unparsed").cast(pl.Int64)
    return counts.with_columns(named, whole).collect(engine="streaming").sort("condition", "role")

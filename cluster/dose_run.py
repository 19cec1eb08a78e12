"""Sweep results of a run: its dose–response tables, written beside those of the stage `effects`."""

from __future__ import annotations

from dataclasses import fields

import polars as pl

from cluster.doses import dose_table
from discovery.dose_response import DoseTables, dose_tables
from engine.conditions import BASELINE
from engine.errors import RunError
from engine.files import write_atomic
from engine.run_dir import RunDir
from engine.study import Study


def write_doses(
    run: RunDir, study: Study, profiles: pl.DataFrame, changes: pl.DataFrame, scored: pl.LazyFrame
) -> DoseTables:
    """Make the tables of discovery.dose_response and write each as Parquet and CSV into the run's effects.

    `scored`: engine.scores.item_scores of all stored answers; `changes`: as discovery.effects found them."""
    settings = study.effects
    tables = dose_tables(
        profiles,
        changes,
        answers_by_role(scored),
        dose_table(run.inputs().conditions),
        split=None if settings.roles == "all" else settings.roles,
        baseline=BASELINE,
        level=settings.level,
        resamples=settings.resamples,
        margin=settings.break_margin,
        seed=settings.seed,
    )
    for field in fields(DoseTables):
        table: pl.DataFrame = getattr(tables, field.name)
        write_atomic(run.effects / f"{field.name}.parquet", table.write_parquet)
        write_atomic(run.effects / f"{field.name}.csv", table.write_csv)
    return tables


def read_doses(run: RunDir) -> DoseTables:
    """The tables that `write_doses` wrote; RunError where one cannot be read."""
    tables = {}
    for field in fields(DoseTables):
        path = run.effects / f"{field.name}.parquet"
        try:
            tables[field.name] = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            found = str(error).splitlines()[0]
            remedy = f"Run `axiograph effects {run.path}`."
            raise RunError(str(path), "a table of the stage effects", found, remedy) from error
    return DoseTables(**tables)


def answers_by_role(scored: pl.LazyFrame) -> pl.DataFrame:
    """role, condition, answers, refused, unparsed: a row per role and condition, sorted."""
    state = pl.col("state").cast(pl.String)
    counts = scored.group_by("role", "condition").agg(
        answers=pl.len(), refused=(state == "refused").sum(), unparsed=(state == "unparsed").sum()
    )
    named = pl.col("role", "condition").cast(pl.String)
    whole = pl.col("answers", "refused", "unparsed").cast(pl.Int64)
    return counts.with_columns(named, whole).collect(engine="streaming").sort("condition", "role")

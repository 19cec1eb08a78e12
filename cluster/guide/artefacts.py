"""The files of guided steering: proposals with a study for each, and how they fared with the judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.cluster.guide.guided import Guided
from axiograph.cluster.guide.judges import TraitCopies
from axiograph.cluster.guide.trials import write_materials, write_study
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.validation import Judged, draw_judged
from axiograph.engine.storage.files import write_atomic, write_json
from axiograph.engine.study.roles import NO_ROLE


def write_guided(guided: Guided) -> None:
    """proposals.json, proposals.parquet and .csv, the materials, and a study file for every proposal."""
    folder, table = guided.folder, guided.table()
    write_materials(folder, guided.evidence.inputs, guided.judges)
    for rank in guided.ranks():
        _write_study(guided, rank)
    write_atomic(folder / "proposals.parquet", table.write_parquet)
    write_atomic(folder / "proposals.csv", table.write_csv)
    write_json(folder / "proposals.json", guided.document())


def _write_study(guided: Guided, rank: int) -> None:
    copies = TraitCopies.of(guided.judges.roles, guided.proposed_traits([rank])).roles
    others = [*guided.proposed_roles([rank]), *copies]
    # What a role is compared with.
    no_role = guided.proposals[rank - 1].kind is LeverKind.ROLE and NO_ROLE in guided.evidence.inputs.roles
    trials = guided.trials_of([rank])
    write_study(guided.folder, f"proposal-{rank}", guided.evidence, trials, others, no_role=no_role)


def write_judged(folder: Path, judged: Judged) -> None:
    """judged.parquet and .csv, comparison.parquet and .csv, judged.json and the calibration figure."""
    write_atomic(folder / "judged.parquet", judged.predictions.write_parquet)
    write_atomic(folder / "judged.csv", judged.predictions.write_csv)
    write_atomic(folder / "comparison.parquet", judged.comparison.write_parquet)
    write_atomic(folder / "comparison.csv", judged.comparison.write_csv)
    for suffix in ("png", "svg"):
        draw_judged(judged, folder / f"calibration.{suffix}")
    write_json(folder / "judged.json", judged_document(judged))


def judged_document(judged: Judged) -> Mapping[str, Any]:
    """Coverage and the comparisons of whole groups, as JSON types."""
    inside, total = judged.coverage()
    groups = judged.comparison.filter(pl.col("value").is_null()).drop("value")
    return {
        "schema": "axiograph-guide-judged/1",
        "level": judged.level,
        "intervals": total,
        "intervals_that_hold_the_measured": inside,
        "guided_against_unguided": groups.to_dicts(),
    }

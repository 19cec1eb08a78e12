"""The artefacts of a guided steering: proposals as tables and JSON, and a study file for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from cluster.guide_copies import Copies
from cluster.guide_study import write_materials, write_study
from discovery.guide_levers import LeverKind
from engine.files import write_atomic, write_json
from engine.roles import NO_ROLE

if TYPE_CHECKING:
    from cluster.guiding import Guided


def write_guided(found: Guided) -> None:
    """proposals.json, proposals.parquet and .csv, the materials, and a study file for every proposal."""
    folder = found.folder
    write_materials(folder, found.chosen.inputs, found.judges)
    for rank in found.ranks():
        _write_study(found, rank)
    parts = [
        table.with_columns(proposal=pl.lit(rank, pl.Int64), name=pl.lit(found.proposals[rank - 1].name))
        for rank, table in found.tables().items()
    ]
    whole = pl.concat(parts).select("proposal", "name", pl.exclude("proposal", "name"))
    write_atomic(folder / "proposals.parquet", whole.write_parquet)
    write_atomic(folder / "proposals.csv", whole.write_csv)
    write_json(folder / "proposals.json", _document(found))


def _write_study(found: Guided, rank: int) -> None:
    others = [
        *found.proposed_roles([rank]),
        *Copies.of(found.judges.roles, found.proposed_traits([rank])).roles,
    ]
    inputs = found.chosen.inputs
    # What a role is compared with.
    no_role = found.proposals[rank - 1].kind is LeverKind.ROLE and NO_ROLE in inputs.roles
    trials = found.trials_of([rank])
    write_study(
        found.folder, f"proposal-{rank}", inputs, found.chosen.levers, trials, others, no_role=no_role
    )


def _document(found: Guided) -> Mapping[str, Any]:
    model = found.model
    return {
        "schema": "axiograph-guide/1",
        "run": found.run.where,
        "wishes": found.wishes.words(),
        "tolerance_sd": found.wishes.tolerance,
        "held_for_the_reference": list(found.search.keep_still),
        "chosen_by": {"part": found.chosen.part, "roles": len(model.measured.baseline)},
        "judges": {
            "roles": len(found.judges.roles),
            "source": found.judges.source,
            "items": len(found.judges.items),
            "other_items": found.judges.new_items,
        },
        "level": model.level,
        "link_width": model.link.width,
        "curve_error": model.curve_error,
        "levers": [lever.name for lever in model.levers],
        "proposals": [
            {"rank": rank} | proposal.document() for rank, proposal in enumerate(found.proposals, start=1)
        ],
        "unguided": {str(rank): dict(trial.settings) for rank, trial in found.unguided.items()},
        "reference": None if found.reference is None else found.reference.document(),
        "refused": found.refused,
        "notes": found.notes,
    }

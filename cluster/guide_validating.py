"""The runs that judge proposals: through the ordinary study, engine and store, then measured and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from cluster.executor import InProcessExecutor
from cluster.guide_study import write_study
from cluster.guiding import Guided, study_trials, trial_key
from cluster.preparation import prepare
from cluster.sampling import Sampled, sample
from cluster.stages import read_scores, score
from discovery.guide_figure import draw_judged
from discovery.guide_levers import LeverKind
from discovery.guide_validation import Judged, judge, judged_roles, nothing_judged
from discovery.provenance import check_provenance
from engine.conditions import BASELINE
from engine.errors import InputError, RunError
from engine.files import write_atomic, write_json
from engine.roles import NO_ROLE
from engine.run_dir import create_run

VALIDATION = "validation"


def validate(found: Guided) -> tuple[Sampled, Judged]:
    """Ask the judges under every proposal and its unguided rival (continues where it stopped), and judge.

    Raises InputError where nothing can be judged, RunError when it is stopped from the keyboard."""
    ranks = list(range(1, len(found.proposals) + 1))
    roles = [r for r, p in enumerate(found.proposals, start=1) if p.kind is LeverKind.ROLE]
    if not found.trials and not (roles and found.judges.new_items):
        raise InputError(
            "--validate",
            "a feature or hint among the proposals, or roles and other items to judge them by",
            "roles only, whose answers to the same items are known",
            "Give the study split.items below 1 and run it again, or choose another --method.",
        )
    trials = study_trials(found, ranks)
    no_role = bool(roles) and any(role.name == NO_ROLE.name for role in found.chosen.inputs.roles)
    path, study = write_study(
        found.folder, VALIDATION, found.chosen.inputs, found.chosen.levers, trials, no_role=no_role
    )
    run = create_run(found.folder / VALIDATION)
    with run.locked():
        prepared = prepare(study, run)
        try:
            sampled = sample(prepared, run, InProcessExecutor(prepared.make_worker))
        except KeyboardInterrupt:
            raise RunError(
                f"validation by {path}",
                "to finish sampling",
                "a stop from the keyboard",
                "What was answered is stored: the same command continues.",
            ) from None
        score(run)
    profiles = read_scores(run, "profiles")
    judged = _judged(found, profiles, read_scores(run, "provenance"), roles)
    _write(found, judged)
    return sampled, judged


def _judged(found: Guided, profiles: pl.DataFrame, provenance: pl.DataFrame, roles: list[int]) -> Judged:
    asked = {trial_key(t): t.condition(found.chosen.levers) for t in study_trials(found, [*found.trials])}
    conditions = {rank: asked[trial_key(trial)] for rank, trial in found.trials.items()}
    rivals = {rank: asked[trial_key(trial)] for rank, trial in found.unguided.items()}
    names = {rank: p.name for rank, p in enumerate(found.proposals, start=1)}
    judges = profiles.filter(pl.col("role").is_in([role.name for role in found.judges.roles]))
    check_provenance(judges, provenance, BASELINE)
    tables, level, seed = found.tables(), found.model.level, found.model.seed
    judged = nothing_judged(level)
    if conditions:
        judged = judge(judges, tables, names, conditions, rivals, level=level, seed=seed)
    if roles and found.judges.new_items:
        before = profiles.filter(pl.col("condition") == BASELINE)
        own = judged_roles(
            before,
            {rank: tables[rank] for rank in roles},
            {rank: next(iter(found.proposals[rank - 1].settings)) for rank in roles},
            NO_ROLE.name if NO_ROLE.name in before["role"] else None,
            [role.name for role in found.judges.roles],
        )
        judged = judged.with_predictions(own)
    return judged


def _write(found: Guided, judged: Judged) -> None:
    folder = found.folder
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

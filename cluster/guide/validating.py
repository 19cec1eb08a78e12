"""The runs that judge proposals: through the ordinary study, engine and store, then measured and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from axiograph.cluster.guide.judges import Copies
from axiograph.cluster.guide.proposing import Guided
from axiograph.cluster.guide.trials import Trial, trial_key, write_study
from axiograph.cluster.sampling.loop import Sampled, sample
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.site import LocalSite, Site
from axiograph.cluster.stages.score import read_scores, score
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.validation import Judged, draw_judged, judge, judged_roles, nothing_judged
from axiograph.discovery.matrix.profiles import check_provenance
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir, create_run
from axiograph.engine.storage.files import write_atomic, write_json
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.roles import NO_ROLE, Role

VALIDATION, BY_ROLES = "validation", "validation-by-roles"


@dataclass(frozen=True)
class Asking:
    """Where the judges are asked; `retry_failed`: again what could not be answered before."""

    site: Site
    retry_failed: bool = False


def validate(found: Guided, asking: Asking | None = None) -> tuple[Sampled, Judged]:
    """Ask the judges under every proposal and its unguided rival (continues where it stopped), and judge.

    By default in this process. Raises InputError where nothing can be judged, RunError when it is stopped
    from the keyboard."""
    asking = asking or Asking(LocalSite())
    traits = found.proposed_traits(found.ranks())
    roles = found.ranks(LeverKind.ROLE) if found.judges.new_items else []
    if not (found.trials or traits or roles):
        raise InputError(
            "--validate",
            "a feature, hint or trait among the proposals, or roles and other items to judge them by",
            "roles only, whose answers to the same items are known",
            "Give the study split.items below 1 and run it again, or choose another --method.",
        )
    asked, judged = [], nothing_judged(found.model.level)
    if found.trials:
        run, sampled = _ask(found, VALIDATION, found.trials_of(found.ranks()), [], asking)
        asked.append(sampled)
        judged = _judged(found, run)
    if traits or roles:
        # A run without steering, so that one kind of worker answers all that is compared.
        others = found.proposed_roles(roles)
        copies = Copies.of(found.judges.roles, traits, others)
        no_role = bool(roles) and NO_ROLE in found.chosen.inputs.roles
        run, sampled = _ask(found, BY_ROLES, [], [*others, *copies.roles], asking, no_role)
        asked.append(sampled)
        for rows in _judged_by_roles(found, run, roles, copies):
            judged = judged.with_predictions(rows)
    _write(found, judged)
    return _together(asked), judged


def _ask(
    found: Guided,
    name: str,
    trials: Sequence[Trial],
    others: Sequence[Role],
    asking: Asking,
    no_role: bool = False,
) -> tuple[RunDir, Sampled]:
    """Run the study `name` of the folder up to its scores."""
    inputs, levers = found.chosen.inputs, found.chosen.levers
    path, study = write_study(found.folder, name, inputs, levers, trials, others, no_role=no_role)
    run = create_run(found.folder / name)
    with run.locked():
        prepared = asking.site.prepare(study, run)
        meter = Meter()
        try:
            sampled = sample(prepared, run, asking.site.executor(prepared, meter), meter, asking.retry_failed)
        except KeyboardInterrupt:
            raise RunError(
                f"validation by {path}",
                "to finish sampling",
                "a stop from the keyboard",
                "What was answered is stored: the same command continues.",
            ) from None
        score(run)
    return run, sampled


def _together(asked: Sequence[Sampled]) -> Sampled:
    return Sampled(
        planned=sum(one.planned for one in asked),
        already=sum(one.already for one in asked),
        answered=sum(one.answered for one in asked),
        seconds=sum(one.seconds for one in asked),
        failed=sum(one.failed for one in asked),
    )


def _judged(found: Guided, run: RunDir) -> Judged:
    profiles = read_scores(run, "profiles")
    trials = found.trials_of(found.ranks())
    asked = {trial_key(trial): trial.condition(found.chosen.levers) for trial in trials}
    conditions = {rank: asked[trial_key(trial)] for rank, trial in found.trials.items()}
    rivals = {rank: asked[trial_key(trial)] for rank, trial in found.unguided.items()}
    judges = profiles.filter(pl.col("role").is_in(found.judging()))
    check_provenance(judges, read_scores(run, "provenance"), BASELINE)
    level, seed = found.model.level, found.model.seed
    return judge(judges, found.tables(), found.names(), conditions, rivals, level=level, seed=seed)


def _judged_by_roles(
    found: Guided, run: RunDir, roles: Sequence[int], copies: Copies
) -> Iterator[pl.DataFrame]:
    """Rows of Judged.predictions: proposed roles against "no role" or the judges; and every judge with a
    trait against the same judge without it."""
    table, names, judging = read_scores(run, "profiles"), found.names(), found.judging()
    if roles:
        before = table.filter(pl.col("condition") == BASELINE)
        reference = NO_ROLE.name if NO_ROLE.name in before["role"] else None
        proposed = {rank: names[rank] for rank in roles}
        yield judged_roles(before, found.tables(), proposed, reference, judging)
    traits = {rank: names[rank] for rank in found.ranks(LeverKind.TRAIT)}
    if traits:
        profiles = copies.as_conditions(table, judging)
        provenance = copies.as_conditions(read_scores(run, "provenance"), judging)
        check_provenance(profiles, provenance, BASELINE)
        level, seed = found.model.level, found.model.seed
        yield judge(profiles, found.tables(), traits, traits, {}, level=level, seed=seed).predictions


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

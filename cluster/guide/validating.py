"""The runs that judge proposals: through the ordinary study, engine and store, then measured and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from axiograph.cluster.guide.artefacts import write_judged
from axiograph.cluster.guide.guided import Guided
from axiograph.cluster.guide.judges import TraitCopies
from axiograph.cluster.guide.trials import Trial, trial_key, write_study
from axiograph.cluster.sampling.loop import Sampled, sample
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.site import LocalSite, Site
from axiograph.cluster.stages.score import read_scores, score
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.validation import Asked, Judged, judge, judged_roles, nothing_judged
from axiograph.discovery.matrix.profiles import check_provenance
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir, create_run
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.roles import NO_ROLE, Role

VALIDATION, BY_ROLES = "validation", "validation-by-roles"


@dataclass(frozen=True)
class Asking:
    """Where the judges are asked; `retry_failed`: again what could not be answered before."""

    site: Site
    retry_failed: bool = False


class Validation(NamedTuple):
    """What was asked of the judges, and how the proposals fared with them."""

    sampled: Sampled
    judged: Judged


def validate(guided: Guided, asking: Asking | None = None) -> Validation:
    """Ask the judges under every proposal and its unguided rival (continues where it stopped), judge, and
    write the result into the folder of `guided`.

    By default in this process. Raises InputError where nothing can be judged, RunError when it is stopped
    from the keyboard."""
    asking = asking or Asking(LocalSite())
    traits = guided.proposed_traits(guided.ranks())
    roles = guided.ranks(LeverKind.ROLE) if guided.judges.new_items else []
    if not (guided.trials or traits or roles):
        raise InputError(
            "--validate",
            "a feature, hint or trait among the proposals, or roles and other items to judge them by",
            "roles only, whose answers to the same items are known",
            "Give the study split.items below 1 and run it again, or choose another --method.",
        )
    asked, judged = [], nothing_judged(guided.model.level)
    if guided.trials:
        run, sampled = _ask(guided, VALIDATION, guided.trials_of(guided.ranks()), [], asking)
        asked.append(sampled)
        judged = _judged(guided, run)
    if traits or roles:
        # A run without steering, so that one kind of worker answers all that is compared.
        others = guided.proposed_roles(roles)
        copies = TraitCopies.of(guided.judges.roles, traits, others)
        no_role = bool(roles) and NO_ROLE in guided.evidence.inputs.roles
        run, sampled = _ask(guided, BY_ROLES, [], [*others, *copies.roles], asking, no_role)
        asked.append(sampled)
        for rows in _judged_by_roles(guided, run, roles, copies):
            judged = judged.with_predictions(rows)
    write_judged(guided.folder, judged)
    return Validation(_together(asked), judged)


def _ask(
    guided: Guided,
    name: str,
    trials: Sequence[Trial],
    others: Sequence[Role],
    asking: Asking,
    no_role: bool = False,
) -> tuple[RunDir, Sampled]:
    """Run the study `name` of the folder up to its scores."""
    path, study = write_study(guided.folder, name, guided.evidence, trials, others, no_role=no_role)
    run = create_run(guided.folder / name)
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
    """The sums over runs."""
    return Sampled(
        planned=sum(one.planned for one in asked),
        already=sum(one.already for one in asked),
        answered=sum(one.answered for one in asked),
        seconds=sum(one.seconds for one in asked),
        failed=sum(one.failed for one in asked),
    )


def _judged(guided: Guided, run: RunDir) -> Judged:
    """Features and hints, from the answers of the judges under them."""
    profiles = read_scores(run, "profiles")
    trials = guided.trials_of(guided.ranks())
    conditions = {trial_key(trial): trial.condition(guided.evidence.levers) for trial in trials}
    names, tables = guided.names(), guided.tables()
    asked = []
    for rank, trial in guided.trials.items():
        rival = guided.unguided.get(rank)
        unguided = None if rival is None else conditions[trial_key(rival)]
        asked.append(Asked(rank, names[rank], tables[rank], conditions[trial_key(trial)], unguided))
    judges = profiles.filter(pl.col("role").is_in(guided.judge_names()))
    check_provenance(judges, read_scores(run, "provenance"), BASELINE)
    return judge(judges, asked, level=guided.model.level, seed=guided.model.seed)


def _judged_by_roles(
    guided: Guided, run: RunDir, roles: Sequence[int], copies: TraitCopies
) -> Iterator[pl.DataFrame]:
    """Rows of Judged.predictions: proposed roles against "no role" or the judges; and every judge with a
    trait against the same judge without it."""
    scores, judges = read_scores(run, "profiles"), guided.judge_names()
    names, tables = guided.names(), guided.tables()
    if roles:
        before = scores.filter(pl.col("condition") == BASELINE)
        reference = NO_ROLE.name if NO_ROLE.name in before["role"] else None
        proposed = [Asked(rank, names[rank], tables[rank], BASELINE) for rank in roles]
        yield judged_roles(before, proposed, reference, judges)
    traits = [Asked(rank, names[rank], tables[rank], names[rank]) for rank in guided.ranks(LeverKind.TRAIT)]
    if traits:
        profiles = copies.as_conditions(scores, judges)
        provenance = copies.as_conditions(read_scores(run, "provenance"), judges)
        check_provenance(profiles, provenance, BASELINE)
        yield judge(profiles, traits, level=guided.model.level, seed=guided.model.seed).predictions

"""Proposals from a run for the wishes of a request: by its levers, its roles and their traits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from axiograph.cluster.guide.artefacts import write_guided
from axiograph.cluster.guide.evidence import Evidence, asked_alike, gather_evidence
from axiograph.cluster.guide.guided import Guided
from axiograph.cluster.guide.judges import Judges, select_judges
from axiograph.cluster.guide.request import GuideRequest, compared_with_reference
from axiograph.cluster.guide.run_levers import kinds_of
from axiograph.cluster.guide.run_model import run_model
from axiograph.cluster.guide.trials import Trial
from axiograph.cluster.stages.score import read_scores, scored_items
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.proposal import Proposal
from axiograph.discovery.guide.roles import RoleScores, role_proposals
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.targets import Wishes, check_measured
from axiograph.discovery.guide.traits import trait_proposals
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.scores import part_scores
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.roles import NO_ROLE


def propose(run: RunDir, request: GuideRequest, out: Path | None = None) -> Guided:
    """Choose proposals and write them, with the study files that test them, into `out` or the run's folder
    guide; what is there already is written anew. Raises InputError for wishes that cannot be met, and where
    there is nothing to choose from."""
    profiles = read_scores(run, "profiles")
    names = value_columns(profiles)
    limits = request.limits
    wishes = request.wishes.parse(names)
    evidence = gather_evidence(run, profiles, limits, request.graphs.file)
    judges = select_judges(evidence.inputs, evidence.part, request.judging)
    model = run_model(run, evidence, judges, request.seed)
    check_measured(wishes, names, model.measured.baseline)
    reference, still = compared_with_reference(request.graphs, evidence.graph, wishes, names)
    kinds = kinds_of(limits.method)
    search = Search(model, wishes, limits.budget, len(judges.roles), kinds, evidence.weights, still)
    folder = out or _folder(run, wishes)
    proposals, refused = _proposals(run, evidence, judges, search, request.top)
    trials, unguided = _trials(search, proposals)
    guided = Guided(
        run=run,
        folder=folder,
        evidence=evidence,
        judges=judges,
        search=search,
        proposals=proposals,
        trials=trials,
        unguided=unguided,
        reference=reference,
        refused=refused,
        notes=_notes(evidence, judges, search, proposals),
    )
    write_guided(guided)
    return guided


def _folder(run: RunDir, wishes: Wishes) -> Path:
    if run.mirror is not None:
        raise InputError(
            f"run {run.where}", "--out, a directory", "none", "A run in an object store needs one for this."
        )
    return run.path / "guide" / wishes.slug()


def _proposals(
    run: RunDir, evidence: Evidence, judges: Judges, search: Search, top: int
) -> tuple[list[Proposal], str | None]:
    """By rising cost; and why no feature or hint is among them, where some were tried."""
    proposals: list[Proposal] = []
    refused: InputError | None = None
    if search.kinds & {LeverKind.SAE, LeverKind.HINT}:
        try:
            proposals += search.proposals(top)
        except InputError as error:
            if LeverKind.ROLE not in search.kinds:
                raise
            refused = error
    if LeverKind.ROLE in search.kinds:
        by_roles = _proposals_by_roles(run, evidence, judges, search, top)
        if refused is not None and search.levers():
            # One role of many always lies the wanted way.
            by_roles = [
                p for p in by_roles if p.kind is LeverKind.TRAIT and search.objective.holds(p.prediction)
            ]
        proposals += by_roles
    if refused is not None and not proposals:
        raise refused
    if not proposals:
        raise InputError(
            search.wishes.words(),
            "a role of the run whose profile lies the wanted way, or a trait that roles share",
            "none",
            "Measure next: more roles, or features and hints.",
        )
    why = str(refused) if refused is not None and search.levers() else None
    return sorted(proposals, key=lambda proposal: proposal.cost), why


def _proposals_by_roles(
    run: RunDir, evidence: Evidence, judges: Judges, search: Search, top: int
) -> list[Proposal]:
    """At most `top` roles, and `top` traits, by rising cost of each; those that move the targets for
    certain."""
    scores = _role_scores(run, evidence, judges, search)
    texts = {role.name: role.text for role in evidence.inputs.roles}
    judging = [role.text for role in judges.roles]
    roles = role_proposals(scores, search, top, ratio=judges.ratio if judges.new_items else 1.0)
    ratio = judges.ratio if judges.new_items else None
    by_traits = trait_proposals(scores, texts, judging, search, top, ratio=ratio)
    return [p for p in roles + by_traits if search.objective.moves_targets(p.prediction)]


def _role_scores(run: RunDir, evidence: Evidence, judges: Judges, search: Search) -> RoleScores:
    """Of all roles that were asked alike; compared with "no role", where that is among them."""
    scored = scored_items(run).filter(
        pl.col("role").cast(pl.String).is_in(asked_alike(run, evidence, judges))
        & (pl.col("condition").cast(pl.String) == BASELINE)
    )
    parts = part_scores(scored, "item", drop_shared=evidence.inputs.study.scoring.drop_shared_items)
    asked = NO_ROLE.name in parts["role"].unique().to_list()
    return RoleScores.of(parts, search.model.names, NO_ROLE.name if asked else None)


def _trials(search: Search, proposals: Sequence[Proposal]) -> tuple[dict[int, Trial], dict[int, Trial]]:
    """By rank, what is asked for a proposal and for the unguided lever at its target change."""
    trials, unguided = {}, {}
    for rank, proposal in enumerate(proposals, start=1):
        if proposal.kind in (LeverKind.ROLE, LeverKind.TRAIT):
            continue
        trials[rank] = Trial(f"p{rank}", proposal.kind, proposal.settings)
        lever, strength = search.rival(proposal)
        if dict(proposal.settings) != {lever.name: strength}:
            unguided[rank] = Trial(f"u{rank}", lever.kind, {lever.name: strength})
    return trials, unguided


def _notes(evidence: Evidence, judges: Judges, search: Search, proposals: Sequence[Proposal]) -> list[str]:
    notes = []
    if evidence.graph is None:
        notes.append("The run has no graph: what must follow and what should stay is not known.")
    if evidence.levers.broken:
        notes.append(f"Left out, since they break the model: {', '.join(evidence.levers.broken)}.")
    if not judges.new_items:
        notes.append(
            "The judges are new roles, but are asked the same items: how far the result holds for other "
            "items is in no interval here (give the study split.items below 1 to know)."
        )
        if any(proposal.kind is LeverKind.ROLE for proposal in proposals):
            notes.append(
                "Proposed roles are judged on other items only: none here, so that they are not judged."
            )
    if search.model.levers and not all(lever.settled for lever in search.model.levers):
        notes.append(
            f"{len(search.model.measured.baseline)} roles do not settle at which strength some features "
            "break the model: every measured strength was allowed."
        )
    return notes

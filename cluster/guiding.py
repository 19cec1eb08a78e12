"""The command `guide`: proposals from a run, for the wishes of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from cluster.guide_artefacts import write_guided
from cluster.guide_choosing import Chosen, choosing
from cluster.guide_effects import run_model
from cluster.guide_judges import Judges, find_judges
from cluster.guide_levers import kinds_of
from cluster.guide_reference import compared_with_reference
from cluster.guide_request import GuideRequest
from cluster.guide_roles import proposals_by_roles
from cluster.guide_study import Trial, trial_key
from cluster.stages import read_scores
from discovery.comparison import Comparison
from discovery.guide_levers import LeverKind
from discovery.guide_model import EffectsModel
from discovery.guide_proposal import Proposal
from discovery.guide_search import Search
from discovery.guide_targets import Wishes, check_measured, parse_wishes
from discovery.guide_trait_texts import Trait, traits_of
from discovery.matrix import value_columns
from engine.errors import InputError
from engine.roles import Role
from engine.run_dir import RunDir


@dataclass(frozen=True, eq=False)
class Guided:
    """`proposals` by rank from 1; `trials`: what a study asks for each, roles and traits apart; `unguided`:
    the single lever and its strength at each proposal's target change, by rank. `refused`: why no feature or
    hint is among them, where some were tried."""

    run: RunDir
    folder: Path
    wishes: Wishes
    chosen: Chosen
    judges: Judges
    search: Search
    proposals: list[Proposal]
    trials: dict[int, Trial]
    unguided: dict[int, Trial]
    reference: Comparison | None
    refused: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> EffectsModel:
        return self.search.model

    def ranks(self, kind: LeverKind | None = None) -> list[int]:
        """Of all proposals, or of those of one kind."""
        return [r for r, p in enumerate(self.proposals, start=1) if kind is None or p.kind is kind]

    def names(self) -> dict[int, str]:
        """Rank → name of the proposal."""
        return {rank: self.proposals[rank - 1].name for rank in self.ranks()}

    def judging(self) -> list[str]:
        """The names of the judges."""
        return [role.name for role in self.judges.roles]

    def tables(self) -> dict[int, pl.DataFrame]:
        """Rank → Proposal.table."""
        return {rank: self.proposals[rank - 1].table(self.model, self.wishes) for rank in self.ranks()}

    def trials_of(self, ranks: Sequence[int]) -> list[Trial]:
        """What a study asks for the proposals of these ranks and their unguided rivals, nothing twice."""
        seen: dict[object, Trial] = {}
        for rank in ranks:
            for table in (self.trials, self.unguided):
                if rank in table:
                    seen.setdefault(trial_key(table[rank]), table[rank])
        return list(seen.values())

    def proposed_roles(self, ranks: Sequence[int]) -> list[Role]:
        """The roles among the proposals of these ranks."""
        wanted = [self.proposals[rank - 1].name for rank in self.ranks(LeverKind.ROLE) if rank in ranks]
        return [role for role in self.chosen.inputs.roles if role.name in wanted]

    def proposed_traits(self, ranks: Sequence[int]) -> list[Trait]:
        """The traits among the proposals of these ranks."""
        wanted = [rank for rank in self.ranks(LeverKind.TRAIT) if rank in ranks]
        return [traits_of(self.proposals[rank - 1].name)[0] for rank in wanted]


def guide(run: RunDir, request: GuideRequest, out: Path | None) -> Guided:
    """Choose proposals and write them, with the study files that test them, into `out` or the run's folder
    guide. Raises InputError for wishes that cannot be met, and where there is nothing to choose from."""
    profiles = read_scores(run, "profiles")
    names = value_columns(profiles)
    wishes = parse_wishes(request.raised, request.lowered, request.held, names, request.tolerance)
    chosen = choosing(run, profiles, request)
    judges = find_judges(chosen.inputs, chosen.part, request.judges, request.judge_file)
    model = run_model(run, chosen, judges, request.seed)
    check_measured(wishes, names, model.measured.baseline)
    reference, still = compared_with_reference(request, chosen.graph, wishes, names)
    search = Search(
        model,
        wishes,
        request.budget,
        len(judges.roles),
        kinds_of(request.method),
        chosen.weights,
        still,
    )
    folder = out or _folder(run, wishes)
    proposals, refused = _proposals(run, chosen, judges, search, request.top)
    trials, unguided = _trials(search, proposals)
    found = Guided(
        run, folder, wishes, chosen, judges, search, proposals, trials, unguided, reference,
        refused, _notes(chosen, judges, search, proposals),
    )  # fmt: skip
    write_guided(found)
    return found


def _folder(run: RunDir, wishes: Wishes) -> Path:
    if run.mirror is not None:
        raise InputError(
            f"run {run.where}", "--out, a directory", "none", "A run in an object store needs one for this."
        )
    return run.path / "guide" / wishes.slug()


def _proposals(
    run: RunDir, chosen: Chosen, judges: Judges, search: Search, top: int
) -> tuple[list[Proposal], str | None]:
    """By rising cost; and why no feature or hint is among them, where some were tried."""
    found: list[Proposal] = []
    refused: InputError | None = None
    if search.kinds & {LeverKind.SAE, LeverKind.HINT}:
        try:
            found += search.proposals(top)
        except InputError as error:
            if LeverKind.ROLE not in search.kinds:
                raise
            refused = error
    if LeverKind.ROLE in search.kinds:
        by_roles = proposals_by_roles(run, chosen, judges, search, top)
        if refused is not None and search.levers():
            # One role of many always lies the wanted way; a trait does so by its interval.
            by_roles = [
                p for p in by_roles if p.kind is LeverKind.TRAIT and search.objective.holds(p.prediction)
            ]
        found += by_roles
    if refused is not None and not found:
        raise refused
    if not found:
        raise InputError(
            search.wishes.words(),
            "a role of the run whose profile lies the wanted way, or a trait that roles share",
            "none",
            "Measure next: more roles, or features and hints.",
        )
    why = str(refused) if refused is not None and search.levers() else None
    return sorted(found, key=lambda proposal: proposal.cost), why


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


def _notes(chosen: Chosen, judges: Judges, search: Search, proposals: Sequence[Proposal]) -> list[str]:
    notes = []
    if chosen.graph is None:
        notes.append("The run has no graph: what must follow and what should stay is not known.")
    if chosen.levers.broken:
        notes.append(f"Left out, since they break the model: {', '.join(chosen.levers.broken)}.")
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

"""The command `guide`: proposals from a run, for the wishes of a request.

The artefacts of a guided steering: proposals as tables and JSON, and a study file for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.cluster.guide.choosing import Chosen, choosing, proposals_by_roles, run_model
from axiograph.cluster.guide.judges import Copies, Judges, find_judges
from axiograph.cluster.guide.levers import kinds_of
from axiograph.cluster.guide.request import GuideRequest, compared_with_reference
from axiograph.cluster.guide.trials import Trial, trial_key, write_materials, write_study
from axiograph.cluster.stages.score import read_scores
from axiograph.discovery.comparison.distances import Comparison
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.model import EffectsModel
from axiograph.discovery.guide.proposal import Proposal
from axiograph.discovery.guide.roles import Trait, traits_of
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.targets import Wishes, check_measured, parse_wishes
from axiograph.discovery.matrix.profiles import value_columns
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.storage.files import write_atomic, write_json
from axiograph.engine.study.roles import NO_ROLE, Role


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

"""Guided steering: the proposals from a run, with all that they were chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.cluster.guide.evidence import Evidence
from axiograph.cluster.guide.judges import Judges
from axiograph.cluster.guide.trials import Trial, trial_key
from axiograph.discovery.comparison.graphs import Comparison
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.model import EffectsModel
from axiograph.discovery.guide.proposal import Proposal
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.targets import Wishes
from axiograph.discovery.guide.traits import Trait, traits_of
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.roles import Role


@dataclass(frozen=True, eq=False)
class Guided:
    """`proposals` by rank from 1; `trials`: what a study asks for each, roles and traits apart; `unguided`:
    the single lever and its strength at each proposal's target change, by rank. `reference`: how the run's
    graph compares with the reference graph. `refused`: why no feature or hint is among the proposals, where
    some were tried. `notes`: what a reader should know besides. `folder`: where the files are."""

    run: RunDir
    folder: Path
    evidence: Evidence
    judges: Judges
    search: Search
    proposals: list[Proposal]
    trials: dict[int, Trial]
    unguided: dict[int, Trial]
    reference: Comparison | None
    refused: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def wishes(self) -> Wishes:
        return self.search.wishes

    @property
    def model(self) -> EffectsModel:
        return self.search.model

    def ranks(self, kind: LeverKind | None = None) -> list[int]:
        """Of all proposals, or of those of one kind."""
        return [r for r, p in enumerate(self.proposals, start=1) if kind is None or p.kind is kind]

    def names(self) -> dict[int, str]:
        """Rank → name of the proposal."""
        return {rank: self.proposals[rank - 1].name for rank in self.ranks()}

    def tables(self) -> dict[int, pl.DataFrame]:
        """Rank → Proposal.table."""
        return {rank: self.proposals[rank - 1].table(self.model, self.wishes) for rank in self.ranks()}

    def table(self) -> pl.DataFrame:
        """A row per proposal and value: proposal (its rank), name, and the columns of Proposal.table."""
        names = self.names()
        parts = [
            table.with_columns(proposal=pl.lit(rank, pl.Int64), name=pl.lit(names[rank]))
            for rank, table in self.tables().items()
        ]
        return pl.concat(parts).select("proposal", "name", pl.exclude("proposal", "name"))

    def judge_names(self) -> list[str]:
        """The names of the judges."""
        return [role.name for role in self.judges.roles]

    def trials_of(self, ranks: Sequence[int]) -> list[Trial]:
        """What a study asks for the proposals of these ranks and their unguided rivals, nothing twice."""
        seen: dict[object, Trial] = {}
        for rank in ranks:
            for trials in (self.trials, self.unguided):
                if rank in trials:
                    seen.setdefault(trial_key(trials[rank]), trials[rank])
        return list(seen.values())

    def proposed_roles(self, ranks: Sequence[int]) -> list[Role]:
        """The roles among the proposals of these ranks."""
        wanted = [self.proposals[rank - 1].name for rank in self.ranks(LeverKind.ROLE) if rank in ranks]
        return [role for role in self.evidence.inputs.roles if role.name in wanted]

    def proposed_traits(self, ranks: Sequence[int]) -> list[Trait]:
        """The traits among the proposals of these ranks."""
        wanted = [rank for rank in self.ranks(LeverKind.TRAIT) if rank in ranks]
        return [traits_of(self.proposals[rank - 1].name)[0] for rank in wanted]

    def document(self) -> Mapping[str, Any]:
        """Wishes, judges, proposals and notes as JSON types, without the tables."""
        return {
            "schema": "axiograph-guide/1",
            "run": self.run.where,
            "wishes": self.wishes.words(),
            "tolerance_sd": self.wishes.tolerance,
            "held_for_the_reference": list(self.search.keep_still),
            "chosen_by": {"part": self.evidence.part, "roles": len(self.model.measured.baseline)},
            "judges": {
                "roles": len(self.judges.roles),
                "source": self.judges.source,
                "items": len(self.judges.items),
                "other_items": self.judges.new_items,
            },
            "level": self.model.level,
            "link_width": self.model.link.width,
            "curve_error": self.model.curve_error,
            "levers": [lever.name for lever in self.model.levers],
            "proposals": [
                {"rank": rank} | proposal.document() for rank, proposal in enumerate(self.proposals, start=1)
            ],
            "unguided": {str(rank): dict(trial.settings) for rank, trial in self.unguided.items()},
            "reference": None if self.reference is None else self.reference.document(),
            "refused": self.refused,
            "notes": self.notes,
        }

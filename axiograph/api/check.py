"""Before a sweep: whether the model answers the questionnaire at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from axiograph.api.display import Shown
from axiograph.api.results import Notes
from axiograph.api.run import OnStep, tell
from axiograph.api.settings import as_study
from axiograph.cluster.check import asking
from axiograph.cluster.check.findings import Findings
from axiograph.cluster.check.selection import REQUESTS, ROLES
from axiograph.cluster.check.verdict import Verdict
from axiograph.cluster.sampling.preparation import study_notes
from axiograph.engine.runs.run_dir import run_at
from axiograph.engine.study.schema import Study
from axiograph.texts.check import check_text, pilot_text


@dataclass(frozen=True, repr=False)
class Check(Shown):
    """What a pilot shows: `verdict` (good, or concerns with remedies; hopeless), `findings`, `answers`."""

    check: asking.Check

    @property
    def verdict(self) -> Verdict:
        return self.check.pilot.verdict

    @property
    def findings(self) -> Findings:
        return self.check.pilot.findings

    @property
    def answers(self) -> pl.DataFrame:
        """The pilot's responses, a row each."""
        return self.check.pilot.frame

    @property
    def text(self) -> str:
        return check_text(self.check)


@dataclass(frozen=True, repr=False)
class PilotShown(Shown):
    """What the pilot of a run shows, before the sweep."""

    findings: Findings
    verdict: Verdict

    @property
    def text(self) -> str:
        return f"Pilot of {self.findings.answers} answers:\n{pilot_text(self.findings, self.verdict)}\n"


def check(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    roles: int = ROLES,
    requests: int = REQUESTS,
    alternatives: bool | None = None,
    float32: bool = True,
    on_step: OnStep | None = None,
) -> Check:
    """Ask a pilot: does this model answer this questionnaire, and do roles differ? Stores nothing.

    `roles`, `requests`: about how many of each. `alternatives`: whether other ways of asking are tried as
    well; None: where something stands against the study's. `float32`: whether some answers are compared with
    those in float32. `on_step` is told what a person should know before that. Raises InputError and RunError
    as a run would before its first answer."""
    loaded = as_study(study)

    def note(prepared_notes: tuple[str, ...]) -> None:
        if prepared_notes:
            tell(on_step, Notes(prepared_notes))

    done = asking.check_study(
        loaded,
        run_at(out or loaded.out),
        roles=roles,
        requests=requests,
        alternatives=alternatives,
        float32=float32,
        notify=lambda prepared: note((*study_notes(prepared.inputs), *prepared.notes())),
    )
    return Check(done)


def pilot_step(on_step: OnStep | None) -> Callable[[Findings, Verdict], None]:
    """What tells `on_step` of the pilot of a run; a good one goes without many words."""
    return lambda findings, verdict: tell(on_step, PilotShown(findings, verdict))

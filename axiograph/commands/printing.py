"""What the commands say: results of steps as they are done, notes, and where things are."""

from __future__ import annotations

from collections.abc import Sequence

from axiograph.api.display import Shown
from axiograph.api.report import ReportPage
from axiograph.api.results import DiscoveryResult, ScoreTables


def print_notes(notes: Sequence[str]) -> None:
    """One line each, before the numbers that they are about."""
    for note in notes:
        print(f"Note: {note}", flush=True)


def print_line(line: str) -> None:
    """A sentence as it stands."""
    print(line, flush=True)


def print_step(step: Shown) -> None:
    """What a step came to, an empty line before the tables of a stage."""
    if isinstance(step, ScoreTables):
        print_notes(step.notes)
    apart = isinstance(step, ScoreTables | DiscoveryResult | ReportPage)
    print(f"\n{step}" if apart else f"{step}", flush=True)

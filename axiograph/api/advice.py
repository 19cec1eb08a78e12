"""Which experiments would settle the directions of a value graph, by a pilot run."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from axiograph.api.display import Shown
from axiograph.api.run import Run
from axiograph.api.settings import CORES
from axiograph.cluster.stages.advice import advise_run
from axiograph.discovery.interventions.design import Advice
from axiograph.engine.runs.run_dir import open_run
from axiograph.texts.advice import advice_text


@dataclass(frozen=True, repr=False)
class AdviceResult(Shown):
    """The design that would do, and those that were tried before it."""

    advice: Advice

    shown_tables = ("designs",)

    @property
    def designs(self) -> pl.DataFrame:
        """A row per design, by rising requests (discovery.interventions.design.Advice.table)."""
        return self.advice.table()

    @property
    def text(self) -> str:
        return advice_text(self.advice)


def advise(pilot: Run | str, *, budget: int | None = None, seed: int = 0, jobs: int = CORES) -> AdviceResult:
    """The cheapest study that would settle the directions between the values of `pilot`, a run with steering
    or hints: how many roles, which levers at which strengths, which share of the items.

    Designs are tried from cheap to dear on studies simulated from the pilot; nothing is asked or stored.
    `budget`: requests in all. Raises InputError where the pilot has no experiments that move a value."""
    directory = pilot.directory if isinstance(pilot, Run) else open_run(pilot)
    return AdviceResult(advise_run(directory, budget, seed=seed, jobs=jobs))

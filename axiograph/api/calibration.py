"""Before a study: what one of its size can find, by planted graphs, and which would find the directions, by a
pilot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from axiograph.api.display import Shown
from axiograph.api.run import Run
from axiograph.api.settings import CORES, as_study
from axiograph.cluster.guide.advice import advise_run
from axiograph.cluster.stages.calibration import calibrate_study
from axiograph.discovery.calibration.planted_studies import Calibration, reliability_figure
from axiograph.discovery.interventions.design import Advice
from axiograph.engine.runs.run_dir import open_run, run_at
from axiograph.engine.study.schema import Study
from axiograph.texts.advice import advice_text
from axiograph.texts.calibration import calibration_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class CalibrationResult(Shown):
    """How often graphs, frequencies and effects of such a study are right. `where`: the folder with the
    numbers, the tables and the figure."""

    calibration: Calibration
    where: str

    @property
    def graphs(self) -> pl.DataFrame:
        """One row per planted graph and way of finding it: counts against the planted one."""
        return self.calibration.graphs

    @property
    def frequencies(self) -> pl.DataFrame:
        """Frequencies over the replicates in bins, and how many of the pairs are so in truth."""
        return self.calibration.frequencies

    @property
    def effects(self) -> pl.DataFrame:
        """How often effects that were planted, and that were not, were found."""
        return self.calibration.effects

    def figure(self) -> Figure:
        """The reliability diagram: how often a frequency keeps its word."""
        return reliability_figure(self.calibration)

    @property
    def text(self) -> str:
        return calibration_text(self.calibration)


def calibrate(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    graphs: int | None = None,
    seed: int = 0,
    jobs: int = CORES,
    notify: Callable[[str], None] | None = None,
) -> CalibrationResult:
    """Simulate studies of this size: planted graphs, answered with the built-in respondent's measured noise.
    No model is loaded.

    `out`: where the result goes, None for calibration in the study's out. `graphs`: how many, None for as
    many as ten minutes of a core allow. `notify` is told what the simulation leaves out, and how long it
    will take. Raises InputError for a study that no calibration covers."""
    loaded = as_study(study)
    run = run_at(loaded.out)
    folder = run.path / "calibration" if out is None else Path(out)
    result = calibrate_study(loaded, folder, graphs=graphs, seed=seed, jobs=jobs, notify=notify)
    return CalibrationResult(result, run.shown(folder))


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

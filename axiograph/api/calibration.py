"""What a study of a given size can find, by planted graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from axiograph.api.display import Shown
from axiograph.api.settings import CORES, as_study
from axiograph.cluster.stages.calibration import calibrate_study
from axiograph.discovery.calibration.planted_studies import Calibration, reliability_figure
from axiograph.engine.runs.run_dir import run_at
from axiograph.engine.study.schema import Study
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

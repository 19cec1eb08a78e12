"""The built-in respondent, end to end, with the known truth beside what is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from axiograph.api.display import Shown
from axiograph.api.graph import ValueGraph
from axiograph.api.run import Run
from axiograph.api.settings import CORES
from axiograph.cluster.demonstration import STRENGTHS, Demo, DemoSettings
from axiograph.cluster.demonstration import demo as demonstrate
from axiograph.discovery.calibration.respondent import Planted
from axiograph.texts.demo import demo_intro, demo_text


@dataclass(frozen=True, repr=False)
class DemonstrationResult(Shown):
    """`demonstration` holds what was found and the planted truth."""

    demonstration: Demo

    @property
    def run(self) -> Run:
        """The run that it left."""
        return Run(self.demonstration.run)

    @property
    def planted(self) -> ValueGraph:
        """The graph that the respondent's values follow."""
        return ValueGraph(self.demonstration.planted.graph, title="planted graph")

    @property
    def effects(self) -> pl.DataFrame:
        """Measured effects of steering beside the planted ones."""
        return self.demonstration.effects_truth

    @property
    def text(self) -> str:
        return demo_text(self.demonstration)


def demo(
    out: Path | str = Path("runs/demo"),
    *,
    roles: int | None = None,
    strengths: tuple[float, ...] = STRENGTHS,
    mode: Literal["generate", "logprob"] = "generate",
    jobs: int = CORES,
    notify: Callable[[str], None] | None = None,
) -> DemonstrationResult:
    """Ask, steer and analyse the built-in respondent: no network, one to two minutes on two cores.

    `roles`: training roles, None for 200; `strengths`: at which every value is steered; `notify` is told
    what the respondent is. Raises InputError for settings that are of no use."""
    settings = DemoSettings(mode=mode, roles=roles, strengths=strengths)
    settings.check()
    if notify is not None:
        notify(demo_intro(Planted.load()))
    return DemonstrationResult(demonstrate(settings, Path(out), jobs))

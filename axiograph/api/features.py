"""What there is to steer along: SAE features, by their activation on the span or by what they do in a pilot
sweep, and directions made from contrasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from axiograph.api.display import Shown
from axiograph.api.run import Run
from axiograph.api.settings import as_study
from axiograph.cluster.contrasts.stage import MadeDirections, make_directions
from axiograph.cluster.stages.features import Active, record_features, recorded_features
from axiograph.cluster.stages.pilot import Pilot, PilotSettings, run_pilot
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.contrasts import ContrastSpec, load_contrast, parse_contrast
from axiograph.engine.study.schema import Study
from axiograph.texts.features import direction_text, features_text, pilot_text, steering_snippet
from axiograph.texts.run import sampled_text

TOP = 20


@dataclass(frozen=True, repr=False)
class FeatureTable(Shown):
    """Features by their largest activation on the span. `where`: the file with all of them."""

    active: Active
    top: int
    ban: frozenset[int]
    where: str
    shown_tables: ClassVar[tuple[str, ...]] = ("table",)

    @property
    def table(self) -> pl.DataFrame:
        """One row per feature of every SAE of the study, largest first."""
        return self.active.table

    @property
    def text(self) -> str:
        return features_text(self.active, self.top, self.ban)


@dataclass(frozen=True, repr=False)
class PilotTable(Shown):
    """Features by what steering them moved. `where`: the file with all candidates."""

    result: Pilot
    top: int
    where: str

    @property
    def run(self) -> Run:
        """The pilot is a run of its own."""
        return Run(self.result.run)

    @property
    def text(self) -> str:
        return f"{sampled_text(self.result.sampled)}\n\n{pilot_text(self.result, self.top)}"


@dataclass(frozen=True, repr=False)
class DirectionTable(Shown):
    """The directions of a contrast, one for each hook point. `where`: the file that holds them."""

    made: MadeDirections
    where: str
    shown_tables: ClassVar[tuple[str, ...]] = ("table",)

    @property
    def table(self) -> pl.DataFrame:
        """One row per hook point: length, stability, and how it tells held-out prompts apart."""
        return self.made.table

    @property
    def path(self) -> Path:
        """The file to steer along, on this machine; of a run in an object store, as long as this process."""
        return self.made.path

    @property
    def snippet(self) -> str:
        """The section `steering` of a study that steers along it beside random directions, as YAML."""
        return steering_snippet(self.made)

    @property
    def text(self) -> str:
        return direction_text(self.made)


def features(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    prompts: int = 256,
    top: int = TOP,
    ban: Iterable[int] = (),
) -> FeatureTable:
    """Which features are active on the span of `prompts` baseline prompts; recorded in the run, for units of
    max_activation. `top`: how many are shown; `ban`: which are not.

    Raises InputError for a study without an SAE."""
    loaded = as_study(study)
    run = create_run(out or loaded.out)
    with run.locked():
        active = record_features(loaded, run, prompts)
    return FeatureTable(active, top, frozenset(ban), run.shown(run.features_file))


def pilot(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    settings: PilotSettings | None = None,
    prompts: int = 256,
    top: int = TOP,
    notify: Callable[[str], None] | None = None,
) -> PilotTable:
    """Which features move the values: candidates are steered one by one on a few training roles and items.

    Activations recorded before are taken; others are measured on `prompts` prompts first. `notify` is told
    which. Raises InputError
    for a study without an SAE."""
    loaded = as_study(study)
    chosen = settings or PilotSettings()
    run = create_run(out or loaded.out)
    with run.locked():
        active = recorded_features(loaded, run) or record_features(loaded, run, prompts)
        if notify is not None:
            notify(active.note)
        result = run_pilot(loaded, run, active, chosen)
    return PilotTable(result, top, run.shown(result.run.path.parent / "features.csv"))


def direction(
    study: Study | Path | str,
    contrast: ContrastSpec | Mapping[str, Any] | Path | str,
    out: Path | str | None = None,
) -> DirectionTable:
    """Directions from the contrasted prompts of `contrast` (a file, or what would stand in one), on the
    study's own model: stored in the run, with how they tell held-out prompts apart.

    Raises InputError for a contrast that does not fit the study."""
    loaded = as_study(study)
    run = create_run(out or loaded.out)
    with run.locked():
        made = make_directions(loaded, _contrast(contrast), run)
    return DirectionTable(made, run.shown(made.path))


def _contrast(contrast: ContrastSpec | Mapping[str, Any] | Path | str) -> ContrastSpec:
    if isinstance(contrast, ContrastSpec):
        return contrast
    if isinstance(contrast, Mapping):
        return parse_contrast(contrast, "contrast")
    return load_contrast(Path(contrast))

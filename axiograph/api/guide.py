"""How to steer: proposals from a run, and their validation by new roles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from axiograph.api.display import Shown, frames_html, text_html
from axiograph.api.run import Run
from axiograph.api.settings import STALL_S
from axiograph.cluster.guide.guided import Guided
from axiograph.cluster.guide.proposing import propose
from axiograph.cluster.guide.request import GuideRequest
from axiograph.cluster.guide.validating import Asking
from axiograph.cluster.guide.validating import validate as ask_judges
from axiograph.cluster.sampling.loop import Sampled
from axiograph.cluster.site import site
from axiograph.discovery.guide.validation import Judged, judged_figure
from axiograph.texts.guide import guide_text, judged_text
from axiograph.texts.run import sampled_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class ValidatedProposals(Shown):
    """Proposals beside what new roles answered under them: `judged` holds the tables."""

    guided: Guided
    sampled: Sampled
    judged: Judged

    @property
    def predictions(self) -> pl.DataFrame:
        """One row per proposal and value: what was predicted, and what was measured."""
        return self.judged.predictions

    @property
    def comparison(self) -> pl.DataFrame:
        """Side effects of every proposal beside those of its unguided rival, at equal change of the
        target."""
        return self.judged.comparison

    def figure(self) -> Figure:
        """Predicted over measured changes."""
        return judged_figure(self.judged)

    @property
    def text(self) -> str:
        return f"{sampled_text(self.sampled)}\n\n{judged_text(self.guided, self.judged)}"


@dataclass(frozen=True, repr=False)
class Proposals(Shown):
    """Proposals by rank from 1. Everything is written beside the run: tables, and a study file for each."""

    guided: Guided

    @property
    def frames(self) -> dict[int, pl.DataFrame]:
        """Rank → predicted change of every value with its interval."""
        return self.guided.tables()

    @property
    def names(self) -> dict[int, str]:
        """Rank → what is proposed."""
        return self.guided.names()

    @property
    def folder(self) -> Path:
        """Where the tables and the study files are."""
        return self.guided.folder

    def validate(
        self,
        *,
        ray: str | None = None,
        workers: int | None = None,
        stall_s: float = STALL_S,
        retry_failed: bool = False,
    ) -> ValidatedProposals:
        """Ask the judges under every proposal and its unguided rival (continues where it stopped).

        Raises InputError where nothing can be judged, RunError when it is stopped from the keyboard."""
        with site(ray, workers, stall_s) as where:
            sampled, judged = ask_judges(self.guided, Asking(where, retry_failed))
        return ValidatedProposals(self.guided, sampled, judged)

    @property
    def text(self) -> str:
        return guide_text(self.guided)

    def _repr_html_(self) -> str:
        tables = {f"{rank}. {self.names[rank]}": frame for rank, frame in self.frames.items()}
        return text_html(self.text) + frames_html(tables)


def guide(
    run: Run | Path | str,
    *,
    raise_: str | Iterable[str] = (),
    lower: str | Iterable[str] = (),
    hold: str | Iterable[str] = (),
    request: GuideRequest | None = None,
    out: Path | str | None = None,
    **limits: Any,
) -> Proposals:
    """How to steer: raise these values, lower those, hold others ("rest": all that are not named).

    A wish is a value (`"Security"`), or a value with an amount in points or standard deviations
    (`"Security=0.5"`, `"Security=1sd"`). `limits`: what may be proposed, such as method="hint", budget=2,
    without=("f12",) (fields of cluster.guide.request.Limits). `request`: everything else that can be asked,
    such as judges, a reference graph or the seed; wishes and limits given here replace its own. `out`: where
    tables and study files go, None for a folder in the run. Raises InputError for wishes that cannot be
    met, and where there is nothing to choose from."""
    opened = run if isinstance(run, Run) else Run.at(run)
    base = GuideRequest() if request is None else request
    wishes: dict[str, Any] = {"raised": _listed(raise_), "lowered": _listed(lower), "held": _listed(hold)}
    if any(wishes.values()):
        base = replace(base, wishes=replace(base.wishes, **wishes))
    base = replace(base, limits=replace(base.limits, **limits))
    return Proposals(propose(opened.directory, base, None if out is None else Path(out)))


def _listed(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)

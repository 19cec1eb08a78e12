"""What the steps of a run come to, and the graph of any table: each holds its frames and shows itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from axiograph.api.display import Shown, text_html
from axiograph.api.graph import ValueGraph
from axiograph.api.settings import CORES, changed_discovery
from axiograph.cluster.sampling.estimate import Estimate as RunEstimate
from axiograph.cluster.sampling.inspection import Status
from axiograph.cluster.sampling.loop import Sampled
from axiograph.cluster.site import site
from axiograph.cluster.stages.discover import discover_profiles
from axiograph.cluster.stages.profile_tables import read_profiles
from axiograph.cluster.stages.score import Scored
from axiograph.discovery.discover import Discovery
from axiograph.discovery.effects.doses import DoseTables
from axiograph.discovery.effects.testing import Effects
from axiograph.discovery.stored import GraphChoice
from axiograph.discovery.verdict.judgement import Answering, Verdict, judge
from axiograph.engine.study.schema import DiscoverySpec
from axiograph.texts.discovery import discovery_text
from axiograph.texts.effects import doses_text, effects_text, roles_text
from axiograph.texts.run import coverage_text, estimate_text, sampled_text, scored_text, status_text
from axiograph.texts.style import split_effects_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Notes(Shown):
    """Sentences that a person should read before the numbers."""

    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(f"Note: {line}" for line in self.lines)


@dataclass(frozen=True, repr=False)
class Estimate(Shown):
    """What would run: requests, prompt tokens, disk and time. `estimate` holds the numbers."""

    estimate: RunEstimate
    notes: tuple[str, ...]
    disk_free: int | None
    where: str

    @property
    def requests(self) -> int:
        """How many different requests the study asks."""
        return self.estimate.requests

    @property
    def left(self) -> int:
        """How many of them are not stored yet."""
        return self.estimate.left

    @property
    def text(self) -> str:
        return estimate_text(self.estimate, self.disk_free, self.where)


@dataclass(frozen=True, repr=False)
class SampleCount(Shown):
    """What sampling asked: planned, already stored, answered now, failed rows, seconds."""

    sampled: Sampled

    @property
    def text(self) -> str:
        return sampled_text(self.sampled)


@dataclass(frozen=True, repr=False)
class RunStatus(Shown):
    """How far a run is. `conditions`: condition, planned, stored. `beat`: the lines of whoever samples
    now."""

    status: Status
    beat: tuple[str, ...]
    shown_tables: ClassVar[tuple[str, ...]] = ()

    @property
    def conditions(self) -> pl.DataFrame:
        """Planned and stored requests by condition."""
        return self.status.conditions

    @property
    def text(self) -> str:
        return "\n\n".join([status_text(self.status), *(["\n".join(self.beat)] if self.beat else [])])


@dataclass(frozen=True, repr=False)
class ResponseView(Shown):
    """One response in full: exact prompt, tokens, steering, raw answer."""

    content: str

    @property
    def text(self) -> str:
        return self.content


@dataclass(frozen=True, repr=False)
class ScoreTables(Shown):
    """The tables of the stage `score`; the data dictionary explains their columns."""

    scored: Scored
    shown_tables: ClassVar[tuple[str, ...]] = ("rates", "reliability", "constant_items")

    @property
    def profiles(self) -> pl.DataFrame:
        """One row per role and condition, one column per value."""
        return self.scored.profiles

    @property
    def rates(self) -> pl.DataFrame:
        """How each condition was answered."""
        return self.scored.rates

    @property
    def reliability(self) -> pl.DataFrame:
        """Cronbach's alpha per value, and why there is none."""
        return self.scored.reliability

    @property
    def constant_items(self) -> pl.DataFrame:
        """Items that every role answered alike."""
        return self.scored.constant_items

    @property
    def item_rest(self) -> pl.DataFrame:
        """How every item goes with the rest of its value."""
        return self.scored.item_rest

    @property
    def response_distributions(self) -> pl.DataFrame:
        """How often every item got every answer in the baseline."""
        return self.scored.response_distributions

    @property
    def correlations(self) -> pl.DataFrame:
        """Every pair of values over the baseline roles, with intervals."""
        return self.scored.correlations

    @property
    def factor_values(self) -> pl.DataFrame:
        """Whether the items of a value lie on one factor; no rows where that is not known."""
        return self.scored.factors.values

    @property
    def factor_loadings(self) -> pl.DataFrame:
        """On which factor every item loads strongest; no rows where that is not known."""
        return self.scored.factors.loadings

    @property
    def norms(self) -> pl.DataFrame:
        """The roles' means beside the norms of people, in their SD; no rows without norms."""
        return self.scored.norms

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not whole."""
        coverage = self.scored.coverage
        return () if coverage.is_whole else (coverage_text(coverage),)

    @property
    def text(self) -> str:
        return scored_text(self.scored)


@dataclass(frozen=True, repr=False)
class DiscoveryResult(Shown):
    """A discovery: `discovery` holds everything; `folder` is where its files are, None where none were
    written; `answering`: what a run knows of the answers behind the scores."""

    discovery: Discovery
    folder: Path | None = None
    answering: Answering | None = None

    @property
    def graph(self) -> ValueGraph:
        """The consensus: the pairs adjacent in at least `threshold` of the replicates, with a sign and a
        strength on every edge."""
        return self._graph(GraphChoice.GRAPH)

    @property
    def all_roles(self) -> ValueGraph:
        """What one search on all roles gives."""
        return self._graph(GraphChoice.ALL_ROLES)

    @property
    def averaged(self) -> ValueGraph:
        """The pairs above the threshold that the frequencies themselves give."""
        return self._graph(GraphChoice.AVERAGED)

    def _graph(self, choice: GraphChoice) -> ValueGraph:
        graph = getattr(self.discovery, choice)
        strengths = self.discovery.strengths(graph)
        return ValueGraph(graph, self.pairs, self.discovery.title(choice), strengths)

    @property
    def verdict(self) -> Verdict:
        """What the answers can and cannot carry."""
        return judge(self.discovery.evidence, self.discovery.simulated_as, self.answering)

    @property
    def pairs(self) -> pl.DataFrame:
        """Every pair of values with its frequencies over the replicates."""
        return self.discovery.bootstrap.edges.table()

    def figure(self) -> Figure:
        """The graph."""
        return self.graph.figure()

    @property
    def text(self) -> str:
        return discovery_text(self.discovery, self.answering)

    def _repr_html_(self) -> str:
        return f"{self.graph._repr_html_()}{text_html(self.text)}"


@dataclass(frozen=True, repr=False)
class EffectTables(Shown):
    """What steering and hints changed, held against a graph; the data dictionary explains the columns.

    `effects`, `doses`: None where the run has no condition besides the baseline on the roles that effects
    are tested on. `reference`, `between_roles`: the paper's contrast of every role with `reference`. Where
    there was no graph the frames that need one have no columns. `parts`: plain differences as content and
    style, None where no value has items of both keys."""

    effects: Effects | None
    doses: DoseTables | None
    reference: str
    between_roles: pl.DataFrame
    parts: pl.DataFrame | None = None

    @property
    def changes(self) -> pl.DataFrame:
        """One row per condition and value: paired difference, interval, p, whether it changed."""
        return self._tables().changes

    @property
    def relations(self) -> pl.DataFrame:
        """Every pair of a changed value and another one: expected, possible or unexpected by the graph."""
        return self._tables().relations

    @property
    def responses(self) -> pl.DataFrame:
        """What the other values did when one changed, by relation."""
        return self._tables().responses

    @property
    def pooled(self) -> pl.DataFrame:
        """The same per condition and over all."""
        return self._tables().pooled

    @property
    def contrasts(self) -> pl.DataFrame:
        """Expected − unexpected beside random graphs."""
        return self._tables().contrasts

    def _tables(self) -> Effects:
        if self.effects is None:
            raise ValueError("the run has no condition besides the baseline on the tested roles")
        return self.effects

    def shown_frames(self) -> dict[str, pl.DataFrame]:
        if self.effects is None:
            return {}
        changed = self.changes.filter(pl.col("changed"))
        columns = [
            "condition", "value", "mean_difference", "adjusted_low", "adjusted_high", "p_adjusted", "pairs"
        ]  # fmt: skip
        return {
            f"values that changed ({changed.height} of {self.changes.height} contrasts)": changed[columns],
        } | (
            {"what the others did": self.pooled.filter(pl.col("scope") == "all conditions")}
            if self.effects.has_graph
            else {}
        )

    @property
    def text(self) -> str:
        if self.effects is None:
            lines = ["No condition besides the baseline on these roles: no effects of conditions to test."]
        else:
            lines = [effects_text(self.effects)]
            split = "" if self.parts is None else split_effects_text(self.parts)
            lines += [split] if split else []
            lines += [text for text in [doses_text(self.doses)] if text] if self.doses is not None else []
        if self.between_roles.columns:  # there is a graph
            lines.append(roles_text(self.reference, self.between_roles))
        return "\n\n".join(lines)


def discover(
    profiles: pl.DataFrame | Path | str,
    out: Path | str | None = None,
    *,
    jobs: int = CORES,
    ray: str | None = None,
    spec: DiscoverySpec | None = None,
    notify: Callable[[str], None] | None = None,
    **changes: Any,
) -> DiscoveryResult:
    """The graph of any table with one row per role and one column per value: a frame (Polars or pandas) or a
    CSV or Parquet file.

    `out`: where graph, tables and figures are written; None: nowhere. `spec`, `changes`: settings as in a
    study's `discovery`. `notify` is told where it may take long. Raises InputError for a table that cannot be
    used."""
    table = read_profiles(profiles)
    folder = None if out is None else Path(out)
    with site(ray) as where:
        settings = changed_discovery(spec or DiscoverySpec(), changes)
        discovery = discover_profiles(table, settings, folder, jobs=where.jobs(jobs), notify=notify)
    return DiscoveryResult(discovery, folder)

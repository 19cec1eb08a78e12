"""Runs: a study asked, and what its directory holds, by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from axiograph.api.display import Shown, text_html
from axiograph.api.graph import ValueGraph
from axiograph.api.report import ReportPage, write_report
from axiograph.api.results import (
    DiscoveryResult,
    EffectTables,
    ResponseView,
    RunStatus,
    ScoreTables,
)
from axiograph.api.settings import CORES, changed_discovery
from axiograph.cluster.sampling.heartbeat import read_heartbeat
from axiograph.cluster.sampling.inspection import find_response, find_responses, labelled_responses
from axiograph.cluster.sampling.inspection import status as run_status
from axiograph.cluster.site import site
from axiograph.cluster.stages.discover import discover_graph
from axiograph.cluster.stages.doses import read_doses
from axiograph.cluster.stages.effects import (
    compare_roles,
    find_effects,
    has_contrasts,
    reference_role,
    run_graph,
)
from axiograph.cluster.stages.score import check_scored, is_partial, read_scores, score
from axiograph.cluster.stages.stored_effects import read_between_roles, read_effects, read_split_effects
from axiograph.cluster.stages.verdict import answering_of
from axiograph.discovery.resampling.replicates import Jobs
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.engine.errors import AxiographError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.runs.run_dir import open_run as open_directory
from axiograph.engine.study.schema import DiscoverySpec, Study
from axiograph.report.build import report_charts
from axiograph.texts.progress import heartbeat_lines
from axiograph.texts.run import response_text, responses_text

if TYPE_CHECKING:
    import altair as alt

OnStep = Callable[[Shown], None]
# What stands first in a frame of responses.
TEXTS = ("id", "role", "role_text", "condition", "item_id", "value", "question", "agreement", "repeat")


class Run(Shown):
    """A run by its directory. Frames are read when they are asked for, so that they are never old.

    Raises InputError where `directory` is no run."""

    def __init__(self, directory: RunDir) -> None:
        self.directory = directory

    @classmethod
    def at(cls, directory: Path | str) -> Run:
        """The run at a directory or an address (s3://…, gs://…). InputError where there is none."""
        return cls(open_directory(directory))

    @property
    def where(self) -> str:
        """Its directory, or its address in an object store."""
        return self.directory.where

    @property
    def study(self) -> Study:
        """The study as the run was asked it."""
        return self.directory.inputs().study

    @property
    def status(self) -> RunStatus:
        """How far sampling is, also while it goes on elsewhere."""
        beat = read_heartbeat(self.directory)
        return RunStatus(run_status(self.directory), () if beat is None else tuple(heartbeat_lines(beat)))

    @property
    def profiles(self) -> pl.DataFrame:
        """One row per role and condition: role, condition, split, a column per value."""
        return read_scores(self.directory, "profiles")

    @property
    def rates(self) -> pl.DataFrame:
        """How each condition was answered: counts and rates of the states."""
        return read_scores(self.directory, "rates")

    @property
    def reliability(self) -> pl.DataFrame:
        """Cronbach's alpha of every value, or why there is none."""
        return read_scores(self.directory, "reliability")

    @property
    def correlations(self) -> pl.DataFrame:
        """Every pair of values over the baseline roles, with intervals."""
        return read_scores(self.directory, "correlations")

    @property
    def norms(self) -> pl.DataFrame:
        """The roles' means beside the norms of people, in their SD; no rows without norms."""
        return read_scores(self.directory, "norms")

    @property
    def acquiescence(self) -> pl.DataFrame:
        """How much every role says yes whatever is asked."""
        return read_scores(self.directory, "acquiescence")

    @property
    def responses(self) -> pl.DataFrame:
        """Every response with its hex id and the texts of its item and role. `scan_responses` is the same as
        a lazy frame, for runs that memory does not hold."""
        return self.scan_responses().collect()

    def scan_responses(self) -> pl.LazyFrame:
        """`responses` as a lazy frame."""
        return scan_responses(self.directory)

    @property
    def graph(self) -> ValueGraph:
        """The consensus: the pairs that enough replicates join, with a sign and a strength on every edge."""
        return self._graph(GraphChoice.GRAPH)

    @property
    def all_roles(self) -> ValueGraph:
        """What one search on all training roles gives."""
        return self._graph(GraphChoice.ALL_ROLES)

    @property
    def has_graph(self) -> bool:
        """Whether a graph has been made of the run."""
        return StoredDiscovery(self.directory.graph).has(GraphChoice.GRAPH)

    @property
    def averaged(self) -> ValueGraph:
        """The pairs above the threshold that the frequencies give."""
        return self._graph(GraphChoice.AVERAGED)

    def _graph(self, choice: GraphChoice) -> ValueGraph:
        stored = StoredDiscovery.find(self.directory.path)
        table = stored.directory / "edges.parquet"
        frequencies = pl.read_parquet(table) if table.is_file() else None
        title = f"{Path(self.where).name}: {choice.replace('_', ' ')}"
        return ValueGraph(stored.graph(choice), frequencies, title, stored.strengths(choice))

    @property
    def effects(self) -> EffectTables:
        """What steering changed, as the stage `effects` stored it."""
        effects = read_effects(self.directory)
        doses = None if effects is None else read_doses(self.directory)
        return EffectTables(
            effects, doses, reference_role(self.directory), read_between_roles(self.directory)
        )

    def show(self, identifier: str) -> ResponseView:
        """One response in full, by its id or the beginning of it."""
        return ResponseView(response_text(find_response(self.directory, identifier)))

    def find(
        self,
        *,
        state: str | None = None,
        condition: str | None = None,
        role: str | None = None,
        limit: int = 10,
    ) -> ResponseView:
        """The first responses that fit, as the command `show` lists them."""
        return ResponseView(responses_text(find_responses(self.directory, state, condition, role, limit)))

    def score(self, on_step: OnStep | None = None) -> ScoreTables:
        """Score the stored answers again, and store the tables, which `on_step` is told before they are
        checked. RunError where not a single answer counts."""
        tables = ScoreTables(score(self.directory))
        self.directory.publish()
        tell(on_step, tables)
        check_scored(self.directory)
        return tables

    def discover(
        self,
        spec: DiscoverySpec | None = None,
        *,
        jobs: int = CORES,
        ray: str | None = None,
        on_step: OnStep | None = None,
        notify: Callable[[str], None] | None = None,
        **changes: Any,
    ) -> DiscoveryResult:
        """The graph anew from the stored answers, stored in the run; `spec` or single `changes` (alpha=0.01,
        replicates=200, …) replace the study's settings. Scores first where sampling went on since. `notify`
        is told where it may take long."""
        settings = changed_discovery(spec or self.study.discovery, changes)
        if is_partial(self.directory) or not (self.directory.scores / "profiles.parquet").is_file():
            self.score(on_step)
        with site(ray) as where:
            return self.store_graph(settings, where.jobs(jobs), notify)

    def store_graph(
        self, spec: DiscoverySpec, jobs: Jobs, notify: Callable[[str], None] | None = None
    ) -> DiscoveryResult:
        """The graph from the scores as they are, by `spec`; `jobs` as a site gives them."""
        discovery = discover_graph(self.directory, spec, jobs=jobs, notify=notify)
        self.directory.publish()
        return DiscoveryResult(discovery, self.directory.graph, answering_of(self.directory))

    def test_effects(self, graph: Path | str | None = None) -> EffectTables:
        """What steering changed, tested anew against the run's graph, or that of a file, and stored. Where
        the run has no graph, but conditions to test, changes and doses are all there is."""
        study, contrasts = self.study, has_contrasts(self.directory, self.study)
        tested = source = None
        if graph is not None or self.has_graph or not contrasts:
            tested, source = run_graph(self.directory, None if graph is None else Path(graph))
        effects = doses = parts = None
        if contrasts:
            effects = find_effects(self.directory, study.effects, tested, source)
            doses, parts = read_doses(self.directory), read_split_effects(self.directory)
        tables = EffectTables(effects, doses, *compare_roles(self.directory, tested), parts)
        self.directory.publish()
        return tables

    def report(self, **options: Any) -> ReportPage:
        """Write the page, figures and LaTeX tables: options of `write_report`."""
        return write_report(self.directory, **options)

    def charts(self) -> dict[str, alt.TopLevelMixin]:
        """The charts of the report as Altair charts, by their key; graphs are at `graph.figure()`."""
        import altair as alt

        return {chart.key: alt.Chart.from_dict(chart.spec) for chart in report_charts(self.directory)}

    @property
    def text(self) -> str:
        return f"{self.where}\n{self.status.text}"

    def __repr__(self) -> str:
        return f"Run({self.where!r})"

    def _repr_html_(self) -> str:
        parts = [text_html(self.text)]
        with suppress(AxiographError):  # a run that has no graph yet
            parts.append(self.graph._repr_html_())
        return "".join(parts)


def open_run(directory: Path | str) -> Run:
    """The run at a directory or an address (s3://…, gs://…). InputError where there is none."""
    return Run.at(directory)


def scan_responses(run: RunDir) -> pl.LazyFrame:
    """All responses, lazily: `id` (hex), role and its text, condition, item with value, question and keying,
    then the columns of the store (state, reason, text, log_odds, …: see the data dictionary)."""
    inputs = run.inputs()
    names = pl.col("role", "condition", "item_id").cast(pl.String)
    frame = labelled_responses(run).with_columns(
        names, id=pl.col("request_id").cast(pl.Binary).bin.encode("hex")
    )
    frame = frame.join(_roles(inputs).lazy(), on="role", how="left", maintain_order="left")
    frame = frame.join(_items(inputs).lazy(), on="item_id", how="left", maintain_order="left")
    return frame.select(*TEXTS, pl.exclude(*TEXTS, "request_id"))


def _roles(inputs: Inputs) -> pl.DataFrame:
    rows = [(role.name, role.text) for role in inputs.roles]
    return pl.DataFrame(rows, schema={"role": pl.String, "role_text": pl.String}, orient="row")


def _items(inputs: Inputs) -> pl.DataFrame:
    frame = inputs.items_frame().select("item_id", "value", "agreement")
    questions = {item.item_id: item.question for item in inputs.items}
    return frame.with_columns(
        pl.col("item_id", "value").cast(pl.String),
        question=pl.col("item_id").cast(pl.String).replace_strict(questions, return_dtype=pl.String),
    )


def tell(on_step: OnStep | None, step: Shown) -> None:
    """Tell whoever wants to know what a step came to."""
    if on_step is not None:
        on_step(step)

"""From baseline profiles to a causal graph with a frequency on every edge: the stage `discover`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.algorithms.registry import Algorithm, remarks
from axiograph.discovery.algorithms.registry import algorithm as find_algorithm
from axiograph.discovery.graph.export import load_graph
from axiograph.discovery.graph.knowledge import Knowledge, with_design
from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.interventions.findings import InterventionalFindings, find, replicates_of_findings
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.matrix.corrections import MIN_RELIABILITY, Disattenuation, Part, disattenuation
from axiograph.discovery.matrix.em import EmCorrelations
from axiograph.discovery.matrix.pairwise import Pairwise, check_twins
from axiograph.discovery.matrix.profiles import ProfileMatrix, profile_matrix, profiles_digest
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.inputs import SearchInput, constant_columns
from axiograph.discovery.pc.search import LearnedGraph
from axiograph.discovery.resampling.bootstrap import bootstrap
from axiograph.discovery.resampling.replicates import Jobs, Progress, ReplicateTask
from axiograph.discovery.resampling.rows import Resample, Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.discovery.result import CorrectionUse, Discovery, UsedProfiles
from axiograph.discovery.verdict.moments import Moments, moments
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import DiscoverySpec

__all__ = ["Discovery", "discover", "load_graph"]
Notify = Callable[[str], None]
PARTS: dict[str, Part] = {"items": "item", "repeats": "repeat"}
"""The setting `correction` → the parts of a score that it needs."""
_SLOW_SECONDS = 600
_QUICK_SECONDS = 0.02  # of one search: a null of 199 tables then takes seconds


def discover(
    profiles: pl.DataFrame,
    spec: DiscoverySpec = DiscoverySpec(),
    *,
    indicators: pl.DataFrame | None = None,
    parts: pl.DataFrame | None = None,
    experiments: Experiments | None = None,
    jobs: Jobs = 1,
    null_replicates: int | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> Discovery:
    """Learn the graph of the values from `profiles`: the baseline's train roles, one row per role.

    Columns role (and condition, split, which are ignored) and one per value, null where missing: values
    null for more than 20 % of roles are excluded, then roles with a null (or, if `spec.missing` is em or
    pairwise, those without any score; correlations are then those of discovery.matrix.em, or over the roles
    that have both scores); constant values are excluded. `spec`: how, as in a study.

    `indicators`, for `rows: pooled` (DESIGN 11), when profiles has a row per role and condition: column
    condition and a column per steering or hint, a node that nothing causes. Every test still counts the
    roles, not the rows. `parts`, for a `correction`: the items or repeats whose mean a score is, of
    engine.scoring.scores.part_scores: correlations are corrected for measurement error
    (discovery.matrix.corrections), in a replicate by its own reliability. `experiments`, for `rows:
    interventional` (DESIGN 20): what steering and hints did to the same values
    (discovery.interventions.experiments). `null_replicates`: tables with
    permuted columns; None for as many as a p-value wants, fewer where a search is slow. `progress` is called
    with (done, total) replicates; `notify` with a sentence where the work may take longer than ten minutes.

    Raises InputError for profiles or settings that cannot be used, RunError
    where PC fails on all roles (collinear values are named)."""
    check_tables(spec, indicators, parts, experiments)
    matrix = profile_matrix(profiles, keep_gaps=spec.missing != "listwise", indicators=indicators)
    algorithm = find_algorithm(spec.algorithm)
    function = algorithm.function(spec.settings)
    if experiments is not None:
        assert isinstance(function, BestOrder)  # the study's settings let nothing else pass
        function = InterventionalSearch.beside(
            function, experiments, matrix.names, matrix.data, spec.settings.starts
        )
    if null_replicates is None:
        null_replicates = _null_runs(matrix, algorithm)
    if notify is not None:
        _warn(matrix, spec.replicates + 2 * null_replicates, jobs, algorithm, notify)
    more = 0 if experiments is None else replicates_of_findings(experiments, spec.replicates)
    shown = None if progress is None else _Progress(progress, spec.replicates + null_replicates, more)
    if shown is not None:
        shown(0)
    knowledge = with_design(_knowledge(spec, matrix), matrix.values, matrix.indicators)
    table = ScoreTable(
        matrix.data, matrix.names, matrix.groups, matrix.indicators, _correction(matrix, parts, spec)
    )
    whole, correction = _whole(matrix, table, Search(function, spec.alpha, knowledge))
    names = whole.graph.names
    if sum(name in matrix.values for name in names) < 2:
        raise InputError(
            "profiles",
            "two values that vary between roles",
            f"{len(names)} of {len(matrix.values)}",
            "Ask more roles, or items that they answer differently.",
        )
    # What is in no graph of all roles is in none of a replicate: leave it out at once.
    varying = table.within(names)
    search = Search(function, spec.alpha, None if knowledge is None else knowledge.within(names))
    resampling = Resampling(spec.replicates, Resample(spec.resample), spec.seed, null_replicates)
    result = bootstrap(varying, search, resampling, full=whole.graph, jobs=jobs, progress=shown)
    used = moments(varying, matrix.n_roles)
    task = ReplicateTask(varying, search, resampling.resample, resampling.seed)
    return Discovery(
        spec=spec,
        graph=result.edges.consensus(spec.threshold),
        all_roles=whole.graph,
        averaged=result.edges.averaged_network(),
        bootstrap=result,
        moments=used,
        profiles=UsedProfiles(
            n_roles=matrix.n_roles,
            n_rows=len(matrix.data),
            indicators=matrix.indicators,
            excluded=_excluded(matrix, whole, correction),
            dropped_roles=matrix.dropped_roles,
            digest=profiles_digest(profiles),
        ),
        correction=correction,
        borderline=whole.borderline,
        remarks=tuple(remarks(spec.algorithm, spec.settings, matrix.data)),
        interventional=_interventional(task, resampling, used, jobs, shown),
    )


@dataclass(frozen=True)
class _Progress:
    """Of the `first` graphs of the bootstrap, and of `more` behind them."""

    progress: Progress
    first: int
    more: int

    def __call__(self, done: int, total: int | None = None) -> None:
        self.progress(done, self.first + self.more)

    def behind(self, done: int) -> None:
        """So many of the later ones."""
        self(self.first + done)


def _interventional(
    task: ReplicateTask, resampling: Resampling, used: Moments, jobs: Jobs, shown: _Progress | None
) -> InterventionalFindings | None:
    """What experiments say beside the graph; None without them."""
    if not isinstance(task.search.function, InterventionalSearch):
        return None
    table, plain = task.table, task.table.correction is None
    inputs = SearchInput(
        table.data, used.correlation, tuple(table.names), used.n, 0.0, task.search.knowledge, plain
    )
    return find(task, inputs, resampling.replicates, jobs, None if shown is None else shown.behind)


def check_tables(
    spec: DiscoverySpec,
    indicators: pl.DataFrame | None,
    parts: pl.DataFrame | None,
    experiments: Experiments | None = None,
) -> None:
    """InputError where the settings need a table beside the profiles that there is not, or the other way."""
    needed = {
        "rows: pooled": spec.rows == "pooled" and indicators is None,
        "correction": spec.correction != "none" and parts is None,
        "rows: interventional": spec.rows == "interventional" and experiments is None,
    }
    for name, missing in needed.items():
        if missing:
            raise InputError(
                f"discovery setting {name}",
                "a run directory",
                "a table of profiles, which knows neither conditions nor items",
                "Give the directory of the run.",
            )
    for name, table, unused in (
        ("rows", indicators, spec.rows != "pooled"),
        ("correction", parts, spec.correction == "none"),
        ("rows", experiments, spec.rows != "interventional"),
    ):
        if table is not None and unused:
            expected = (
                "pooled beside indicators, interventional beside experiments"
                if name == "rows"
                else "items or repeats beside parts"
            )
            raise InputError(
                f"discovery setting {name}",
                expected,
                f"{getattr(spec, name)}",
                "Leave the table out, or set it.",
            )


def _knowledge(spec: DiscoverySpec, matrix: ProfileMatrix) -> Knowledge | None:
    """Of the values in `matrix`; None where the settings say nothing. InputError for names of no value."""
    told = spec.knowledge
    knowledge = Knowledge(frozenset(told.forbidden), frozenset(told.required), told.tiers)
    if knowledge == Knowledge():
        return None
    knowledge.check([*matrix.values, *matrix.null_values])
    return knowledge.within(matrix.values)


def _correction(
    matrix: ProfileMatrix, parts: pl.DataFrame | None, spec: DiscoverySpec
) -> Disattenuation | Pairwise | EmCorrelations | None:
    if matrix.observed is not None:
        check_twins(matrix.data, matrix.observed, matrix.names)
        of_gaps = EmCorrelations.of if spec.missing == "em" else Pairwise
        return of_gaps(matrix.data, matrix.observed)
    return None if parts is None else disattenuation(matrix, parts, PARTS[spec.correction])


def _whole(
    matrix: ProfileMatrix, table: ScoreTable, search: Search
) -> tuple[LearnedGraph, CorrectionUse | None]:
    """The graph of all roles, and what was corrected for it."""
    everyone = np.arange(len(table.data))
    result, tested, projected = search.run(table, everyone, matrix.n_roles)
    if table.correction is None:
        return result, None
    reliability: dict[str, float | None] = {}
    if isinstance(table.correction, Disattenuation):
        alphas = table.correction.reliability(everyone)[: len(matrix.values)]
        reliability = {
            name: None if np.isnan(alpha) else float(alpha)
            for name, alpha in zip(matrix.values, alphas, strict=True)
        }
    return result, CorrectionUse(projected, tested, reliability)


def _excluded(matrix: ProfileMatrix, whole: LearnedGraph, correction: CorrectionUse | None) -> dict[str, str]:
    constant = constant_columns(matrix.data)
    varying = {name for name, same in zip(matrix.names, constant, strict=True) if not same}
    where = "for every role" if matrix.groups is None else "in every row"
    reasons = {
        name: f"reliability undefined or below {MIN_RELIABILITY:g}"
        if correction is not None and name in varying and name in correction.reliability
        else f"the same {where}"
        for name in whole.constant
    }
    return dict.fromkeys(matrix.null_values, "null for more than 20 % of roles") | reasons


def _null_runs(matrix: ProfileMatrix, algorithm: Algorithm) -> int:
    """A smallest p of 0.005, or of 0.05 where a search takes long."""
    varying = int((~constant_columns(matrix.data)).sum())
    return 199 if algorithm.seconds(varying, len(matrix.data)) < _QUICK_SECONDS else 19


def _warn(matrix: ProfileMatrix, runs: int, jobs: Jobs, algorithm: Algorithm, notify: Notify) -> None:
    """Say so before hours of work."""
    varying = int((~constant_columns(matrix.data)).sum())
    one = algorithm.seconds(varying, len(matrix.data))
    total = one * (1 + runs / max(1, jobs if isinstance(jobs, int) else jobs.size))
    if total > _SLOW_SECONDS:
        notify(
            f"{algorithm.title} on {varying} values: up to {_duration(one)} a run where many values are "
            f"related, up to {_duration(total)} for {runs + 1} runs. Fewer values or replicates are faster."
        )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"

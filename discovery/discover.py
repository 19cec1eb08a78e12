"""From baseline profiles to a causal graph with a frequency on every edge: the stage `discover`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.algorithms.registry import Algorithm, remarks
from axiograph.discovery.algorithms.registry import algorithm as find_algorithm
from axiograph.discovery.graph.ancestors import ancestor_table
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph, write_graph
from axiograph.discovery.graph.figure import draw_graph
from axiograph.discovery.graph.knowledge import Knowledge, with_design
from axiograph.discovery.graph.strengths import edge_strengths
from axiograph.discovery.matrix.corrections import MIN_RELIABILITY, Disattenuation, Part, disattenuation
from axiograph.discovery.matrix.em import EmCorrelations
from axiograph.discovery.matrix.pairwise import Pairwise, check_twins
from axiograph.discovery.matrix.profiles import ProfileMatrix, profile_matrix, profiles_digest
from axiograph.discovery.pc.inputs import constant_columns
from axiograph.discovery.pc.search import LearnedGraph
from axiograph.discovery.resampling.bootstrap import BootstrapResult, bootstrap
from axiograph.discovery.resampling.replicates import Jobs, Progress
from axiograph.discovery.resampling.rows import Resample, Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.discovery.stored import SCHEMA, GraphChoice
from axiograph.discovery.verdict.evidence import GraphEvidence, graph_evidence
from axiograph.discovery.verdict.moments import Moments, moments
from axiograph.engine.errors import InputError
from axiograph.engine.storage.files import write_atomic, write_text
from axiograph.engine.study.schema import DiscoverySpec

__all__ = ["Discovery", "discover", "load_graph"]
Notify = Callable[[str], None]
PARTS: dict[str, Part] = {"items": "item", "repeats": "repeat"}
"""The setting `correction` → the parts of a score that it needs."""
_SLOW_SECONDS = 600
_QUICK_SECONDS = 0.02  # of one search: a null of 199 tables then takes seconds


@dataclass(frozen=True)
class CorrectionUse:
    """What was corrected in the graph of all roles: `projected`: the matrix was not positive definite and was
    made so; `tested_roles`: what tests counted as independent; `reliability`: value → Cronbach's alpha, None
    where it is undefined or too low (empty for EM and pairwise correlations, which correct no error)."""

    projected: bool
    tested_roles: int
    reliability: dict[str, float | None]


@dataclass(frozen=True)
class UsedProfiles:
    """What of the profiles a discovery rests on. `n_rows`: more than `n_roles` where conditions are pooled.
    `indicators`: the nodes that are steering or hints. `excluded`: value → why it is in no graph.
    `dropped_roles`: left out for missing scores. `digest`: of the whole table
    (discovery.matrix.profiles.profiles_digest)."""

    n_roles: int
    n_rows: int
    indicators: tuple[str, ...]
    excluded: dict[str, str]
    dropped_roles: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Discovery:
    """`graph`: the consensus, the pairs adjacent in at least `spec.threshold` of the replicates, pointing as
    most of these do (DESIGN 19). Beside it `all_roles`: the search on all roles, once; `averaged`: the pairs
    above a threshold that the frequencies give (discovery.resampling.frequencies). `bootstrap`: how often
    each edge is in the replicates. `moments`: of the scores, for strengths. `profiles`:
    what it rests on; a value that varies between roles but not within a replicate is not excluded there but
    in `bootstrap.replicates.constant`. `correction`: None where plain correlations were used. `borderline`:
    tests on all roles in which rounding decides (DESIGN 10). `remarks`: what to know of such graphs."""

    spec: DiscoverySpec
    graph: CausalGraph
    all_roles: CausalGraph
    averaged: CausalGraph
    bootstrap: BootstrapResult
    moments: Moments
    profiles: UsedProfiles
    correction: CorrectionUse | None
    borderline: int
    remarks: tuple[str, ...]

    @property
    def method(self) -> str:
        """The algorithm and what decides about an edge in it, for titles."""
        algorithm = find_algorithm(self.spec.algorithm)
        return f"{algorithm.title}, {algorithm.level(self.spec.alpha, self.spec.settings)}"

    def title(self, choice: GraphChoice) -> str:
        """What the graph is, for a figure."""
        roles = f"{self.profiles.n_roles} roles"
        return {
            GraphChoice.GRAPH: f"{self.method}: pairs in {self.spec.threshold:.0%} of replicates, {roles}",
            GraphChoice.ALL_ROLES: f"{self.method}: one search on all {roles}",
            GraphChoice.AVERAGED: f"{self.method}: pairs above the data-driven threshold, {roles}",
        }[choice]

    def strengths(self, graph: CausalGraph) -> pl.DataFrame:
        """Sign and strength of every edge of a graph over the same values
        (discovery.graph.strengths.edge_strengths)."""
        return edge_strengths(graph, self.moments.correlation, self.moments.n)

    def save(self, directory: Path) -> list[Path]:
        """Write the graphs (graph.*, all_roles.*, averaged.*), edges.parquet, ancestors.parquet, figures,
        replicates.npz and discovery.json.

        The edge table is over all pairs, the ancestor table over all ordered pairs; replicates.npz holds
        every replicate's graph (discovery.graph.packed); discovery.json holds settings, exclusions and
        counts. Returns the paths. Raises RunError where the disk is full."""
        table = self.bootstrap.edges.table()
        paths: list[Path] = []
        for choice in GraphChoice:
            graph: CausalGraph = getattr(self, choice)
            strengths = self.strengths(graph)
            paths += write_graph(graph, directory, choice, table, strengths)
            if choice is GraphChoice.AVERAGED:
                continue
            for suffix in ("png", "svg"):
                paths.append(directory / f"{choice}.{suffix}")
                draw_graph(graph, paths[-1], table, self.title(choice), strengths)
        paths += [directory / f"{stem}.parquet" for stem in ("edges", "ancestors")]
        write_atomic(paths[-2], table.write_parquet)
        write_atomic(paths[-1], ancestor_table(self.bootstrap.graphs).write_parquet)
        paths.append(directory / "replicates.npz")
        self.bootstrap.graphs.save(paths[-1])
        paths.append(directory / "discovery.json")
        # Until version 0.1 the consensus had files of its own, which would now be another graph's.
        for stale in directory.glob("consensus.*"):
            stale.unlink()
        write_text(paths[-1], json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n")
        return paths

    def document(self) -> dict[str, Any]:
        """Settings, counts and exclusions, as JSON types."""
        spec, profiles, replicates = self.spec, self.profiles, self.bootstrap.replicates
        return {
            "schema": SCHEMA,
            "profiles": profiles.digest,
            "algorithm": spec.algorithm,
            "settings": spec.settings.model_dump(),
            "remarks": list(self.remarks),
            "alpha": spec.alpha,
            "threshold": spec.threshold,
            "data_driven_threshold": self.bootstrap.edges.data_driven_threshold(),
            "resample": spec.resample,
            "seed": spec.seed,
            "n_roles": profiles.n_roles,
            "n_rows": profiles.n_rows,
            "indicators": list(profiles.indicators),
            "missing_scores": spec.missing,
            "correction": None
            if self.correction is None
            else asdict(self.correction) | {"projected_replicates": replicates.projected},
            "rows_per_replicate": replicates.rows,
            "replicates": {
                "asked": replicates.asked,
                "used": replicates.used,
                "failed": replicates.failed,
            },
            "inflation": asdict(self.bootstrap.inflation),
            "evidence": asdict(self.evidence),
            "excluded_values": profiles.excluded,
            "dropped_roles": list(profiles.dropped_roles),
            "constant_in_replicates": replicates.constant,
            "borderline_tests": {"graph": self.borderline, "replicates": replicates.borderline},
            "cycles": [list(cycle) for cycle in self.graph.cycles()],
        }

    @property
    def evidence(self) -> GraphEvidence:
        """What a verdict on the graph rests on."""
        return graph_evidence(self.bootstrap, self.graph, self.all_roles, self.profiles.n_roles, self.moments)


def discover(
    profiles: pl.DataFrame,
    spec: DiscoverySpec = DiscoverySpec(),
    *,
    indicators: pl.DataFrame | None = None,
    parts: pl.DataFrame | None = None,
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
    (discovery.matrix.corrections), in a replicate by its own reliability. `null_replicates`: tables with
    permuted columns; None for as many as a p-value wants, fewer where a search is slow. `progress` is called
    with (done, total) replicates; `notify` with a sentence where the work may take longer than ten minutes.

    Raises InputError for profiles or settings that cannot be used, RunError
    where PC fails on all roles (collinear values are named)."""
    check_tables(spec, indicators, parts)
    matrix = profile_matrix(profiles, keep_gaps=spec.missing != "listwise", indicators=indicators)
    algorithm = find_algorithm(spec.algorithm)
    function = algorithm.function(spec.settings)
    if null_replicates is None:
        null_replicates = _null_runs(matrix, algorithm)
    if notify is not None:
        _warn(matrix, spec.replicates + 2 * null_replicates, jobs, algorithm, notify)
    if progress is not None:
        progress(0, spec.replicates + null_replicates)
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
    result = bootstrap(
        table.within(names),
        Search(function, spec.alpha, None if knowledge is None else knowledge.within(names)),
        Resampling(spec.replicates, Resample(spec.resample), spec.seed, null_replicates),
        full=whole.graph,
        jobs=jobs,
        progress=progress,
    )
    return Discovery(
        spec=spec,
        graph=result.edges.consensus(spec.threshold),
        all_roles=whole.graph,
        averaged=result.edges.averaged_network(),
        bootstrap=result,
        moments=moments(table.within(names), matrix.n_roles),
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
    )


def check_tables(spec: DiscoverySpec, indicators: pl.DataFrame | None, parts: pl.DataFrame | None) -> None:
    """InputError where the settings need a table beside the profiles that there is not, or the other way."""
    needed = {
        "rows: pooled": spec.rows == "pooled" and indicators is None,
        "correction": spec.correction != "none" and parts is None,
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
    ):
        if table is not None and unused:
            expected = "pooled beside indicators" if name == "rows" else "items or repeats beside parts"
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

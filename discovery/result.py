"""What a discovery leaves: graphs, frequencies, counts, and their files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.algorithms.registry import algorithm as find_algorithm
from axiograph.discovery.graph.ancestors import ancestor_table
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import write_graph
from axiograph.discovery.graph.figure import draw_graph
from axiograph.discovery.graph.strengths import edge_strengths
from axiograph.discovery.interventions.findings import InterventionalFindings, remove_findings
from axiograph.discovery.resampling.bootstrap import BootstrapResult
from axiograph.discovery.stored import SCHEMA, GraphChoice
from axiograph.discovery.verdict.evidence import GraphEvidence, graph_evidence
from axiograph.discovery.verdict.moments import Moments
from axiograph.engine.storage.files import write_atomic, write_text
from axiograph.engine.study.schema import DiscoverySpec


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
    tests on all roles in which rounding decides (DESIGN 10). `remarks`: what to know of such graphs.
    `interventional`: what steering and hints did and what that says, where the graph was made with it
    (DESIGN 20)."""

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
    interventional: InterventionalFindings | None = None

    @property
    def method(self) -> str:
        """The algorithm and what decides about an edge in it, for titles."""
        algorithm = find_algorithm(self.spec.algorithm)
        told = ", with experiments" if self.interventional is not None else ""
        return f"{algorithm.title}{told}, {algorithm.level(self.spec.alpha, self.spec.settings)}"

    @property
    def simulated_as(self) -> str | None:
        """The name under which discovery.verdict.accuracy knows how right such graphs are; None where it does
        not."""
        return simulated_as(self.spec.algorithm, self.spec.rows)

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
        if self.interventional is None:
            remove_findings(directory)  # of an earlier graph
        else:
            paths += self.interventional.save(directory)
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
            "rows": spec.rows,
            "experiments": None if self.interventional is None else self.interventional.document(),
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
        gain = None if self.interventional is None else self.interventional.gain
        roles = self.profiles.n_roles
        return graph_evidence(self.bootstrap, self.graph, self.all_roles, roles, self.moments, gain)


def simulated_as(algorithm: str, rows: str) -> str | None:
    """As `Discovery.simulated_as`."""
    return None if rows == "interventional" else algorithm

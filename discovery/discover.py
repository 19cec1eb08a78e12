"""From baseline profiles to a causal graph with a frequency on every edge: the stage `discover`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.algorithms.registry import Algorithm, AlgorithmSettings, remarks
from axiograph.discovery.algorithms.registry import algorithm as find_algorithm
from axiograph.discovery.graph.ancestors import ancestor_table
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph, write_graph, write_parquet, write_text
from axiograph.discovery.graph.knowledge import Knowledge, with_design
from axiograph.discovery.matrix.corrections import MIN_RELIABILITY, Disattenuation, Part, disattenuation
from axiograph.discovery.matrix.pairwise import Pairwise
from axiograph.discovery.matrix.profiles import ProfileMatrix, profile_matrix, profiles_digest
from axiograph.discovery.pc.search import Engine, PCResult, constant_columns
from axiograph.discovery.resampling.bootstrap import NULL_REPLICATES, BootstrapResult, bootstrap
from axiograph.discovery.resampling.replicates import Jobs, Progress
from axiograph.discovery.resampling.rows import Resample
from axiograph.engine.errors import InputError

__all__ = ["Discovery", "discover", "load_graph"]
Notify = Callable[[str], None]
_SLOW_SECONDS = 600


@dataclass(frozen=True)
class CorrectionUse:
    """What was corrected in the graph of all roles: `projected`: the matrix was not positive definite and was
    made so; `tested_roles`: what tests counted as independent; `reliability`: value → Cronbach's alpha, None
    where it is undefined or too low (empty for pairwise correlations, which correct no error)."""

    projected: bool
    tested_roles: int
    reliability: dict[str, float | None]


@dataclass(frozen=True)
class Discovery:
    """`graph`: PC on all roles. `consensus`: the pairs adjacent in at least `threshold` of the replicates;
    `averaged`: those above a threshold that the frequencies give (discovery.resampling.frequencies).
    `borderline`: tests on all roles in which rounding decides (DESIGN 10).
    `excluded`: value → why it is in neither; a value that varies between roles but not within a replicate
    is in `bootstrap.constant`. `indicators`: the nodes that are steering or hints (pooled rows)."""

    graph: CausalGraph
    consensus: CausalGraph
    averaged: CausalGraph
    bootstrap: BootstrapResult
    excluded: dict[str, str]
    dropped_roles: tuple[str, ...]
    n_roles: int
    n_rows: int
    alpha: float
    threshold: float
    borderline: int = 0
    indicators: tuple[str, ...] = ()
    pairwise: bool = False
    correction: CorrectionUse | None = None
    profiles: str = ""
    """The digest of the profiles it was made from (discovery.matrix.profiles.profiles_digest)."""
    algorithm: str = "pc"
    settings: AlgorithmSettings = field(default_factory=AlgorithmSettings)
    remarks: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The algorithm and what decides about an edge in it, for titles."""
        chosen = find_algorithm(self.algorithm)
        return f"{chosen.title}, {chosen.level(self.alpha, self.settings)}"

    def save(self, directory: Path) -> list[Path]:
        """Write the graphs (graph.*, consensus.*, averaged.*), edges.parquet, ancestors.parquet, figures,
        replicates.npz and discovery.json.

        The edge table is over all pairs, the ancestor table over all ordered pairs; replicates.npz holds
        every replicate's graph (discovery.graph.packed); discovery.json holds settings, exclusions and
        counts. Returns the paths. Raises RunError where the disk is full."""
        from axiograph.discovery.graph.figure import draw_graph

        table = self.bootstrap.edge_table()
        paths = write_graph(self.graph, directory, "graph", table)
        paths += write_graph(self.consensus, directory, "consensus", table)
        paths += write_graph(self.averaged, directory, "averaged", table)
        paths += [directory / f"{stem}.parquet" for stem in ("edges", "ancestors")]
        write_parquet(table, paths[-2])
        write_parquet(ancestor_table(self.bootstrap.graphs), paths[-1])
        paths.append(directory / "replicates.npz")
        self.bootstrap.graphs.save(paths[-1])
        for stem, graph, title in (
            ("graph", self.graph, f"{self.method}, {self.n_roles} roles"),
            ("consensus", self.consensus, f"Pairs adjacent in {self.threshold:.0%} of replicates or more"),
        ):
            for suffix in ("png", "svg"):
                paths.append(directory / f"{stem}.{suffix}")
                draw_graph(graph, paths[-1], table, title)
        paths.append(directory / "discovery.json")
        write_text(paths[-1], json.dumps(self.document(), indent=1, ensure_ascii=False) + "\n")
        return paths

    def document(self) -> dict[str, Any]:
        """Settings, counts and exclusions, as JSON types."""
        found = self.bootstrap
        return {
            "schema": "axiograph-discovery/1",
            "profiles": self.profiles,
            "algorithm": self.algorithm,
            "settings": asdict(self.settings),
            "remarks": list(self.remarks),
            "alpha": self.alpha,
            "threshold": self.threshold,
            "data_driven_threshold": found.data_driven_threshold(),
            "resample": str(found.resample),
            "seed": found.seed,
            "n_roles": self.n_roles,
            "n_rows": self.n_rows,
            "indicators": list(self.indicators),
            "missing_scores": "pairwise" if self.pairwise else "listwise",
            "correction": None
            if self.correction is None
            else asdict(self.correction) | {"projected_replicates": found.projected},
            "rows_per_replicate": found.rows,
            "replicates": {"asked": found.replicates, "used": found.used, "failed": found.failed},
            "inflation": None if found.inflation is None else asdict(found.inflation),
            "excluded_values": self.excluded,
            "dropped_roles": list(self.dropped_roles),
            "constant_in_replicates": found.constant,
            "borderline_tests": {"graph": self.borderline, "replicates": found.borderline},
            "cycles": [list(cycle) for cycle in self.graph.cycles()],
        }


def discover(
    profiles: pl.DataFrame,
    *,
    alpha: float = 0.05,
    replicates: int = 1000,
    resample: Resample | str = Resample.HALF_OF_ROLES,
    seed: int = 0,
    n_jobs: Jobs = 1,
    threshold: float = 0.5,
    null_replicates: int = NULL_REPLICATES,
    progress: Progress | None = None,
    notify: Notify | None = None,
    algorithm: str = "pc",
    settings: AlgorithmSettings | None = None,
    knowledge: Knowledge | None = None,
    pairwise: bool = False,
    indicators: pl.DataFrame | None = None,
    parts: pl.DataFrame | None = None,
    part: Part = "item",
) -> Discovery:
    """Learn the graph of the values from `profiles`: the baseline's train roles, one row per role.

    Columns role (and condition, split, which are ignored) and one per value, null where missing: values
    null for more than 20 % of roles are excluded, then roles with a null (or, if `pairwise`, those without
    any score; correlations are then over the roles that have both); constant values are excluded.
    `progress` is called with (done, total) replicates; `notify` with a sentence where the work may take
    longer than ten minutes. `algorithm`, `settings`: of discovery.algorithms.registry. `knowledge`: forbidden
    and required edges and tiers, for an algorithm that takes them.

    `indicators`: pooled rows, one per role and condition (DESIGN 11): column condition and a column per
    steering or hint, a node that nothing causes. Every test still counts the roles, not the rows.
    `parts`: the items or repeats (`part`) whose mean a score is, of engine.scoring.scores.part_scores:
    correlations are corrected for measurement error (discovery.matrix.corrections), in a replicate by its own
    reliability.

    Raises InputError for profiles or settings that cannot be used, RunError
    where PC fails on all roles (collinear values are named)."""
    matrix = profile_matrix(profiles, pairwise=pairwise, indicators=indicators)
    settings = AlgorithmSettings() if settings is None else settings
    chosen = find_algorithm(algorithm)
    engine = chosen.engine(settings)
    _warn(matrix, replicates + 2 * null_replicates, n_jobs, chosen, notify)
    if not 0 < threshold <= 1:
        raise InputError("threshold", "a share in (0, 1]", f"{threshold}", "0.5 is usual.")
    if knowledge is not None:
        knowledge.check([*matrix.values, *matrix.null_values])
        knowledge = knowledge.within(matrix.values)
    known = with_design(knowledge, matrix.values, matrix.indicators)
    correction = _correction(matrix, parts, part)
    whole, used = _whole(matrix, engine, alpha, known, correction)
    if sum(name in matrix.values for name in whole.graph.names) < 2:
        raise InputError(
            "profiles",
            "two values that vary between roles",
            f"{len(whole.graph.names)} of {len(matrix.values)}",
            "Ask more roles, or items that they answer differently.",
        )
    # What is in no graph of all roles is in none of a replicate: leave it out at once.
    columns = [matrix.names.index(name) for name in whole.graph.names]
    found = bootstrap(
        np.ascontiguousarray(matrix.data[:, columns]),
        whole.graph.names,
        full=whole.graph,
        alpha=alpha,
        replicates=replicates,
        resample=resample,
        seed=seed,
        n_jobs=n_jobs,
        null_replicates=null_replicates,
        progress=progress,
        engine=engine,
        knowledge=None if known is None else known.within(whole.graph.names),
        groups=matrix.groups,
        indicators=[name for name in matrix.indicators if name in whole.graph.names],
        correction=None if correction is None else correction.within(columns),
    )
    return Discovery(
        graph=whole.graph,
        consensus=found.consensus(threshold),
        averaged=found.averaged_network(),
        bootstrap=found,
        excluded=_excluded(matrix, whole, used),
        dropped_roles=matrix.dropped_roles,
        n_roles=matrix.n_roles,
        n_rows=len(matrix.data),
        alpha=alpha,
        threshold=threshold,
        borderline=whole.borderline,
        indicators=matrix.indicators,
        pairwise=pairwise,
        correction=used,
        algorithm=algorithm,
        settings=settings,
        remarks=tuple(remarks(algorithm, settings, matrix.data)),
        profiles=profiles_digest(profiles),
    )


def _correction(
    matrix: ProfileMatrix, parts: pl.DataFrame | None, part: Part
) -> Disattenuation | Pairwise | None:
    if matrix.known is not None and parts is not None:
        raise InputError(
            "discovery",
            "listwise handling of missing scores beside a correction for measurement error",
            "pairwise handling",
            "Choose one of the two: the reliability of a score is that of complete rows.",
        )
    if matrix.known is not None:
        return Pairwise(matrix.data, matrix.known)
    return None if parts is None else disattenuation(matrix, parts, part)


def _whole(
    matrix: ProfileMatrix,
    engine: Engine,
    alpha: float,
    knowledge: Knowledge | None,
    correction: Disattenuation | Pairwise | None,
) -> tuple[PCResult, CorrectionUse | None]:
    """The graph of all roles, and what was corrected for it."""
    given: dict[str, Any] = {} if knowledge is None else {"knowledge": knowledge}
    if matrix.groups is not None:
        given["n"] = matrix.n_roles
    if correction is None:
        return engine(matrix.data, matrix.names, alpha, **given), None
    everyone = np.arange(len(matrix.data))
    corrected = correction.correlation(everyone)
    given |= {"n": corrected.rows(matrix.n_roles), "correlation": corrected.matrix}
    reliability = {}
    if isinstance(correction, Disattenuation):
        found = correction.reliability(everyone)[: len(matrix.values)]
        reliability = {
            name: None if np.isnan(rho) else float(rho)
            for name, rho in zip(matrix.values, found, strict=True)
        }
    used = CorrectionUse(corrected.projected, given["n"], reliability)
    return engine(matrix.data, matrix.names, alpha, **given), used


def _excluded(matrix: ProfileMatrix, whole: PCResult, used: CorrectionUse | None) -> dict[str, str]:
    constant = constant_columns(matrix.data)
    varying = {name for name, same in zip(matrix.names, constant, strict=True) if not same}
    where = "for every role" if matrix.groups is None else "in every row"
    reasons = {
        name: f"reliability undefined or below {MIN_RELIABILITY:g}"
        if used is not None and name in varying and name in used.reliability
        else f"the same {where}"
        for name in whole.constant
    }
    return dict.fromkeys(matrix.null_values, "null for more than 20 % of roles") | reasons


def _warn(
    matrix: ProfileMatrix, runs: int, n_jobs: Jobs, algorithm: Algorithm, notify: Notify | None
) -> None:
    """Say so before hours of work."""
    if notify is None:
        return
    varying = int((~constant_columns(matrix.data)).sum())
    one = algorithm.seconds(varying, len(matrix.data))
    total = one * (1 + runs / max(1, n_jobs if isinstance(n_jobs, int) else n_jobs.size))
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

"""From baseline profiles to a causal graph with a frequency on every edge: the stage `discover`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from discovery.ancestors import ancestor_table
from discovery.bootstrap import NULL_REPLICATES, BootstrapResult, Progress, Resample, bootstrap
from discovery.export import edge_rows, load_graph, write_graph, write_parquet, write_text
from discovery.graph import CausalGraph, EdgeKind, Endpoint
from discovery.knowledge import Knowledge
from discovery.matrix import ProfileMatrix, profile_matrix
from discovery.pc import Engine, constant_columns, pc
from engine.errors import InputError

__all__ = ["Discovery", "discover", "estimated_seconds", "load_graph"]

Notify = Callable[[str], None]

_SLOW_SECONDS = 600
_ARROW = {
    EdgeKind.NONE: "",
    EdgeKind.FORWARD: "→",
    EdgeKind.BACKWARD: "←",
    EdgeKind.UNDIRECTED: "—",
    EdgeKind.BIDIRECTED: "↔",
}


@dataclass(frozen=True)
class Discovery:
    """`graph`: PC on all roles. `consensus`: the pairs adjacent in at least `threshold` of the replicates;
    `averaged`: those above a threshold that the frequencies give (discovery.averaging). `borderline`: tests
    on all roles in which rounding decides (DESIGN 10).
    `excluded`: value → why it is in neither; a value that varies between roles but not within a replicate
    is in `bootstrap.constant`."""

    graph: CausalGraph
    consensus: CausalGraph
    averaged: CausalGraph
    bootstrap: BootstrapResult
    excluded: dict[str, str]
    dropped_roles: tuple[str, ...]
    n_roles: int
    alpha: float
    threshold: float
    borderline: int = 0

    def summary(self) -> str:
        """A text table of the edges of either graph, and what was left out."""
        lines = [_counts_line(self), *_inflation_lines(self.bootstrap), *_borderline_lines(self), ""]
        lines += _edge_lines(self)
        cycles = self.graph.cycles()
        lines += [f"directed cycle (reported, not resolved): {', '.join(cycle)}" for cycle in cycles]
        if self.dropped_roles:
            lines.append(f"roles left out for missing scores: {_listed(self.dropped_roles)}")
        for reason in sorted(set(self.excluded.values())):
            names = [name for name, why in self.excluded.items() if why == reason]
            lines.append(f"values left out ({len(names)}), {reason}: {_listed(names)}")
        failed = self.bootstrap.failed
        lines += [f"replicates failed ({count}): {reason}" for reason, count in failed.items()]
        some = {name: k for name, k in self.bootstrap.constant.items() if name not in self.excluded}
        lines += [f"constant in {count} replicates: {name}" for name, count in some.items()]
        return "\n".join(lines) + "\n"

    def save(self, directory: Path) -> list[Path]:
        """Write the graphs (graph.*, consensus.*, averaged.*), edges.parquet, ancestors.parquet, figures,
        replicates.npz and discovery.json.

        The edge table is over all pairs, the ancestor table over all ordered pairs; replicates.npz holds
        every replicate's graph (discovery.packed); discovery.json holds settings, exclusions and counts.
        Returns the paths. Raises RunError where the disk is full."""
        from discovery.figure import draw_graph

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
            ("graph", self.graph, f"PC on {self.n_roles} roles, alpha {self.alpha:g}"),
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
            "alpha": self.alpha,
            "threshold": self.threshold,
            "data_driven_threshold": found.data_driven_threshold(),
            "resample": str(found.resample),
            "seed": found.seed,
            "n_roles": self.n_roles,
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
    n_jobs: int = 1,
    threshold: float = 0.5,
    null_replicates: int = NULL_REPLICATES,
    progress: Progress | None = None,
    notify: Notify | None = None,
    engine: Engine = pc,
    knowledge: Knowledge | None = None,
) -> Discovery:
    """Learn the graph of the values from `profiles`: the baseline's train roles, one row per role.

    Columns role (and condition, split, which are ignored) and one per value, null where missing: values
    null for more than 20 % of roles are excluded, then roles with a null; constant values are excluded.
    `progress` is called with (done, total) replicates; `notify` with a sentence where the work may take
    longer than ten minutes. `knowledge`: forbidden and required edges and tiers.

    Raises InputError for profiles or settings that cannot be used, RunError
    where PC fails on all roles (collinear values are named)."""
    matrix = profile_matrix(profiles)
    _warn(matrix, replicates + 2 * null_replicates, n_jobs, engine, notify)
    if not 0 < threshold <= 1:
        raise InputError("threshold", "a share in (0, 1]", f"{threshold}", "0.5 is usual.")
    if knowledge is not None:
        knowledge.check(matrix.values)
        whole = engine(matrix.data, matrix.values, alpha, knowledge=knowledge)
    else:
        whole = engine(matrix.data, matrix.values, alpha)
    if len(whole.graph.names) < 2:
        raise InputError(
            "profiles",
            "two values that vary between roles",
            f"{len(whole.graph.names)} of {len(matrix.values)}",
            "Ask more roles, or items that they answer differently.",
        )
    # Values constant over all roles are constant in every replicate: leave them out at once.
    columns = [matrix.values.index(name) for name in whole.graph.names]
    found = bootstrap(
        matrix.data[:, columns],
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
        knowledge=None if knowledge is None else knowledge.within(whole.graph.names),
    )
    return Discovery(
        graph=whole.graph,
        consensus=found.consensus(threshold),
        averaged=found.averaged_network(),
        bootstrap=found,
        excluded=dict.fromkeys(matrix.null_values, "null for more than 20 % of roles")
        | dict.fromkeys(whole.constant, "the same for every role"),
        dropped_roles=matrix.dropped_roles,
        n_roles=len(matrix.data),
        alpha=alpha,
        threshold=threshold,
        borderline=whole.borderline,
    )


def estimated_seconds(n_values: int) -> float:
    """What one run of PC takes on wide, well-correlated data, in seconds of one core.

    From 25, 50, 100, 200 and 296 values of 400 roles: 0.13, 0.8, 6, 48 and 72 ms (benchmarks/results).
    Sparse graphs are faster, many more roles slower; it is a warning, not a promise."""
    return 0.05 * (n_values / 200) ** 2.85


def _warn(matrix: ProfileMatrix, runs: int, n_jobs: int, engine: Engine, notify: Notify | None) -> None:
    if notify is None or engine is not pc:
        return
    varying = int((~constant_columns(matrix.data)).sum())
    one = estimated_seconds(varying)
    total = one * (1 + runs / max(1, n_jobs))
    if total > _SLOW_SECONDS:
        notify(
            f"PC on {varying} values: up to {_duration(one)} a run where many values are related, "
            f"up to {_duration(total)} for {runs + 1} runs. Fewer values or replicates make it shorter."
        )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _counts_line(found: Discovery) -> str:
    b = found.bootstrap
    return (
        f"{found.n_roles} roles, {len(found.graph.names)} values, alpha {found.alpha:g}: "
        f"{found.graph.n_edges} edges; {b.used} of {b.replicates} replicates used "
        f"({b.resample.replace('_', ' ')}, {b.rows} rows), consensus at {found.threshold:g}: "
        f"{found.consensus.n_edges} edges"
    )


def _borderline_lines(found: Discovery) -> list[str]:
    """Said only where there are such tests: they are rare in data that is not nearly collinear."""
    b = found.bootstrap
    if not found.borderline and not b.borderline:
        return []
    return [f"tests that rounding decides: {found.borderline} in all roles, {b.borderline} in the replicates"]


def _inflation_lines(found: BootstrapResult) -> list[str]:
    inflation = found.inflation
    if inflation is None:
        return []
    line = f"edges: {inflation.full} in all roles, {_mean(inflation.replicates)} a replicate"
    if inflation.runs:
        line += (
            f"; columns permuted ({inflation.runs} runs): {_mean(inflation.null_full)} in all roles, "
            f"{_mean(inflation.null_replicates)} a replicate"
        )
    return [line]


def _edge_lines(found: Discovery) -> list[str]:
    """The pairs joined in either graph, the most frequent first, with the edge of each graph."""
    table = found.bootstrap.edge_table()
    joined = found.graph.adjacency() | found.consensus.adjacency()
    either = CausalGraph(found.graph.names, np.where(joined, Endpoint.TAIL, Endpoint.NONE))
    rows = sorted(edge_rows(either, table), key=lambda row: -(row["adjacent"] or 0))
    if not rows:
        return ["no edge in either graph"]
    width = max(len(f"{row['source']} · {row['target']}") for row in rows)
    bounds = {(a, b): f"{_mean(low)}–{_mean(high)}" for a, b, low, high in _bounds(table)}
    lines = [f"{'pair a · b':<{width}}  graph  agreed  adjacent   a→b   a←b   a—b  95 % Monte-Carlo"]
    for row in rows:
        a, b = row["source"], row["target"]
        shares = "".join(f"{_mean(row[name]):>6}" for name in ("forward", "backward", "undirected"))
        lines.append(
            f"{f'{a} · {b}':<{width}}  {_mark(found.graph, a, b):^5}  {_mark(found.consensus, a, b):^6}"
            f"  {_mean(row['adjacent']):>8}{shares}  {bounds[a, b]}"
        )
    return lines


def _bounds(table: pl.DataFrame) -> list[tuple[str, str, float | None, float | None]]:
    return list(table.select("a", "b", "adjacent_mc_low", "adjacent_mc_high").iter_rows())


def _mark(graph: CausalGraph, a: str, b: str) -> str:
    return _ARROW[graph.edge_kind(graph.names.index(a), graph.names.index(b))]


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(name or "(no role)" for name in names)

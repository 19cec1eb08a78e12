"""What the stage `discover` prints: the edges of the graph with their frequencies, and what was left out."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.discovery.discover import Discovery
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import edge_rows
from axiograph.discovery.graph.marks import Endpoint, GraphKind
from axiograph.discovery.resampling.bootstrap import BootstrapResult

_MASSES = {
    "forward": "a→b",
    "backward": "a←b",
    "undirected": "a—b",
    "bidirected": "a↔b",
    "circle_forward": "ao→b",
    "circle_backward": "a←ob",
    "circle_circle": "ao–ob",
    "circle_tail": "ao–b",
    "tail_circle": "a–ob",
}


def discovery_text(discovery: Discovery) -> str:
    """A text table of the edges of either graph, and what was left out."""
    lines = [_counts_line(discovery), *_inflation_lines(discovery.bootstrap), *_correction_lines(discovery)]
    lines += [*_borderline_lines(discovery), *discovery.remarks, "", *_edge_lines(discovery)]
    cycles = discovery.graph.cycles()
    lines += [f"directed cycle (reported, not resolved): {', '.join(cycle)}" for cycle in cycles]
    if discovery.dropped_roles:
        left_out = "with a row left out" if discovery.indicators else "left out"
        why = "without any score" if discovery.pairwise else "for missing scores"
        lines.append(f"roles {left_out} {why}: {_listed(discovery.dropped_roles)}")
    for reason in sorted(set(discovery.excluded.values())):
        names = [name for name, why in discovery.excluded.items() if why == reason]
        lines.append(f"values left out ({len(names)}), {reason}: {_listed(names)}")
    failed = discovery.bootstrap.failed
    lines += [f"replicates failed ({count}): {reason}" for reason, count in failed.items()]
    some = {name: k for name, k in discovery.bootstrap.constant.items() if name not in discovery.excluded}
    why = "constant" if discovery.correction is None else "constant or without reliability"
    lines += [f"{why} in {count} replicates: {name}" for name, count in some.items()]
    return "\n".join(lines) + "\n"


def _counts_line(discovery: Discovery) -> str:
    b = discovery.bootstrap
    rows = (
        ""
        if discovery.n_rows == discovery.n_roles
        else f" ({discovery.n_rows} rows, counted as {discovery.n_roles})"
    )
    marks = f" and {len(discovery.indicators)} indicators" if discovery.indicators else ""
    return (
        f"{discovery.n_roles} roles{rows}, {_values(discovery)} values{marks}, {_level(discovery)}: "
        f"{discovery.graph.n_edges} edges; {b.used} of {b.replicates} replicates used "
        f"({b.resample.replace('_', ' ')}, {b.rows} rows), consensus at {discovery.threshold:g}: "
        f"{discovery.consensus.n_edges} edges"
    )


def _borderline_lines(discovery: Discovery) -> list[str]:
    """Said only where there are such tests: they are rare in data that is not nearly collinear."""
    b = discovery.bootstrap
    if not discovery.borderline and not b.borderline:
        return []
    return [
        f"tests that rounding decides: {discovery.borderline} in all roles, {b.borderline} in the replicates"
    ]


def _correction_lines(discovery: Discovery) -> list[str]:
    used, b = discovery.correction, discovery.bootstrap
    if used is None:
        return []
    projected = f"all roles: {_yes(used.projected)}, replicates: {b.projected} of {b.used}"
    counted = (
        f"tests count {used.tested_roles} of {discovery.n_roles} roles; made positive definite: {projected}"
    )
    if not used.reliability:
        return [f"correlations over the roles that have both scores; {counted}"]
    defined = [rho for rho in used.reliability.values() if rho is not None]
    span = f"{min(defined):.2f} to {max(defined):.2f}"
    return [f"correlations corrected for measurement error, reliability {span}; {counted}"]


def _values(discovery: Discovery) -> int:
    return sum(name not in discovery.indicators for name in discovery.graph.names)


def _level(discovery: Discovery) -> str:
    """PC's alpha, as ever; of any other algorithm its name too."""
    return f"alpha {discovery.alpha:g}" if discovery.algorithm == "pc" else discovery.method


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _inflation_lines(bootstrap: BootstrapResult) -> list[str]:
    inflation = bootstrap.inflation
    if inflation is None:
        return []
    line = f"edges: {inflation.full} in all roles, {_mean(inflation.replicates)} a replicate"
    if inflation.runs:
        line += (
            f"; columns permuted ({inflation.runs} runs): {_mean(inflation.null_full)} in all roles, "
            f"{_mean(inflation.null_replicates)} a replicate"
        )
    return [line]


def _edge_lines(discovery: Discovery) -> list[str]:
    """The pairs joined in either graph, the most frequent first, with the edge of each graph."""
    table = discovery.bootstrap.edge_table()
    joined = discovery.graph.adjacency() | discovery.consensus.adjacency()
    either = CausalGraph(discovery.graph.names, np.where(joined, Endpoint.TAIL, Endpoint.NONE))
    rows = sorted(edge_rows(either, table), key=lambda row: -(row["adjacent"] or 0))
    if not rows:
        return ["no edge in either graph"]
    width = max(len(f"{row['source']} · {row['target']}") for row in rows)
    bounds = {(a, b): f"{_mean(low)}–{_mean(high)}" for a, b, low, high in _bounds(table)}
    masses = {name: head for name, head in _MASSES.items() if name in table.columns}
    if discovery.bootstrap.kind is GraphKind.CPDAG:
        del masses["bidirected"]  # rare there: in edges.parquet
    heads = "".join(f"{head:>6}" for head in masses.values())
    lines = [f"{'pair a · b':<{width}}  graph  agreed  adjacent{heads}  95 % Monte-Carlo"]
    for row in rows:
        a, b = row["source"], row["target"]
        shares = "".join(f"{_mean(row[name]):>6}" for name in masses)
        edge, agreed = (_mark(graph, a, b) for graph in (discovery.graph, discovery.consensus))
        lines.append(
            f"{f'{a} · {b}':<{width}}  {edge:^5}  {agreed:^6}"
            f"  {_mean(row['adjacent']):>8}{shares}  {bounds[a, b]}"
        )
    return lines


def _bounds(table: pl.DataFrame) -> list[tuple[str, str, float | None, float | None]]:
    return list(table.select("a", "b", "adjacent_mc_low", "adjacent_mc_high").iter_rows())


def _mark(graph: CausalGraph, a: str, b: str) -> str:
    return graph.edge_kind(graph.names.index(a), graph.names.index(b)).symbol


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(name or "(no role)" for name in names)

"""What the stage `discover` prints: the edges of the graph with their frequencies, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from axiograph.discovery.discover import Discovery
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import edge_rows
from axiograph.discovery.graph.marks import Endpoint, GraphKind
from axiograph.discovery.matrix.profiles import MUCH_DROPPED
from axiograph.discovery.resampling.bootstrap import Inflation

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

SHOWN_NAMES = 5


def discovery_text(discovery: Discovery) -> str:
    """A text table of the edges of either graph, and what was left out."""
    lines = [
        _counts_line(discovery),
        *_inflation_lines(discovery.bootstrap.inflation),
        *_correction_lines(discovery),
    ]
    lines += [*_borderline_lines(discovery), *discovery.remarks, "", *_edge_lines(discovery)]
    cycles = discovery.graph.cycles()
    lines += [f"directed cycle (reported, not resolved): {', '.join(cycle)}" for cycle in cycles]
    profiles, replicates = discovery.profiles, discovery.bootstrap.replicates
    lines += _dropped_lines(discovery)
    for reason in sorted(set(profiles.excluded.values())):
        names = [name for name, why in profiles.excluded.items() if why == reason]
        lines.append(f"values left out ({len(names)}), {reason}: {_listed(names)}")
    lines += [f"replicates failed ({count}): {reason}" for reason, count in replicates.failed.items()]
    some = {name: k for name, k in replicates.constant.items() if name not in profiles.excluded}
    why = "constant" if discovery.correction is None else "constant or without reliability"
    lines += [f"{why} in {count} replicates: {name}" for name, count in some.items()]
    return "\n".join(lines) + "\n"


def _dropped_lines(discovery: Discovery) -> list[str]:
    """How many roles were left out, with the first names; a warning where it costs much."""
    used, listwise = discovery.profiles, discovery.spec.missing == "listwise"
    if not used.dropped_roles:
        return []
    left_out = "with a row left out" if used.indicators else "left out"
    why = "for missing scores" if listwise else "without any score"
    count = len(used.dropped_roles)
    lines = [f"roles {left_out} {why} ({count}): {_first(used.dropped_roles)}"]
    everyone = used.n_roles if used.indicators else used.n_roles + count
    if listwise and count > MUCH_DROPPED * everyone:
        lines.append(
            f"Warning: `missing: listwise` costs {count} of {everyone} roles, and the rest may be others "
            "than those left out; `missing: em` uses every score that is there."
        )
    return lines


def _first(names: Sequence[str]) -> str:
    shown = [name or "(no role)" for name in names[:SHOWN_NAMES]]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _counts_line(discovery: Discovery) -> str:
    spec, used, replicates = discovery.spec, discovery.profiles, discovery.bootstrap.replicates
    rows = "" if used.n_rows == used.n_roles else f" ({used.n_rows} rows, counted as {used.n_roles})"
    marks = f" and {len(used.indicators)} indicators" if used.indicators else ""
    return (
        f"{used.n_roles} roles{rows}, {_values(discovery)} values{marks}, {_level(discovery)}: "
        f"{discovery.graph.n_edges} edges; {replicates.used} of {replicates.asked} replicates used "
        f"({spec.resample.replace('_', ' ')}, {replicates.rows} rows), consensus at {spec.threshold:g}: "
        f"{discovery.consensus.n_edges} edges"
    )


def _borderline_lines(discovery: Discovery) -> list[str]:
    """Said only where there are such tests: they are rare in data that is not nearly collinear."""
    graph, replicates = discovery.borderline, discovery.bootstrap.replicates.borderline
    if not graph and not replicates:
        return []
    return [f"tests that rounding decides: {graph} in all roles, {replicates} in the replicates"]


def _correction_lines(discovery: Discovery) -> list[str]:
    used, replicates = discovery.correction, discovery.bootstrap.replicates
    if used is None:
        return []
    if discovery.spec.missing == "em" and not used.reliability:
        return [
            "missing scores: correlations by EM from all scores that there are; tests count "
            f"{used.tested_roles} of {discovery.profiles.n_roles} roles"
        ]
    projected = f"all roles: {_yes(used.projected)}, replicates: {replicates.projected} of {replicates.used}"
    roles = f"{used.tested_roles} of {discovery.profiles.n_roles} roles"
    counted = f"tests count {roles}; made positive definite: {projected}"
    if not used.reliability:
        return [f"correlations over the roles that have both scores; {counted}"]
    defined = [rho for rho in used.reliability.values() if rho is not None]
    span = f"{min(defined):.2f} to {max(defined):.2f}"
    return [f"correlations corrected for measurement error, reliability {span}; {counted}"]


def _values(discovery: Discovery) -> int:
    return sum(name not in discovery.profiles.indicators for name in discovery.graph.names)


def _level(discovery: Discovery) -> str:
    """PC's alpha, as ever; of any other algorithm its name too."""
    return f"alpha {discovery.spec.alpha:g}" if discovery.spec.algorithm == "pc" else discovery.method


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _inflation_lines(inflation: Inflation) -> list[str]:
    line = f"edges: {inflation.full} in all roles, {_mean(inflation.replicates)} a replicate"
    if inflation.runs:
        line += (
            f"; columns permuted ({inflation.runs} runs): {_mean(inflation.null_full)} in all roles, "
            f"{_mean(inflation.null_replicates)} a replicate"
        )
    return [line]


def _edge_lines(discovery: Discovery) -> list[str]:
    """The pairs joined in either graph, the most frequent first, with the edge of each graph."""
    table = discovery.bootstrap.edges.table()
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

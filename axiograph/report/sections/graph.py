"""The value graph with its frequencies, and the table of its pairs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import with_kinds
from axiograph.discovery.graph.figure import draw_graph
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.discovery.matrix.profiles import MUCH_DROPPED
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.graph_view import Ancestry, GraphView, Pairs, discovery_pairs, view_of
from axiograph.report.blocks.numbers import count, number
from axiograph.report.blocks.section import Facts, Listing, Note, Section, Text
from axiograph.report.blocks.table import Column, Table

TITLES = {
    "frequency": "the graph, by frequency",
    "graph": "the graph as saved",
    "all_roles": "one search on all roles",
    "averaged": "above the data-driven threshold",
}
_STRENGTHS = {
    "coefficient": "of an arrow: standard deviations by which the effect rises with one of the cause, its "
    "other causes held fixed",
    "partial r": "correlation of the two given the other causes of the effect, without a direction of both",
}


def graph_section(artefacts: Artefacts) -> Section:
    """The graph, what it rests on, and what was left out of it."""
    section = Section("graph", "Causal value graph")
    stored = artefacts.discovery
    if stored is None:
        section.add(Note(f"No graph here yet: run `axiograph discover {artefacts.where}`."))
        return section
    graph, table = stored.graph(), _edge_table(stored)
    section.add(Text(_how_to_read(stored)), _view(stored, graph, table), Facts(_facts(stored, graph)))
    section.add(*_warnings(stored, graph))
    return section


def edge_section(artefacts: Artefacts) -> Section:
    """Every pair of values with its frequencies."""
    section = Section("edges", "Edge table")
    table = None if artefacts.discovery is None else _edge_table(artefacts.discovery)
    if artefacts.discovery is None or table is None:
        section.add(Note("No edge frequencies: they come with the replicates of `axiograph discover`."))
        return section
    section.add(edge_table(artefacts.discovery, table))
    return section


def edge_table(stored: StoredDiscovery, table: pl.DataFrame) -> Table:
    """A row per pair, the most frequent first; strengths and frequencies with their intervals."""
    whole = stored.graph(GraphChoice.ALL_ROLES) if stored.has(GraphChoice.ALL_ROLES) else None
    strengths = stored.strengths()
    with_marks = with_kinds(table, stored.graph(), strengths)
    other = with_marks["graph_edge"] if whole is None else with_kinds(table, whole)["graph_edge"]
    ordered = with_marks.with_columns(other=other).sort(
        "adjacent", descending=True, nulls_last=True, maintain_order=True
    )
    masses = {"adjacent": "adjacent", "forward": "a→b", "backward": "a←b", "undirected": "a—b"}
    shown = [name for name in masses if name in table.columns]
    rows = [
        [
            row["a"],
            row["b"],
            _symbol(row["graph_edge"]),
            *([] if whole is None else [_symbol(row["other"])]),
            *([] if strengths is None else [_strength(row, name) for name in _STRENGTHS]),
            *([row[name], row[f"{name}_mc_low"], row[f"{name}_mc_high"]] for name in shown),
            row["replicates"],
        ]
        for row in ordered.iter_rows(named=True)
    ]
    columns = [
        Column("value a"),
        Column("value b"),
        Column("graph", note="the edge in the graph: pairs in enough of the replicates"),
    ]
    if whole is not None:
        columns.append(Column("all roles", note="the edge that one search on all roles gives"))
    if strengths is not None:
        columns += [Column(name, "estimate", 2, signed=True, note=note) for name, note in _STRENGTHS.items()]
    columns += [Column(masses[name], "estimate", 2) for name in shown]
    columns.append(Column("replicates", "count", note="in which both values varied and PC found a graph"))
    caption = (
        "All pairs of values. Frequencies over the replicates, with the 95 % interval of their "
        "Monte-Carlo error: what more replicates of the same roles would give, no statement about other "
        "roles. Strengths of the graph's edges with 95 % intervals over roles, the graph taken as known."
    )
    return Table("edges", caption, tuple(columns), rows, keys=2)


def _symbol(kind: str | None) -> str:
    return "" if kind is None else EdgeKind(kind).symbol


def _edge_table(stored: StoredDiscovery) -> pl.DataFrame | None:
    path = stored.directory / "edges.parquet"
    return pl.read_parquet(path) if path.is_file() else None


def _strength(row: dict[str, Any], name: str) -> list[float | None]:
    key = name.removesuffix(" r")
    return [row[key], row[f"{key}_low"], row[f"{key}_high"]]


def _how_to_read(stored: StoredDiscovery) -> str:
    head = (
        "An arrow points from a value to one that it acts on directly; a line without arrowhead is "
        "an edge whose direction the answers do not settle."
    )
    if stored.counts is None:
        return head
    return (
        f"{head} Width and opacity are the share of replicates in which the pair is joined at all. "
        "The strength of either "
        "arrowhead is the share of these that point this way, and the more orange the line, the "
        "more leave it undirected. "
        "Frequencies are not probabilities of truth: how often an edge of a given frequency is "
        "real depends on the number "
        "of roles (axiograph calibrate)."
    )


def _view(stored: StoredDiscovery, graph: CausalGraph, table: pl.DataFrame | None) -> GraphView:
    title = "Causal value graph"
    payload = view_of(graph)
    caption = f"{graph.n_edges} edges between {len(graph.names)} values."
    if table is not None:
        pairs = discovery_pairs(stored, graph.names, table)
        ancestors = stored.directory / "ancestors.parquet"
        ancestry = Ancestry.of(pl.read_parquet(ancestors) if ancestors.is_file() else None, graph.names)
        payload |= {"pairs": pairs.rows, "ancestors": ancestry.rows, **_slider(stored, pairs)}
        caption = _caption(stored, graph, pairs)
    return GraphView(
        key="graph",
        caption=caption,
        alt=f"Causal graph of {len(graph.names)} values; the edge table below holds the same in words.",
        payload=payload,
        draw=partial(_draw, graph, table, title, stored.strengths()),
    )


def _draw(
    graph: CausalGraph, table: pl.DataFrame | None, title: str, strengths: pl.DataFrame | None, path: Path
) -> None:
    draw_graph(graph, path, table, title, strengths)


def _slider(stored: StoredDiscovery, pairs: Pairs) -> dict[str, Any]:
    choices = [{"key": key, "name": TITLES[key]} for key in TITLES if any(key in row for row in pairs.rows)]
    threshold = max(stored.settings.get("threshold", 0.5), pairs.least)
    return {"choices": choices, "least": round(pairs.least, 2), "threshold": threshold}


def _caption(stored: StoredDiscovery, graph: CausalGraph, pairs: Pairs) -> str:
    settings = stored.settings
    used = settings.get("replicates", {}).get("used")
    left = f" {count(pairs.left_out)} rarer pairs are in the edge table only." if pairs.left_out else ""
    return (
        f"{graph.n_edges} edges between {len(graph.names)} values; frequencies over "
        f"{count(used)} replicates.{left}"
    )


def _facts(stored: StoredDiscovery, graph: CausalGraph) -> list[tuple[str, str]]:
    about = stored.settings
    if not about:
        return [("Edges", f"{graph.n_edges}")]
    rows = [
        (
            "Algorithm",
            f"{about['algorithm']}, alpha {about['alpha']:g}, {about['missing_scores']} handling "
            "of missing scores",
        ),
        ("Roles", count(about["n_roles"]) + _rows(about)),
        ("Values in the graph", f"{len(graph.names)}"),
        ("Edges", _edges(stored, graph)),
        ("Replicates", _replicates(about)),
        (
            "In the graph",
            f"pairs in {about['threshold'] * 100:.0f} % of the replicates or more; data-driven threshold "
            f"{number(about['data_driven_threshold'])}",
        ),
    ]
    inflation = about.get("inflation")
    if inflation:
        rows.append(("Edges made by chance", _inflation(inflation)))
    border = about.get("borderline_tests", {})
    rows.append(
        (
            "Tests that rounding decides",
            f"{border.get('graph', 0)} in all roles, {border.get('replicates', 0)} in the replicates",
        )
    )
    return rows


def _edges(stored: StoredDiscovery, graph: CausalGraph) -> str:
    text = f"{graph.n_edges}, {int(graph.directed_mask().sum())} with a direction"
    if stored.has(GraphChoice.ALL_ROLES):
        text += f"; one search on all roles: {stored.graph(GraphChoice.ALL_ROLES).n_edges}"
    return text


def _rows(about: dict[str, Any]) -> str:
    return (
        "" if about["n_rows"] == about["n_roles"] else f" ({count(about['n_rows'])} rows, counted as roles)"
    )


def _replicates(about: dict[str, Any]) -> str:
    replicates = about["replicates"]
    failed = sum(replicates["failed"].values())
    how = about["resample"].replace("_", " ")
    return (
        f"{count(replicates['used'])} of {count(replicates['asked'])} used, {failed} failed; {how}, "
        f"{count(about['rows_per_replicate'])} rows each, seed {about['seed']}"
    )


def _inflation(inflation: dict[str, Any]) -> str:
    if not inflation["runs"]:
        return "not measured"
    return (
        f"with every column permuted {number(inflation['null_full'], 1)} in all roles and "
        f"{number(inflation['null_replicates'], 1)} "
        f"a replicate (means of {inflation['runs']} runs, {inflation['failed']} failed), "
        f"against {inflation['full']} and "
        f"{number(inflation['replicates'], 1)} in the answers"
    )


def _warnings(stored: StoredDiscovery, graph: CausalGraph) -> list[Note | Listing]:
    about = stored.settings
    notes: list[Note | Listing] = [
        Note(f"Directed cycle (reported, not resolved): {', '.join(cycle)}.", "warning")
        for cycle in graph.cycles()
    ]
    failed = about.get("replicates", {}).get("failed", {})
    notes += [Note(f"{number} replicates failed: {reason}.", "warning") for reason, number in failed.items()]
    if about.get("excluded_values"):
        lines = [f"{name}: {why}" for name, why in about["excluded_values"].items()]
        notes.append(Listing(f"{len(lines)} values left out of the graph", lines))
    if about.get("dropped_roles"):
        lines = [name or "(no role)" for name in about["dropped_roles"]]
        notes.append(Listing(f"{len(lines)} roles left out for missing scores", lines))
        everyone = about["n_roles"] + len(lines)
        if about.get("missing_scores") == "listwise" and len(lines) > MUCH_DROPPED * everyone:
            costs = f"Listwise deletion costs {len(lines)} of {everyone} roles; `missing: em` keeps them."
            notes.append(Note(costs, "warning"))
    constant = {
        k: v for k, v in about.get("constant_in_replicates", {}).items() if k not in about["excluded_values"]
    }
    if constant:
        notes.append(
            Listing(
                f"{len(constant)} values do not vary in some replicates",
                [f"{k}: in {v} replicates" for k, v in constant.items()],
            )
        )
    notes += [Note(text, "warning") for text in about.get("remarks", [])]
    return notes

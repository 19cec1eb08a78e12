"""A replication of the paper: its reduced graph, Tables 1 and 2, the comparison of steering with prompts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.cluster.stages.reference import both_ways_undirected
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.figure import draw_graph
from axiograph.report.artefacts import Artefacts, StoredReplication, read_json
from axiograph.report.blocks.chart import BLUE, VERMILLION, Chart
from axiograph.report.blocks.graph_view import GraphView, view_of
from axiograph.report.blocks.section import Block, Heading, Listing, Note, Section, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.sections.sign_counts import counted_blocks
from axiograph.report.sections.steering_comparison import MethodCounts, method_blocks

_SOURCES = {"prompt": "roles", "sae": "SAE features"}
_GRAPHS = {"ours": "own graph", "refs": "reference graph"}


def replication_section(artefacts: Artefacts) -> Section | None:
    """None where `artefacts` are not those of a replication."""
    if artefacts.replication is None:
        return None
    stored, section = artefacts.replication, Section("paper", "The paper's tables, replicated")
    section.add(
        Text(
            "The paper's own procedure: rows of all conditions pooled, an undirected edge as both "
            "directions, any change counts. It has no intervals; axiograph's own analysis of a "
            "run has."
        )
    )
    section.add(_agreement(stored), *_graphs(stored))
    section.add(Heading("Table 1: what steering did to every value"), *_table1(stored))
    section.add(Heading("Table 2: expected and unexpected change"), *_table2(stored))
    section.add(Heading("Steering against the hard prompt"), *_steering(stored))
    return section


def _agreement(stored: StoredReplication) -> Table:
    rows = [
        [a["name"], a["equal"], a["total"], a["max_difference"], "; ".join(a["differences"])]
        for a in stored.document["artefacts"]
    ]
    columns = (
        Column("published"),
        Column("cells equal", "count"),
        Column("of", "count"),
        Column("largest difference", "number", 3),
        Column("differences"),
    )
    return Table("agreement-with-paper", "Every published cell against the replicated one.", columns, rows)


def _graphs(stored: StoredReplication) -> list[Block]:
    reduced = both_ways_undirected(stored.values, stored.document["reduced_edges"])
    caption = (
        f"The graph after transitive reduction: {len(stored.document['reduced_edges'])} directed "
        f"edges (of the {stored.graph.n_edges} of the pooled graph). A line without arrowhead is an "
        "edge in both directions."
    )
    draw = partial(_draw, reduced)
    return [
        GraphView(
            "reduced-graph", caption, "The paper's graph after transitive reduction.", view_of(reduced), draw
        )
    ]


def _draw(graph: CausalGraph, path: Path) -> None:
    draw_graph(graph, path, title="After transitive reduction")


def _table1(stored: StoredReplication) -> list[Block]:
    if not stored.table("table1"):
        return [Note("table1.csv is missing: run `axiograph replicate` again.")]
    counts, similarity = stored.signs()
    return counted_blocks(counts, similarity, stored.values)


def _table2(stored: StoredReplication) -> list[Block]:
    cells = stored.table("table2")
    if not cells:
        return [Note("table2.csv is missing: run `axiograph replicate` again.")]
    rows: list[list[Any]] = []
    bars: list[tuple[Any, ...]] = []
    for name, row in cells.items():
        source, graph, kind = name.rsplit("__", 1)[-1].split("_")
        numbers = [float(row[value]) if row[value] else None for value in stored.values]
        filled = [n for n in numbers if n is not None]
        mean = sum(filled) / len(filled) if filled else None
        rows.append([_SOURCES[source], _GRAPHS[graph], kind, mean, *numbers])
        bars += [
            (f"{_SOURCES[source]}, {_GRAPHS[graph]}", kind, value, n)
            for value, n in zip(stored.values, numbers, strict=True)
            if n is not None
        ]
        bars += [(f"{_SOURCES[source]}, {_GRAPHS[graph]}", kind, "mean", mean)] if filled else []
    columns = (
        Column("changes between"),
        Column("graph"),
        Column("others"),
        Column("mean", "number", 2, note="over the values that have a cell"),
        *(Column(value, "number", 2) for value in stored.values),
    )
    table = Table(
        "table2",
        "How often expected and unexpected values changed when a value did (the paper's Table 2). "
        "An empty cell in the paper: nothing to average.",
        columns,
        rows,
        keys=4,
    )
    return [_table2_chart(bars, stored.values), table]


def _table2_chart(bars: list[tuple[Any, ...]], values: list[str]) -> Chart:
    import altair as alt

    data = pl.DataFrame(
        bars,
        schema={"source": pl.String, "others": pl.String, "value": pl.String, "share": pl.Float64},
        orient="row",
    )
    colour = alt.Color(
        "others:N",
        title="other values",
        scale=alt.Scale(domain=["expected", "unexpected"], range=[BLUE, VERMILLION]),
        legend=alt.Legend(orient="top"),
    )
    chart = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("value:N", sort=[*values, "mean"], title=None, axis=alt.Axis(labelAngle=-50)),
            xOffset="others:N",
            y=alt.Y("share:Q", title="share that changed", scale=alt.Scale(domain=[0, 1])),
            color=colour,
            tooltip=["source:N", "value:N", "others:N", alt.Tooltip("share:Q", format=".3f")],
        )
        .properties(width=430, height=130)
        .facet(facet=alt.Facet("source:N", title=None), columns=2)
        .resolve_axis(x="independent")
    )
    return Chart.of(
        "expected-unexpected",
        "Expected against unexpected change, by roles and by SAE features, for the model's own "
        "graph and the reference graph. A missing bar: nothing to average.",
        "Bars of expected and unexpected change per value; the table below holds the numbers.",
        chart,
    )


def _steering(stored: StoredReplication) -> list[Block]:
    path = stored.path / "steering_comparison.json"
    if not path.is_file():
        return [
            Note(
                "No comparison: it needs expected_steering_comparison.json, compare_positive.csv "
                "and compare_negative.csv beside the answers."
            )
        ]
    names = {
        "sae": "SAE feature",
        "hard_prompt": "hard prompt",
        "positive": "to raise",
        "negative": "to lower",
    }
    counts = [
        MethodCounts(
            names.get(side, side), names.get(method, method), (pairs["up"], pairs["down"], pairs["same"])
        )
        for side, methods in read_json(path).items()
        for method, pairs in methods.items()
    ]
    caption = "The chosen SAE feature against the hard prompt, on the same roles."
    return [*method_blocks(counts, caption), *_notes(stored)]


def _notes(stored: StoredReplication) -> list[Block]:
    notes = stored.document["notes"]
    return [Listing(f"{len(notes)} notes of the replication", notes)] if notes else []

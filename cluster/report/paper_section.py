"""A replication of the paper: its reduced graph, Tables 1 and 2, the comparison of steering with prompts."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from cluster.report.artefacts import Artefacts, StoredReplication, read_json
from cluster.report.chart import BLUE, VERMILLION, Chart
from cluster.report.graph_view import GraphView, view_of
from cluster.report.reference import both_ways_undirected
from cluster.report.section import Block, Heading, Listing, Note, Section, Text
from cluster.report.sign_blocks import STATE_COLOURS, sign_chart
from cluster.report.table import Column, Table
from discovery.figure import draw_graph
from discovery.graph import CausalGraph

_SOURCES = {"prompt": "roles", "sae": "SAE features"}
_GRAPHS = {"ours": "own graph", "refs": "reference graph"}


def paper_section(found: Artefacts) -> Section | None:
    """None where `found` is no replication."""
    if found.replication is None:
        return None
    stored, section = found.replication, Section("paper", "The paper's tables, replicated")
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
    cells = _read(stored.path / "table1.csv")
    if not cells:
        return [Note("table1.csv is missing: run `axiograph replicate` again.")]
    rows, bars = [], []
    for feature, row in cells.items():
        for k, part in enumerate(("training roles", "test roles")):
            rows.append(
                [
                    feature,
                    part,
                    *("/".join(row[value].split("/")[3 * k : 3 * k + 3]) for value in stored.values),
                ]
            )
        for value in stored.values:
            bars += _bars(f"feature {feature}", value, row[value].split("/"))
    schema = {
        "condition": pl.String,
        "value": pl.String,
        "part": pl.String,
        "state": pl.String,
        "roles": pl.Int64,
        "share": pl.Float64,
    }
    data = pl.DataFrame(bars, schema=schema, orient="row")
    columns = (Column("feature"), Column("roles"), *(Column(value) for value in stored.values))
    table = Table(
        "table1",
        "Raised/lowered/unchanged: how many roles, by SAE feature and value (the paper's Table 1).",
        columns,
        rows,
    )
    return [
        sign_chart("table1-bars", data, stored.values, [f"feature {feature}" for feature in cells]),
        table,
        _similarity(cells, stored.values),
    ]


def _bars(condition: str, value: str, texts: list[str]) -> list[tuple[Any, ...]]:
    found = []
    for part, numbers in (("training roles", texts[:3]), ("test roles", texts[3:])):
        up, down, same = map(int, numbers)
        total = up + down + same
        found += [
            (condition, value, part, s, n, n / total if total else None)
            for s, n in (("raised", up), ("unchanged", same), ("lowered", down))
        ]
    return found


def _similarity(cells: dict[str, dict[str, str]], values: list[str]) -> Table:
    import numpy as np

    rows = []
    for feature, row in cells.items():
        alike = []
        for value in values:
            numbers = np.array([float(n) for n in row[value].split("/")])
            one, other = numbers[:3], numbers[3:]
            length = float(np.sqrt((one @ one) * (other @ other)))
            alike.append(float(one @ other) / length if length else None)
        known = [a for a in alike if a is not None]
        rows.append(
            [feature, sum(known) / len(known) if known else None, min(known, default=None), len(known)]
        )
    columns = (
        Column("feature"),
        Column("mean similarity", "number", 3),
        Column("least similar value", "number", 3),
        Column("values", "count"),
    )
    return Table(
        "similarity",
        "Similarity of training and test roles: the cosine of the two triples of counts, mean over values.",
        columns,
        rows,
    )


def _table2(stored: StoredReplication) -> list[Block]:
    cells = _read(stored.path / "table2.csv")
    if not cells:
        return [Note("table2.csv is missing: run `axiograph replicate` again.")]
    rows: list[list[Any]] = []
    bars: list[tuple[Any, ...]] = []
    for name, row in cells.items():
        source, graph, kind = name.rsplit("__", 1)[-1].split("_")
        numbers = [float(row[value]) if row[value] else None for value in stored.values]
        known = [n for n in numbers if n is not None]
        mean = sum(known) / len(known) if known else None
        rows.append([_SOURCES[source], _GRAPHS[graph], kind, mean, *numbers])
        bars += [
            (f"{_SOURCES[source]}, {_GRAPHS[graph]}", kind, value, n)
            for value, n in zip(stored.values, numbers, strict=True)
            if n is not None
        ]
        bars += [(f"{_SOURCES[source]}, {_GRAPHS[graph]}", kind, "mean", mean)] if known else []
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
    rows, bars = [], []
    for side, ways in read_json(path).items():
        for way, counts in ways.items():
            total = sum(counts.values())
            rows.append(
                [
                    names.get(side, side),
                    names.get(way, way),
                    counts["up"],
                    counts["down"],
                    counts["same"],
                    total,
                ]
            )
            states = (("raised", counts["up"]), ("unchanged", counts["same"]), ("lowered", counts["down"]))
            bars += [
                (names.get(side, side), names.get(way, way), state, n, n / total if total else None)
                for state, n in states
            ]
    columns = (
        Column("aim"),
        Column("way"),
        Column("up", "count"),
        Column("down", "count"),
        Column("same", "count"),
        Column("pairs", "count"),
    )
    table = Table(
        "steering-comparison",
        "How many (role, value) pairs went up, down or stayed, under the chosen SAE feature and "
        "under the hard prompt.",
        columns,
        rows,
    )
    return [_steering_chart(bars), table, *_notes(stored)]


def _steering_chart(bars: list[tuple[Any, ...]]) -> Chart:
    import altair as alt

    data = pl.DataFrame(
        bars,
        schema={
            "aim": pl.String,
            "way": pl.String,
            "state": pl.String,
            "pairs": pl.Int64,
            "share": pl.Float64,
        },
        orient="row",
    )
    states = list(STATE_COLOURS)
    chart = (
        alt.Chart(data)
        .transform_calculate(place="indexof(['raised','unchanged','lowered'], datum.state)")
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of (role, value) pairs", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("way:N", title=None),
            color=alt.Color(
                "state:N",
                title=None,
                scale=alt.Scale(domain=states, range=list(STATE_COLOURS.values())),
                legend=alt.Legend(orient="top"),
            ),
            order="place:Q",
            tooltip=["aim:N", "way:N", "state:N", "pairs:Q", alt.Tooltip("share:Q", format=".2f")],
        )
        .properties(width=460, height=alt.Step(28))
        .facet(row=alt.Row("aim:N", title=None, sort=["to raise", "to lower"]))
    )
    return Chart.of(
        "steering-against-prompt",
        "Up, unchanged, down: SAE steering against the hard prompt, on the same roles.",
        "Stacked bars; the table below holds the counts.",
        chart,
    )


def _notes(stored: StoredReplication) -> list[Block]:
    notes = stored.document["notes"]
    return [Listing(f"{len(notes)} notes of the replication", notes)] if notes else []


def _read(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}

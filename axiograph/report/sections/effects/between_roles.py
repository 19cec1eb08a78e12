"""The paper's contrast between roles: where a value differs from the reference role, which others differ
too."""

from __future__ import annotations

import polars as pl

from axiograph.cluster.stages.reference import REFERENCE
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import RELATION_COLOURS, Chart
from axiograph.report.blocks.section import Block, Note, Text
from axiograph.report.blocks.table import Column, Table

RELATIONS = tuple(RELATION_COLOURS)
_ROW = 24


def role_blocks(artefacts: Artefacts) -> list[Block]:
    """The chart and the table of `between_roles`, against the own and the reference graph."""
    tables = {
        name: artefacts.effects("between_roles", against)
        for name, against in (("own graph", None), ("reference graph", REFERENCE))
    }
    parts = [table.with_columns(graph=pl.lit(name)) for name, table in tables.items() if table is not None]
    if not parts and artefacts.effects("changes") is not None:
        return [Note("No contrast between roles: it sorts values by their relation in a graph.")]
    if not parts:
        return [
            Note(
                f"No contrast between roles: `axiograph effects {artefacts.where}` makes it."
                if artefacts.run
                else "No contrast between roles: it needs the directory of a run."
            )
        ]
    data = pl.concat(parts)
    text = (
        "Every role is compared with the first one (or with no role); any difference counts, as in "
        "the paper: there is no test here. Intervals are over the other roles."
    )
    return [Text(text), role_chart(data), _table(data), table2(data)]


def role_chart(data: pl.DataFrame) -> Chart:
    """Expected, possible and unexpected shares per value with intervals."""
    import altair as alt

    rows = data.drop_nulls("share")
    values = data["value"].unique(maintain_order=True).to_list()
    base = alt.Chart(rows).encode(
        y=alt.Y("value:N", sort=values, title=None),
        color=alt.Color(
            "relation:N",
            title="others",
            scale=alt.Scale(domain=list(RELATIONS), range=list(RELATION_COLOURS.values())),
            legend=alt.Legend(orient="top"),
        ),
    )
    offset = alt.YOffset("relation:N", sort=list(RELATIONS))
    whisker = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="share of the others that differ too", scale=alt.Scale(domain=[0, 1])),
        x2="high:Q",
        yOffset=offset,
    )
    points = base.mark_point(filled=True, size=50, opacity=1).encode(
        x="share:Q",
        yOffset=offset,
        shape=alt.Shape(
            "relation:N",
            title="others",
            scale=alt.Scale(domain=list(RELATIONS), range=["circle", "square", "triangle-up"]),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=[
            "value:N",
            "relation:N",
            "graph:N",
            alt.Tooltip("share:Q", format=".2f"),
            alt.Tooltip("low:Q", format=".2f"),
            alt.Tooltip("high:Q", format=".2f"),
            "n:Q",
            "roles:Q",
        ],
    )
    layered = (whisker + points).properties(width=330, height=alt.Step(_ROW / 3, **{"for": "offset"}))
    chart = layered.facet(
        facet=alt.Facet("graph:N", title=None, sort=["own graph", "reference graph"]), columns=2
    )
    caption = (
        "Between roles: when a value differs from the reference role, how often others differ "
        "too, by their relation to it."
    )
    return Chart.of(
        "between-roles",
        caption,
        "Points with intervals per value and relation; the table below holds the numbers.",
        chart,
    )


def _table(data: pl.DataFrame) -> Table:
    rows = [
        [
            r["graph"],
            r["value"],
            r["relation"],
            r["roles"],
            r["n"],
            (r["share"], r["low"], r["high"]),
            r["reason"],
        ]
        for r in data.iter_rows(named=True)
    ]
    columns = (
        Column("graph"),
        Column("value"),
        Column("relation of the others"),
        Column("roles", "count", note="in which the value differs"),
        Column("others", "count"),
        Column("share", "estimate", 2),
        Column("why none"),
    )
    return Table(
        "between-roles",
        "Between roles: of the roles in which a value differs from the reference role, the share "
        "in which others differ too.",
        columns,
        rows,
        keys=3,
    )


def table2(data: pl.DataFrame) -> Table:
    """The rows 'by roles' of the paper's Table 2: a column per value."""
    values = data["value"].unique(maintain_order=True).to_list()
    cells = {(r["graph"], r["relation"], r["value"]): r["share"] for r in data.iter_rows(named=True)}
    keys = list(dict.fromkeys((graph, relation) for graph, relation, _ in cells))
    rows = [
        [graph, relation, *(cells.get((graph, relation, value)) for value in values)]
        for graph, relation in keys
    ]
    columns = (Column("graph"), Column("relation"), *(Column(value, "number", 2) for value in values))
    return Table(
        "table2",
        "The same with a column per value (the rows by roles of the paper's Table 2); intervals "
        "are in the table above.",
        columns,
        rows,
        keys=2,
    )

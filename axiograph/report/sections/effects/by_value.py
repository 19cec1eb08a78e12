"""Side effects by the value that changed."""

from __future__ import annotations

import polars as pl

from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import RELATION_COLOURS, Chart
from axiograph.report.blocks.section import Block, Note
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import BY, RELATIONS, in_order, relation_shape, shown_ends, size_ends


def target_blocks(artefacts: Artefacts, graphs: dict[str, str | None]) -> list[Block]:
    """A chart for one condition at a time, and the table of all."""
    parts = []
    for name, against in graphs.items():
        table = artefacts.effects("responses", against)
        if table is not None:
            parts.append(table.with_columns(graph=pl.lit(name)))
    data = pl.concat(parts)
    if data.is_empty():
        return [Note("No value changed, by the test: nothing to sort by relation.")]
    order = in_order(artefacts, data["condition"].unique())
    index = {condition: k for k, condition in enumerate(order)}
    position = pl.col("condition").replace_strict(index, default=len(order), return_dtype=pl.Int64)
    data = data.sort(position, maintain_order=True).with_columns(
        **shown_ends("share"),
        **size_ends(),
        source=pl.col("graph") + pl.lit(", ") + pl.col("weights").replace_strict(BY, return_dtype=pl.String),
    )
    return [_target_chart(data, order), _target_table(data)]


def _target_chart(data: pl.DataFrame, order: list[str]) -> Chart:
    import altair as alt

    rows = data.drop_nulls("share").select(
        "condition", "value", "relation", "source", "share", "shown_low", "shown_high", "n"
    )
    chosen = alt.param(
        name="chosen_condition", value=order[0], bind=alt.binding_select(options=order, name="Condition ")
    )
    base = (
        alt.Chart(rows)
        .transform_filter("datum.condition === chosen_condition")
        .encode(y=alt.Y("value:N", title=None))
    )
    offset = alt.YOffset("relation:N", sort=list(RELATIONS))
    colour = alt.Color(
        "relation:N",
        title="others",
        scale=alt.Scale(domain=list(RELATIONS), range=list(RELATION_COLOURS.values())),
        legend=alt.Legend(orient="top"),
    )
    whisker = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("shown_low:Q", title="share of the others that changed too", scale=alt.Scale(domain=[0, 1])),
        x2="shown_high:Q",
        color=colour,
        yOffset=offset,
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x="share:Q",
        color=colour,
        shape=relation_shape(alt),
        yOffset=offset,
        tooltip=[
            "condition:N",
            "value:N",
            "relation:N",
            "source:N",
            alt.Tooltip("share:Q", format=".2f"),
            alt.Tooltip("shown_low:Q", title="low", format=".2f"),
            alt.Tooltip("shown_high:Q", title="high", format=".2f"),
            "n:Q",
        ],
    )
    layered = (whisker + points).properties(width=330, height=alt.Step(15, **{"for": "offset"}))
    chart = layered.facet(
        facet=alt.Facet("source:N", title=None, sort=rows["source"].unique(maintain_order=True).to_list()),
        columns=2,
    ).add_params(chosen)
    caption = (
        "For every value that the chosen condition changed: the share of the others that "
        "changed too, by their relation to it."
    )
    return Chart.of(
        "side-effects-by-value",
        caption,
        "Points with intervals for every changed value of the chosen condition; the table below holds all.",
        chart,
        static=False,
    )


def _target_table(data: pl.DataFrame) -> Table:
    rows = [
        [
            r["condition"],
            r["value"],
            r["source"],
            r["relation"],
            r["n"],
            (r["share"], r["shown_low"], r["shown_high"]),
            (r["size"], r["size_shown_low"], r["size_shown_high"]),
            r["uncounted"],
            r["reason"],
        ]
        for r in data.iter_rows(named=True)
    ]
    columns = (
        Column("condition"),
        Column("changed value"),
        Column("graph and weights"),
        Column("relation of the others"),
        Column("others", "count"),
        Column("share", "estimate", 2),
        Column("size", "estimate", 3),
        Column("uncounted", "count", note="others that are in no replicate together with the value"),
        Column("why none"),
    )
    return Table(
        "responses",
        "Every value that changed under a condition: what the others did, by their relation to it.",
        columns,
        rows,
        keys=4,
    )

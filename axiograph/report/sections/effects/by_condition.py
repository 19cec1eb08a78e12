"""Side effects by condition: expected − unexpected beside random graphs."""

from __future__ import annotations

import polars as pl

from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import RELATION_COLOURS, Chart
from axiograph.report.blocks.numbers import count
from axiograph.report.blocks.section import Block, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import BY, RELATIONS, condition_kinds, in_order, pooled

TOGETHER = "all conditions"
SCOPES = (TOGETHER, "condition")


def condition_blocks(artefacts: Artefacts, graphs: dict[str, str | None]) -> list[Block]:
    """The chart, the table, and what the control is."""
    kinds = condition_kinds(artefacts)
    parts = []
    for name, against in graphs.items():
        table = artefacts.effects("contrasts", against)
        if table is not None:
            parts.append(table.with_columns(graph=pl.lit(name)))
    data = (
        pl.concat(parts)
        .filter(pl.col("scope").is_in(SCOPES) & (pl.col("measure") == "share"))
        .with_columns(pl.col("condition").fill_null(TOGETHER))
    )
    order = [TOGETHER, *in_order(artefacts, data["condition"].unique())]
    shares = pl.concat(pooled(artefacts, graphs, scope) for scope in SCOPES)
    blocks: list[Block] = [
        _contrast_chart(data, order, kinds),
        _contrast_table(data, shares.with_columns(pl.col("condition").fill_null(TOGETHER)), order, kinds),
    ]
    about = artefacts.effects_settings()
    how = {
        "relabelled": "the same graph with its names shuffled",
        "uniform": "as many edges, placed at random",
    }.get(about.get("control", ""), "random graphs")
    blocks.append(
        Text(
            f"Control: {count(about.get('control_graphs'))} random graphs, {how}; the grey bars "
            "are the range of 95 % of them. p is one-sided: the share of them that differ at "
            "least as much; BH-adjusted over conditions."
        )
    )
    return blocks


def _contrast_chart(data: pl.DataFrame, order: list[str], kinds: dict[str, str]) -> Chart:
    import altair as alt

    wide = pl.col("weights") == "replicates"
    rows = (
        data.drop_nulls("difference")
        .with_columns(
            source=pl.col("graph")
            + pl.lit(", ")
            + pl.col("weights").replace_strict(BY, return_dtype=pl.String),
            shown_low=pl.when(wide).then("graphs_low").otherwise("low"),
            shown_high=pl.when(wide).then("graphs_high").otherwise("high"),
            kind=pl.col("condition").replace_strict(kinds, default="together", return_dtype=pl.String),
        )
        .select(
            "condition",
            "source",
            "kind",
            "difference",
            "shown_low",
            "shown_high",
            "control_low",
            "control_high",
            "control_mean",
            "p_adjusted",
        )
    )
    base = alt.Chart(rows).encode(y=alt.Y("condition:N", sort=order, title=None))
    tip = [
        "condition:N",
        "kind:N",
        "source:N",
        *(
            alt.Tooltip(f"{name}:Q", format="+.3f")
            for name in (
                "difference",
                "shown_low",
                "shown_high",
                "control_mean",
                "control_low",
                "control_high",
            )
        ),
        alt.Tooltip("p_adjusted:Q", title="p (BH)", format=".4f"),
    ]
    control = base.mark_bar(color="#9aa0a6", opacity=0.5, height={"band": 0.75}).encode(
        x=alt.X("control_low:Q", title="expected − unexpected (share of others that changed)"),
        x2="control_high:Q",
    )
    ruler = base.mark_rule(strokeWidth=2, color=RELATION_COLOURS["expected"]).encode(
        x="shown_low:Q", x2="shown_high:Q"
    )
    points = base.mark_point(filled=True, size=60, opacity=1, color=RELATION_COLOURS["expected"]).encode(
        x="difference:Q",
        shape=alt.Shape(
            "kind:N",
            title="condition",
            legend=alt.Legend(orient="top") if rows["kind"].n_unique() > 1 else None,
        ),
        tooltip=tip,
    )
    zero = alt.Chart(rows).mark_rule(color="#888888", strokeDash=[3, 3]).encode(x=alt.datum(0))
    layered = alt.layer(control, zero, ruler, points).properties(width=330, height=alt.Step(19))
    chart = layered.facet(
        facet=alt.Facet("source:N", title=None, sort=rows["source"].unique(maintain_order=True).to_list()),
        columns=2,
    )
    caption = (
        "Expected − unexpected, of all conditions together and of each: above 0, changes follow the graph. "
        "Blue: found, with its interval; grey: 95 % of the random graphs."
    )
    return Chart.of(
        "expected-unexpected",
        caption,
        "Points with intervals per condition beside the range of the random graphs; the table "
        "below holds the numbers.",
        chart,
    )


def _contrast_table(
    contrasts: pl.DataFrame, pooled: pl.DataFrame, order: list[str], kinds: dict[str, str]
) -> Table:
    shares = {
        (r["graph"], r["weights"], r["condition"], r["relation"]): r for r in pooled.iter_rows(named=True)
    }
    position = {name: k for k, name in enumerate(order)}
    rows = []
    for r in sorted(
        contrasts.iter_rows(named=True),
        key=lambda r: (position.get(r["condition"], len(position)), r["graph"], r["weights"] == "graph"),
    ):
        three = [shares.get((r["graph"], r["weights"], r["condition"], relation)) for relation in RELATIONS]
        low, high = ("graphs_low", "graphs_high") if r["weights"] == "replicates" else ("low", "high")
        rows.append(
            [
                r["condition"],
                kinds.get(r["condition"], ""),
                f"{r['graph']}, {BY[r['weights']]}",
                *(
                    (None, None, None) if s is None else (s["share"], s["shown_low"], s["shown_high"])
                    for s in three
                ),
                (r["difference"], r[low], r[high]),
                (r["control_mean"], r["control_low"], r["control_high"]),
                r["p"],
                r["p_adjusted"],
                r["reason"],
            ]
        )
    columns = (
        Column("condition"),
        Column("kind"),
        Column("graph and weights"),
        *(Column(relation, "estimate", 2) for relation in RELATIONS),
        Column("expected − unexpected", "estimate", 2, signed=True),
        Column("random graphs", "estimate", 2, signed=True, note="mean and range of 95 % of them"),
        Column("p", "number", 4),
        Column("p (BH)", "number", 4),
        Column("why none"),
    )
    return Table(
        "contrasts",
        "By condition: the share of other values that changed too, by relation, and their "
        "difference beside that of random graphs.",
        columns,
        rows,
        keys=3,
    )

"""The paper's Table 1: roles raised, lowered and unchanged, as bars and as a table."""

from __future__ import annotations

from typing import Any

import polars as pl

from axiograph.engine.study.split import TEST, TRAIN
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import BLUE, ORANGE, Chart
from axiograph.report.blocks.section import Block, Note, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import in_order

BARS_UP_TO = 40  # values; a bar for each would not be readable, the table has them
STATES = ("raised", "unchanged", "lowered")
PARTS = {TRAIN: "training roles", TEST: "test roles"}
STATE_COLOURS = {"raised": BLUE, "unchanged": "#d4d7da", "lowered": ORANGE}


def sign_blocks(artefacts: Artefacts) -> list[Block]:
    """Bars, the similarity of training and test roles, and the counts."""
    counts = artefacts.effects("sign_counts")
    if counts is None:
        return [
            Note(
                f"No counts of raised and lowered roles: run `axiograph effects {artefacts.where}` "
                "again (they come with steered conditions)."
            )
        ]
    values = counts["value"].unique(maintain_order=True).to_list()
    order = in_order(artefacts, counts["condition"].unique())
    return [
        Text("Any difference counts here, as in the paper's Table 1: there is no test."),
        *sign_bars(counts, values, order),
        _similarity(counts, artefacts.effects("sign_similarity"), order),
        table1(counts, values, order),
    ]


def counted_blocks(counts: pl.DataFrame, similarity: pl.DataFrame, values: list[str]) -> list[Block]:
    """Bars, counts and similarity of a replication, whose order is that of `counts`."""
    order = counts["condition"].unique(maintain_order=True).to_list()
    return [
        *sign_bars(counts, values, order),
        table1(counts, values, order),
        _similarity(counts, similarity, order),
    ]


def sign_bars(counts: pl.DataFrame, values: list[str], order: list[str]) -> list[Block]:
    """The chart where its bars can be read, words where not, nothing without counts."""
    data = sign_rows(counts)
    if data.is_empty():
        return []
    if len(values) > BARS_UP_TO:
        return [Text(f"{len(values)} values are too many for bars; the table has them.")]
    return [sign_chart("table1-bars", data, values, order)]


def sign_rows(counts: pl.DataFrame) -> pl.DataFrame:
    """condition, value, part, state, roles, share: a row per bar of `sign_chart`."""
    rows = []
    for row in counts.iter_rows(named=True):
        for part, label in PARTS.items():
            numbers = [row[f"{part}_{state}"] for state in STATES]
            if any(number is None for number in numbers):
                continue
            total = sum(numbers)
            rows += [
                (row["condition"], row["value"], label, s, n, n / total if total else None)
                for s, n in zip(STATES, numbers, strict=True)
            ]
    schema = {
        "condition": pl.String,
        "value": pl.String,
        "part": pl.String,
        "state": pl.String,
        "roles": pl.Int64,
        "share": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def sign_chart(key: str, data: pl.DataFrame, values: list[str], order: list[str]) -> Chart:
    """Cells of the paper's Table 1 as bars: a column per value, a row per condition and part."""
    import altair as alt

    parts = data["part"].unique(maintain_order=True).to_list()
    panels = [
        _sign_panel(data.filter(pl.col("part") == part), part, values, order, first=k == 0)
        for k, part in enumerate(parts)
    ]
    caption = (
        "Shares of roles whose score a condition raised, left unchanged or lowered against "
        f"their own unsteered score ({', '.join(parts)})."
    )
    words = "Stacked bars, a row per condition and a column per value; the table below holds the counts."
    return Chart.of(key, caption, words, alt.vconcat(*panels, spacing=14))


def _sign_panel(data: pl.DataFrame, part: str, values: list[str], order: list[str], *, first: bool) -> Any:
    """Cells side by side on one axis, whose labels are the values: a panel for each would be slow to draw."""
    import altair as alt

    # The names are data of the chart, never part of an expression.
    names = alt.param(name=f"names_{'first' if first else 'second'}", value=values)
    cells = _in_cells(data, values)
    axis = alt.Axis(
        values=[k + 0.5 for k in range(len(values))],
        labelExpr=f"{names.name}[floor(datum.value)]",
        labelAngle=-50,
        labelOverlap=False,
        orient="top",
        ticks=False,
        domain=False,
        labels=first,
    )
    scale = alt.Scale(domain=[0, len(values)], nice=False)
    legend = alt.Legend(orient="bottom")
    colours = alt.Scale(domain=list(STATES), range=[STATE_COLOURS[s] for s in STATES])
    tip = ["condition:N", "value:N", "part:N", "state:N", "roles:Q", alt.Tooltip("share:Q", format=".2f")]
    return (
        alt.Chart(cells)
        .mark_bar(height={"band": 0.82})
        .encode(
            x=alt.X("start:Q", scale=scale, axis=axis, title=None),
            x2="end:Q",
            y=alt.Y("condition:N", sort=order, title=part),
            color=alt.Color("state:N", title="score", scale=colours, legend=legend),
            tooltip=tip,
        )
        .properties(width=38 * len(values), height=alt.Step(17))
        .add_params(names)
    )


def _in_cells(data: pl.DataFrame, values: list[str]) -> pl.DataFrame:
    """With start and end of every bar: cell k lies between k and k + 1."""
    position = pl.col("value").replace_strict({v: k for k, v in enumerate(values)}, return_dtype=pl.Float64)
    before = pl.col("share").cum_sum().over("condition", "value") - pl.col("share")
    start = position + 0.05 + 0.9 * before
    return data.drop_nulls("share").with_columns(start=start, end=start + 0.9 * pl.col("share"))


def _similarity(counts: pl.DataFrame, similarity: pl.DataFrame | None, order: list[str]) -> Block:
    if similarity is None or similarity["similarity"].is_null().all():
        return Note(
            "No similarity of training and test roles: the conditions were asked of one of the two only. "
            "'steer_roles: all' in the study asks both."
        )
    least = dict(counts.group_by("condition").agg(pl.col("similarity").min()).iter_rows())
    by_condition = {row["condition"]: row for row in similarity.iter_rows(named=True)}
    rows = [
        [c, row["similarity"], row["mean_similarity"], least[c], row["values"]]
        for c in order
        if (row := by_condition.get(c)) is not None
    ]
    columns = (
        Column("condition"),
        Column("similarity", "number", 3),
        Column("mean over values", "number", 3),
        Column("least similar value", "number", 3),
        Column("values", "count"),
    )
    caption = (
        "Similarity of training and test roles: the cosine of their counts (raised, lowered, "
        "unchanged), of all values joined, "
        "as the mean over values (the paper's Mean Similarity) and of the value where it is least. A "
        "description: it has no interval."
    )
    return Table("similarity", caption, columns, rows)


def table1(counts: pl.DataFrame, values: list[str], order: list[str]) -> Table:
    """The paper's Table 1: raised/lowered/unchanged, of training and of test roles."""
    cells = {(row["condition"], row["value"]): row for row in counts.iter_rows(named=True)}
    rows = []
    for condition in order:
        for part, label in PARTS.items():
            texts = [_triple(cells.get((condition, value)), part) for value in values]
            if any(texts):
                rows.append([condition, label, *texts])
    columns = (Column("condition"), Column("roles"), *(Column(value) for value in values))
    return Table(
        "table1",
        "Raised/lowered/unchanged: how many roles, by condition and value (the paper's Table 1).",
        columns,
        rows,
        keys=2,
    )


def _triple(row: dict[str, Any] | None, part: str) -> str:
    if row is None or row[f"{part}_raised"] is None:
        return ""
    return "/".join(str(row[f"{part}_{state}"]) for state in ("raised", "lowered", "unchanged"))

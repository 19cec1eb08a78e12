"""Where a strength breaks the answers: refusals, unparsed answers, length over strength; the safe range."""

from __future__ import annotations

from typing import Any

import polars as pl

from axiograph.cluster.stages.quality import ALL, TOKENS
from axiograph.engine.answers.parsing import UNFINISHED
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import ORANGE, PURPLE, VERMILLION, Chart
from axiograph.report.blocks.numbers import number
from axiograph.report.blocks.section import Block, Note
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import choice, condition_kinds, effect_split, only

_LEAST_SHARE = 0.1  # the axis of shares goes at least so far, so that a few refusals do not look like many


def reading_chart(artefacts: Artefacts, doses: pl.DataFrame) -> Chart:
    """Refused and unparsed shares and the length of answers over strength, a row of panels per sweep."""
    import altair as alt

    table = artefacts.quality("answering").filter(pl.col("split") == (effect_split(artefacts) or ALL))
    thoughts = (table.filter(pl.col("measure") == UNFINISHED)["mean"] > 0).any()
    states = ["refused", "unparsed", *([UNFINISHED] if thoughts else [])]
    table = table.filter(pl.col("measure").is_in([*states, TOKENS]))
    data = (
        doses.select("sweep", "strength", "condition")
        .join(table.drop("split"), on="condition")
        .sort("sweep", "measure", "strength")
    )
    panels = [
        _reading_panel(
            data.filter(pl.col("measure") != TOKENS),
            "share of answers",
            states,
            [VERMILLION, PURPLE, ORANGE][: len(states)],
            _LEAST_SHARE,
        )
    ]
    if (data["measure"] == TOKENS).any():
        panels.append(
            _reading_panel(
                data.filter(pl.col("measure") == TOKENS), "new tokens an answer", [TOKENS], [ORANGE], 1.0
            )
        )
    chosen = choice(alt, "sweep", doses["sweep"].unique(maintain_order=True).to_list(), "Steered direction ")
    chart = (
        alt.hconcat(*[only(panel, [chosen]) for panel in panels], spacing=40)
        .resolve_scale(color="independent", strokeDash="independent")
        .add_params(chosen)
    )
    length = (
        "and the mean length of answers"
        if len(panels) > 1
        else "(answers were scored by log-odds: they have no length)"
    )
    caption = (
        f"Where a strength breaks the model: shares of refused and unparsed answers {length}, each with its "
        "interval over roles (means over roles, strength 0 is the baseline on the same roles)."
    )
    return Chart.of(
        "dose-reading", caption, "Lines of refusals, unparsed answers and answer length over strength.", chart
    )


def _reading_panel(data: pl.DataFrame, title: str, names: list[str], colours: list[str], least: float) -> Any:
    """From 0 to `least` or, where that is more, what the data need: the same for every sweep."""
    import altair as alt

    legend = alt.Legend(orient="top", symbolOpacity=1) if len(names) > 1 else None
    colour = alt.Color("measure:N", title=None, scale=alt.Scale(domain=names, range=colours), legend=legend)
    most = float(data.select(pl.max_horizontal(pl.col("mean", "high").max()).fill_null(0.0)).item())
    scale = alt.Scale(domain=[0, max(most, least)], nice=most > least)
    base = alt.Chart(data).encode(x=alt.X("strength:Q", title="strength"), color=colour)
    tip = [
        "sweep:N",
        "strength:Q",
        "measure:N",
        alt.Tooltip("mean:Q", format=".3f"),
        alt.Tooltip("low:Q", format=".3f"),
        alt.Tooltip("high:Q", format=".3f"),
        "roles:Q",
    ]
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y="mean:Q")
    if len(names) > 1:
        dashes = alt.Scale(domain=names, range=[[1, 0], [5, 3]])
        line = line.encode(strokeDash=alt.StrokeDash("measure:N", title=None, scale=dashes, legend=legend))
    points = base.mark_point(filled=True, opacity=1, size=34).encode(y="mean:Q", tooltip=tip)
    return alt.layer(band, line, points).properties(width=360, height=190)


def limit_blocks(artefacts: Artefacts) -> list[Block]:
    """The stated safe range of every sweep, and what it rests on."""
    table = artefacts.effects("limits")
    if table is None or table.is_empty():
        return [Note("No stated safe range: it comes with sweeps of two or more strengths.")]
    margin = table["margin"][0]
    rows = [
        [
            r["sweep"],
            r["side"].replace("-", "−"),
            _end(r["holds_to"], "none"),
            _end(r["breaks_from"], "none broke"),
            r["unit"],
        ]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("steered direction"),
        Column("side"),
        Column("safe up to"),
        Column("breaks from"),
        Column("unit"),
    )
    caption = (
        "The stated safe range: a strength holds where the interval of the rise in refused or "
        f"unparsed answers lies below {number(margin)}, "
        "and breaks where it lies above; in between nothing is settled. The largest strength up "
        "to which every one holds, and the smallest that breaks."
    )
    rates = artefacts.effects("unreadable")
    order = {name: k for k, name in enumerate(condition_kinds(artefacts))}
    blocks: list[Block] = [Table("safe-range", caption, columns, rows)]
    return [*blocks, *([] if rates is None else [_unreadable(rates, order)])]


def _unreadable(table: pl.DataFrame, order: dict[str, int]) -> Table:
    rows = [
        [
            r["condition"],
            r["roles"],
            r["answers"],
            r["refused"],
            r["unparsed"],
            r["share"],
            r["baseline_share"],
            (r["rise"], r["low"], r["high"]),
            r["state"],
        ]
        for r in sorted(table.iter_rows(named=True), key=lambda r: order.get(r["condition"], len(order)))
    ]
    columns = (
        Column("condition"),
        Column("roles", "count"),
        Column("answers", "count"),
        Column("refused", "count"),
        Column("unparsed", "count"),
        Column("share", "number", 3),
        Column("baseline", "number", 3),
        Column("rise", "estimate", 3, signed=True),
        Column("state"),
    )
    return Table(
        "unreadable",
        "Refused or unparsed answers by condition: share of answers, and the paired rise over the "
        "baseline with its interval over roles.",
        columns,
        rows,
    )


def _end(value: float | None, none: str) -> str:
    return none if value is None else f"{value:+g}".replace("-", "−")

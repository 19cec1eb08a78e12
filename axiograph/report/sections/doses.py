"""Dose and response: scores over strength, their spread over roles, and their trends."""

from __future__ import annotations

import polars as pl

from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import BLUE, Chart
from axiograph.report.blocks.section import Block, Note, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import choice, only
from axiograph.report.sections.breakdown import limit_blocks, reading_chart

PANELS_UP_TO = 24  # values; more are chosen one at a time


def dose_blocks(artefacts: Artefacts) -> list[Block]:
    """Curves, breakdown and trends of every sweep of strengths."""
    doses, response = artefacts.effects("doses"), artefacts.effects("dose_response")
    if doses is None or response is None or doses.is_empty():
        return [
            Note(
                "No sweep over strengths: two or more strengths of one operation under 'steering' "
                "in the study file, then `axiograph effects`, would fill this part."
            )
        ]
    blocks: list[Block] = [_curves(response, artefacts.role_spread(doses)), reading_chart(artefacts, doses)]
    return [*blocks, *limit_blocks(artefacts), *_trends(artefacts)]


def _curves(response: pl.DataFrame, spread: pl.DataFrame) -> Chart:
    import altair as alt

    columns = [
        "sweep",
        "strength",
        "value",
        "difference",
        "low",
        "high",
        "changed",
        "pairs",
        "spread_low",
        "spread_high",
    ]
    data = (
        response.join(spread, on=["condition", "value"], how="left")
        .select(columns)
        .sort("sweep", "value", "strength")
    )
    values = response["value"].unique(maintain_order=True).to_list()
    choices = [
        choice(alt, "sweep", response["sweep"].unique(maintain_order=True).to_list(), "Steered direction ")
    ]
    many = len(values) > PANELS_UP_TO
    if many:
        choices.append(choice(alt, "value", values, "Value "))
    base = alt.Chart(data).encode(x=alt.X("strength:Q", title="strength"))
    for chosen in choices:
        base = base.add_params(chosen)
    layers = [
        alt.Chart(data).mark_rule(color="#888888", strokeDash=[3, 3]).encode(y=alt.datum(0)),
        base.mark_rule(color=BLUE, opacity=0.45, strokeWidth=5).encode(
            y=alt.Y("spread_low:Q"), y2="spread_high:Q"
        ),
        base.mark_area(color=BLUE, opacity=0.25).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=2).encode(
            y=alt.Y("difference:Q", title="difference to the baseline")
        ),
        base.mark_point(color=BLUE, filled=True, opacity=1, size=34).encode(
            y="difference:Q",
            tooltip=[
                "sweep:N",
                "value:N",
                "strength:Q",
                alt.Tooltip("difference:Q", format="+.3f"),
                alt.Tooltip("low:Q", format="+.3f"),
                alt.Tooltip("high:Q", format="+.3f"),
                "changed:N",
                alt.Tooltip("pairs:Q", title="roles"),
            ],
        ),
    ]
    layers[1:] = [only(layer, choices) for layer in layers[1:]]
    layered = alt.layer(*layers).properties(width=520 if many else 230, height=280 if many else 130)
    chart = layered if many else layered.facet(facet=alt.Facet("value:N", sort=values, title=None), columns=4)
    caption = (
        "Score over strength: mean paired difference to the baseline, with its interval over "
        "roles (band) and the middle 80 % of the "
        "roles themselves (thick bars). Choose the steered direction below; the saved figure shows the first."
    )
    return Chart.of(
        "dose-response",
        caption,
        "Dose–response curves, a panel per value; the trends table below sums them up.",
        chart,
    )


def _trends(artefacts: Artefacts) -> list[Block]:
    table = artefacts.effects("trends")
    if table is None or table.is_empty():
        return []
    rows = [
        [
            r["sweep"],
            r["value"],
            (r["tau"], r["low"], r["high"]),
            r["p_adjusted"],
            r["trend"] or r["reason"] or "",
            r["strengths"],
            r["roles"],
        ]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("steered direction"),
        Column("value"),
        Column(
            "τ",
            "estimate",
            2,
            signed=True,
            note="Kendall's tau between strength and score within a role, mean over roles",
        ),
        Column("p (BH)", "number", 4),
        Column("trend"),
        Column("strengths", "count"),
        Column("roles", "count"),
    )
    caption = (
        "Does the score rise or fall with strength? Kendall's τ within each role, its mean over "
        "roles and the interval over roles."
    )
    return [
        Table("trends", caption, columns, rows, keys=2),
        Text(
            "Trends need no straight line: they ask only whether more strength means a higher or "
            "a lower score."
        ),
    ]

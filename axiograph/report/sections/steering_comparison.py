"""Methods of steering beside each other: how often each raised, lowered or left what it was to move."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from axiograph.engine.study.split import TEST, TRAIN
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import Chart
from axiograph.report.blocks.section import Block, Heading, Note, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.sections.sign_counts import STATE_COLOURS, STATES

_AIMS = {"inclined": "to raise", "disinclined": "to lower"}
_METHODS = ("steering", "hint")


@dataclass(frozen=True)
class MethodCounts:
    """`pairs`: of a role and a value that were raised, lowered, left unchanged, by this method with this
    aim."""

    aim: str
    method: str
    pairs: tuple[int, int, int]


def method_blocks(counts: list[MethodCounts], caption: str) -> list[Block]:
    """Bars, and the table of their counts."""
    rows = [[each.aim, each.method, *each.pairs, sum(each.pairs)] for each in counts]
    columns = (Column("aim"), Column("way"), Column("up", "count"), Column("down", "count"))
    more = (Column("same", "count"), Column("pairs", "count"))
    table = Table(
        "steering-comparison",
        f"How many (role, value) pairs went up, down or stayed. {caption}",
        columns + more,
        rows,
        keys=2,
    )
    return [_chart(counts, caption), table]


def _chart(counts: list[MethodCounts], caption: str) -> Chart:
    import altair as alt

    rows = [
        (each.aim, each.method, state, n, n / sum(each.pairs) if sum(each.pairs) else None)
        for each in counts
        for state, n in zip(("raised", "lowered", "unchanged"), each.pairs, strict=True)
    ]
    schema = {"aim": pl.String, "way": pl.String, "state": pl.String, "pairs": pl.Int64, "share": pl.Float64}
    data = pl.DataFrame(rows, schema=schema, orient="row")
    scale = alt.Scale(domain=list(STATES), range=[STATE_COLOURS[state] for state in STATES])
    chart = (
        alt.Chart(data)
        .transform_calculate(place=f"indexof({list(STATES)}, datum.state)")
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of (role, value) pairs", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("way:N", title=None, sort=list(dict.fromkeys(each.method for each in counts))),
            color=alt.Color("state:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            order="place:Q",
            tooltip=["aim:N", "way:N", "state:N", "pairs:Q", alt.Tooltip("share:Q", format=".2f")],
        )
        .properties(width=460, height=alt.Step(28))
        .facet(row=alt.Row("aim:N", title=None, sort=list(_AIMS.values())))
    )
    words = "Stacked bars, a row per way and aim; the table below holds the counts."
    return Chart.of("steering-against-prompt", f"Up, unchanged, down. {caption}", words, chart)


def hint_blocks(artefacts: Artefacts, counts: pl.DataFrame, chosen: pl.DataFrame) -> list[Block]:
    """Steering beside hints with the same aim; nothing where the study has not both. `counts`: sign_counts of
    the stage `effects`; `chosen`: discovery.effects.hints.steering_against_hints of them."""
    assert artefacts.run is not None
    conditions = artefacts.run.inputs().conditions
    steered = [c.name for c in conditions if c.is_steered and c.hint is None]
    if not steered or not any(c.hint is not None and not c.is_steered for c in conditions):
        return []
    heading = Heading("Steering against hints")
    trained = counts.filter(pl.col("condition").is_in(steered))[f"{TRAIN}_raised"]
    if trained.is_null().all() or counts[f"{TEST}_raised"].is_null().all():
        return [
            heading,
            Note(
                "A fair comparison chooses the steered condition for a value on the training roles and "
                "counts on the test roles: it needs 'steer_roles: all' in the study."
            ),
        ]
    if chosen.is_empty():
        return []
    rows = chosen.iter_rows(named=True)
    names = "; ".join(f"{r['value']} {_AIMS[r['inclination']]}: {r['steering']}" for r in rows)
    text = (
        "For each value that a hint names, the steered condition is the one that moved most training roles: "
        f"{names}."
    )
    caption = (
        "Steering against hints, on the test roles; the steered conditions were chosen on the training roles."
    )
    return [heading, Text(text), *method_blocks(_by_aim(chosen), caption)]


def _by_aim(chosen: pl.DataFrame) -> list[MethodCounts]:
    """The counts of both methods, over all values that are to move the same way."""
    sums = chosen.group_by("inclination", maintain_order=True).agg(pl.col(pl.Int64).sum())
    states = ("raised", "lowered", "unchanged")
    return [
        MethodCounts(
            _AIMS[row["inclination"]],
            method,
            (row[f"{method}_{states[0]}"], row[f"{method}_{states[1]}"], row[f"{method}_{states[2]}"]),
        )
        for row in sums.iter_rows(named=True)
        for method in _METHODS
    ]

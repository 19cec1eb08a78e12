"""Ways of steering beside each other: how often each raised, lowered or left what it was to move."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from axiograph.discovery.effects.contrast import Triples
from axiograph.engine.study.conditions import Hint, hinted_value
from axiograph.engine.study.split import TEST, TRAIN
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import Chart
from axiograph.report.blocks.section import Block, Heading, Note, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.sections.signs import STATE_COLOURS, STATES

_AIMS = {"inclined": "to raise", "disinclined": "to lower"}
_HINT, _STEERING = "hint", "steering"


@dataclass(frozen=True)
class Way:
    """`pairs`: of a role and a value that were raised, lowered, left unchanged, by this way with this aim."""

    aim: str
    way: str
    pairs: tuple[int, int, int]


def way_blocks(ways: list[Way], caption: str) -> list[Block]:
    """Bars, and the table of their counts."""
    rows = [[way.aim, way.way, *way.pairs, sum(way.pairs)] for way in ways]
    columns = (Column("aim"), Column("way"), Column("up", "count"), Column("down", "count"))
    more = (Column("same", "count"), Column("pairs", "count"))
    table = Table(
        "steering-comparison",
        f"How many (role, value) pairs went up, down or stayed. {caption}",
        columns + more,
        rows,
        keys=2,
    )
    return [_chart(ways, caption), table]


def _chart(ways: list[Way], caption: str) -> Chart:
    import altair as alt

    counts = [
        (way.aim, way.way, state, n, n / sum(way.pairs) if sum(way.pairs) else None)
        for way in ways
        for state, n in zip(("raised", "lowered", "unchanged"), way.pairs, strict=True)
    ]
    schema = {"aim": pl.String, "way": pl.String, "state": pl.String, "pairs": pl.Int64, "share": pl.Float64}
    data = pl.DataFrame(counts, schema=schema, orient="row")
    scale = alt.Scale(domain=list(STATES), range=[STATE_COLOURS[state] for state in STATES])
    chart = (
        alt.Chart(data)
        .transform_calculate(place=f"indexof({list(STATES)}, datum.state)")
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of (role, value) pairs", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("way:N", title=None, sort=list(dict.fromkeys(way.way for way in ways))),
            color=alt.Color("state:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            order="place:Q",
            tooltip=["aim:N", "way:N", "state:N", "pairs:Q", alt.Tooltip("share:Q", format=".2f")],
        )
        .properties(width=460, height=alt.Step(28))
        .facet(row=alt.Row("aim:N", title=None, sort=list(_AIMS.values())))
    )
    words = "Stacked bars, a row per way and aim; the table below holds the counts."
    return Chart.of("steering-against-prompt", f"Up, unchanged, down. {caption}", words, chart)


def hint_blocks(found: Artefacts, counts: pl.DataFrame) -> list[Block]:
    """Steering beside hints with the same aim, of `counts` (discovery.effects.contrast); nothing where the
    study has not both."""
    assert found.run is not None
    conditions = found.run.inputs().conditions
    hints = {c.name: c.hint for c in conditions if c.hint is not None and not c.is_steered}
    steered = [c.name for c in conditions if c.is_steered and c.hint is None]
    if not hints or not steered:
        return []
    blocks: list[Block] = [Heading("Steering against hints")]
    train, test = (_triples(counts, part) for part in (TRAIN, TEST))
    if not any((c, v) in train for c in steered for v in counts["value"]) or not test:
        return [
            *blocks,
            Note(
                "A fair comparison chooses the steered condition for a value on the training roles and "
                "counts on the test roles: it needs 'steer_roles: all' in the study."
            ),
        ]
    ways, chosen = _ways(hints, steered, counts["value"].unique(maintain_order=True).to_list(), train, test)
    if not ways:
        return []
    text = (
        "For each value that a hint names, the steered condition is the one that moved most training roles: "
    )
    caption = (
        "Steering against hints, on the test roles; the steered conditions were chosen on the training roles."
    )
    return [*blocks, Text(text + "; ".join(chosen) + "."), *way_blocks(ways, caption)]


def _triples(counts: pl.DataFrame, part: str) -> Triples:
    columns = [f"{part}_{state}" for state in ("raised", "lowered", "unchanged")]
    return {
        (condition, value): (up, down, same)
        for condition, value, up, down, same in counts.select("condition", "value", *columns).iter_rows()
        if up is not None
    }


def _ways(
    hints: dict[str, Hint], steered: list[str], values: list[str], train: Triples, test: Triples
) -> tuple[list[Way], list[str]]:
    """The ways by aim, over the values that a hint names and that both ways have counts of, and in words
    which condition was chosen for which."""
    total: dict[tuple[str, str], list[int]] = {}
    chosen = []
    for name, hint in hints.items():
        aim, sign = _AIMS[hint.inclination], 1 if hint.inclination == "inclined" else -1
        for value in [v for v in values if hinted_value(hint, v) == v and (name, v) in test]:
            known = [c for c in steered if (c, value) in train and (c, value) in test]
            if not known:
                continue
            best = max(known, key=lambda c: sign * _net(train[c, value]))
            chosen.append(f"{value} {aim}: {best}")
            for way, condition in ((_STEERING, best), (_HINT, name)):
                pairs = total.setdefault((aim, way), [0, 0, 0])
                total[aim, way] = [
                    one + other for one, other in zip(pairs, test[condition, value], strict=True)
                ]
    ways = [Way(aim, way, (up, down, same)) for (aim, way), (up, down, same) in total.items()]
    return ways, chosen


def _net(triple: tuple[int, int, int]) -> float:
    """Share of roles raised less share lowered."""
    return (triple[0] - triple[1]) / sum(triple)

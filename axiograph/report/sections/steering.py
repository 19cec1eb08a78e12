"""What every condition did to every value: differences, and how many roles were raised or lowered."""

from __future__ import annotations

from typing import Any

import polars as pl

from axiograph.discovery.effects.changes import negative_control_note, notes_on_test
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import BLUE, ORANGE, Chart
from axiograph.report.blocks.numbers import number
from axiograph.report.blocks.section import Block, Heading, Note, Section, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import in_order
from axiograph.report.sections.doses import dose_blocks
from axiograph.report.sections.sign_counts import BARS_UP_TO, sign_blocks
from axiograph.report.sections.steering_comparison import hint_blocks


def steering_section(artefacts: Artefacts) -> Section:
    """Heat map, bars of the paper's Table 1, dose–response, where a strength breaks the model."""
    section = Section("steering", "Steering")
    changes = artefacts.effects("changes")
    if changes is None or changes.is_empty():
        section.add(Note(_nothing(artefacts)))
        return section
    section.add(*_difference_blocks(artefacts, changes))
    section.add(Heading("Roles raised, lowered, unchanged"), *sign_blocks(artefacts))
    counts = artefacts.effects("sign_counts")
    if counts is not None:
        section.add(*hint_blocks(artefacts, counts, artefacts.against_hints(counts)))
    section.add(Heading("Dose and response"), *dose_blocks(artefacts))
    return section


def _nothing(artefacts: Artefacts) -> str:
    if artefacts.run is None:
        return "No steered or hinted answers here: this part needs the directory of a run."
    study = artefacts.run.inputs().study
    if not study.steering and not study.hints:
        return (
            "This study steers nothing. Entries under 'steering' or 'hints' in the study file "
            "would fill this part; running it again asks only what is new."
        )
    return (
        f"No effects yet: run `axiograph effects {artefacts.where}`. Effects are tested on the "
        f"{study.effects.roles} roles."
    )


def _difference_blocks(artefacts: Artefacts, changes: pl.DataFrame) -> list[Block]:
    about = artefacts.effects_settings()
    order = in_order(artefacts, changes["condition"].unique())
    tested = changes.filter(pl.col("p").is_not_null()).height
    changed = changes.filter(pl.col("changed")).height
    note = (
        f"{changed} of {tested} contrasts changed: paired differences to the baseline over the "
        f"{about.get('roles', '')} "
        f"roles, false discovery rate {about.get('level', 0.05):g} (Benjamini–Hochberg over all "
        "conditions and values)."
    )
    blocks: list[Block] = [Text(note), _heat_map(changes, order), _change_table(changes, order)]
    notes = [Note(line, "warning") for line in notes_on_test(changes, earlier="test" not in about)]
    notes += [Note(line) for line in negative_control_note(changes, about.get("negative_controls", ()))]
    return [*blocks[:1], *notes, *blocks[1:]]


def _heat_map(changes: pl.DataFrame, order: list[str]) -> Chart:
    import altair as alt

    names = ["condition", "value", "mean_difference", "low", "high", "p_adjusted", "pairs", "changed"]
    data = changes.select(names).with_columns(
        mark=pl.when(pl.col("changed"))
        .then(pl.when(pl.col("mean_difference") > 0).then(pl.lit("▲")).otherwise(pl.lit("▼")))
        .otherwise(pl.lit(""))
    )
    most = float(data["mean_difference"].abs().max() or 1.0) or 1.0  # type: ignore[arg-type]
    values = data["value"].unique(maintain_order=True).to_list()
    base = alt.Chart(data).encode(
        x=alt.X("value:N", sort=values, title=None, axis=alt.Axis(labelAngle=-50, orient="top")),
        y=alt.Y("condition:N", sort=order, title=None),
        tooltip=[
            "condition:N",
            "value:N",
            alt.Tooltip("mean_difference:Q", title="difference", format="+.3f"),
            alt.Tooltip("low:Q", format="+.3f"),
            alt.Tooltip("high:Q", format="+.3f"),
            alt.Tooltip("p_adjusted:Q", title="p (BH)", format=".4f"),
            alt.Tooltip("pairs:Q", title="roles"),
        ],
    )
    scale = alt.Scale(domain=[-most, 0, most], range=[ORANGE, "#f7f7f7", BLUE], interpolate="lab")
    cells = base.mark_rect(stroke="#ffffff", strokeWidth=0.5).encode(
        color=alt.Color(
            "mean_difference:Q", scale=scale, title="difference", legend=alt.Legend(format="+.2f")
        )
    )
    marks = base.mark_text(fontSize=9, color="#111111").encode(text="mark:N")
    chart = (cells + marks).properties(
        width=alt.Step(34 if len(values) <= BARS_UP_TO else 16), height=alt.Step(20)
    )
    caption = (
        "Mean difference of every value's score to the baseline, by condition. ▲ and ▼: changed, "
        "by the test; no mark: not "
        "shown to have changed. Empty: no role has both scores. Intervals are in the table and "
        "under the pointer."
    )
    return Chart.of(
        "steering-differences",
        caption,
        "Heat map of mean differences, conditions by values; the table below holds its numbers.",
        chart,
    )


def _change_table(changes: pl.DataFrame, order: list[str]) -> Table:
    position = pl.col("condition").replace_strict(
        {c: k for k, c in enumerate(order)}, default=len(order), return_dtype=pl.Int64
    )
    rows = [
        [
            r["condition"],
            r["value"],
            (r["mean_difference"], r["low"], r["high"]),
            (None, r["adjusted_low"], r["adjusted_high"]),
            r["p_adjusted"],
            _direction(r),
            r["pairs"],
        ]
        for r in changes.sort(position, maintain_order=True).iter_rows(named=True)
    ]
    rows = [[*row[:3], _range(row[3]), *row[4:]] for row in rows]
    columns = (
        Column("condition"),
        Column("value"),
        Column("difference", "estimate", 3, signed=True, note="interval over roles, pointwise"),
        Column(
            "adjusted interval",
            note="of those that changed: at the level at which the test still rejects (Benjamini & "
            "Yekutieli 2005)",
        ),
        Column("p (BH)", "number", 4),
        Column("changed"),
        Column("roles", "count"),
    )
    return Table(
        "changes",
        "Every condition and value: paired mean difference to the baseline with its interval.",
        columns,
        rows,
        keys=2,
    )


def _direction(row: dict[str, Any]) -> str:
    return "not tested" if row["changed"] is None else row["direction"] or "no"


def _range(ends: tuple[None, float | None, float | None]) -> str:
    _, low, high = ends
    return (
        ""
        if low is None or high is None
        else f"[{number(low, 3, signed=True)}, {number(high, 3, signed=True)}]"
    )

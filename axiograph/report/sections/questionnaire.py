"""Quality of the questionnaire: reliability, how the conditions were answered, acquiescence, and items that
do not vary."""

from __future__ import annotations

from typing import Any

import polars as pl

from axiograph.cluster.stages.item_verdict import against_verdict, weak_verdict
from axiograph.cluster.stages.quality import ALL
from axiograph.engine.answers.parsing import STATES
from axiograph.engine.scoring.profiles import shown_states
from axiograph.report.artefacts import Artefacts, read_json
from axiograph.report.blocks.chart import BLUE, Chart
from axiograph.report.blocks.section import Block, Heading, Listing, Note, Section, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.sections.psychometrics import (
    correlation_blocks,
    distribution_blocks,
    factor_blocks,
    norm_blocks,
)
from axiograph.report.style import style_blocks

_BARS_UP_TO = 60
_NO_ACQUIESCENCE = "Acquiescence is unknown: no value has items of both keys."


def questionnaire_section(artefacts: Artefacts) -> Section:
    """What says how far to trust the scores."""
    section = Section("questionnaire", "Quality of the questionnaire")
    reliability = artefacts.scores("reliability")
    if artefacts.run is None or reliability is None:
        where = (
            f"run `axiograph score {artefacts.where}`"
            if artefacts.run
            else "this part needs the directory of a run"
        )
        section.add(Note(f"No items here: {where}."))
        return section
    section.add(*_reliability(reliability, artefacts.quality("reliability_intervals")))
    section.add(Heading("How the conditions were answered"), _rates(artefacts))
    section.add(Heading("Acquiescence"), *_acquiescence(artefacts), *style_blocks(artefacts))
    section.add(*_order_effects(artefacts))
    section.add(Heading("Items"), *_items(artefacts), *distribution_blocks(artefacts))
    section.add(*correlation_blocks(artefacts), *factor_blocks(artefacts), *norm_blocks(artefacts))
    return section


def _reliability(table: pl.DataFrame, intervals: pl.DataFrame) -> list[Block]:
    ends = {value: (low, high) for value, low, high in intervals.select("value", "low", "high").iter_rows()}
    rows = [
        [
            row["value"],
            (row["alpha"], *ends.get(row["value"], (None, None))),
            row.get("omega"),
            row["items"],
            row.get("varying"),
            row["roles"],
            row["reason"],
        ]
        for row in table.iter_rows(named=True)
    ]
    columns = (
        Column("value"),
        Column("alpha", "estimate", 2),
        Column("omega", "number", 2, note="McDonald's, of one factor"),
        Column("items", "count"),
        Column(
            "varying", "count", note="items that were not answered alike by all: alpha and omega are of these"
        ),
        Column("roles", "count"),
        Column("remark"),
    )
    caption = (
        "Cronbach's alpha over the baseline roles with its 95 % interval (Feldt 1965; a jackknife over "
        "roles where some have no answer to some items), and McDonald's omega."
    )
    weak = weak_verdict(table)
    blocks: list[Block] = [] if weak is None else [Note(weak, "warning")]
    blocks += [] if len(rows) > _BARS_UP_TO else _alpha_chart(rows)
    return [*blocks, Table("reliability", caption, columns, rows)]


def _alpha_chart(rows: list[list[Any]]) -> list[Block]:
    import altair as alt

    data = pl.DataFrame(
        [
            (value, *alpha, items, roles)
            for value, alpha, _, items, _, roles, _ in rows
            if alpha[0] is not None
        ],
        schema={
            "value": pl.String,
            "alpha": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
            "items": pl.Int64,
            "roles": pl.Int64,
        },
        orient="row",
    )
    if data.is_empty():
        return []
    base = alt.Chart(data).encode(y=alt.Y("value:N", sort=data["value"].to_list(), title=None))
    tip = [
        "value:N",
        *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("alpha", "low", "high")),
        "items:Q",
        "roles:Q",
    ]
    ruler = base.mark_rule(strokeWidth=2, color=BLUE).encode(
        x=alt.X("low:Q", title="Cronbach's alpha", scale=alt.Scale(domainMax=1)), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=60, opacity=1, color=BLUE).encode(x="alpha:Q", tooltip=tip)
    chart = (ruler + points).properties(width=480, height=alt.Step(21))
    caption = (
        "Reliability of every value's score. Noise in a score makes edges: where alpha is low, "
        "more items or repeats are worth more than more roles."
    )
    return [
        Chart.of(
            "reliability",
            caption,
            "Points with intervals, one per value; the table below holds the numbers.",
            chart,
        )
    ]


def _rates(artefacts: Artefacts) -> Table:
    table = artefacts.quality("answering").filter(pl.col("split") == ALL)
    stored = artefacts.scores("rates")
    counts = {} if stored is None else {row["condition"]: row for row in stored.iter_rows(named=True)}
    cells = {
        (r["condition"], r["measure"]): (r["mean"], r["low"], r["high"]) for r in table.iter_rows(named=True)
    }
    states = STATES if stored is None else shown_states(stored)
    rows = []
    for condition in counts or dict.fromkeys(table["condition"]):
        row = counts.get(condition, {})
        shares = [cells.get((condition, state), (None, None, None)) for state in states]
        rows.append(
            [
                condition,
                row.get("planned"),
                row.get("answered"),
                *shares,
                cells.get((condition, "tokens"), (None, None, None)),
                row.get("fallback"),
            ]
        )
    columns = (
        Column("condition"),
        Column("planned", "count"),
        Column("answered", "count"),
        *(Column(state, "estimate", 3) for state in states),
        Column("tokens", "estimate", 1, note="new tokens of an answer that was generated"),
        Column("fallback", "count", note="log-odds read behind a generated thought"),
    )
    return Table(
        "rates",
        "Answers by condition: mean share over roles of every state, and length, with intervals "
        "over roles. Refused, unparsed and unfinished answers have no score.",
        columns,
        rows,
    )


def _acquiescence(artefacts: Artefacts) -> list[Block]:
    if artefacts.scores("acquiescence") is None:
        return [Note(_NO_ACQUIESCENCE)]
    table = artefacts.quality("acquiescence_means")
    if table.is_empty():
        return [Note(_NO_ACQUIESCENCE)]
    text = (
        "How much a role says yes whatever is asked: half the sum of the mean raw answer to "
        "positively and to negatively keyed items, in which the value itself cancels; −1 always no, "
        "+1 always yes."
    )
    caption = "Acquiescence by condition: mean over roles with its interval, and its range over roles."
    return [Text(text), _means_over_roles("acquiescence", caption, table)]


def _means_over_roles(name: str, caption: str, table: pl.DataFrame) -> Table:
    """Of a table as cluster.stages.quality.means_over_roles makes them."""
    rows = [
        [r["condition"], (r["mean"], r["low"], r["high"]), r["lowest"], r["highest"], r["roles"]]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("condition"),
        Column("mean", "estimate", 3, signed=True),
        Column("lowest role", "number", 2, signed=True),
        Column("highest role", "number", 2, signed=True),
        Column("roles", "count"),
    )
    return Table(name, caption, columns, rows)


def _order_effects(artefacts: Artefacts) -> list[Block]:
    table = artefacts.scores("order_effect_means")
    if table is None or table.is_empty():
        return []
    caption = (
        "Order effect by condition: how far answers to scales move towards the option that is shown "
        "first, mean over roles with its interval, and its range over roles."
    )
    return [Heading("Order of the options"), _means_over_roles("order-effects", caption, table)]


def _against(artefacts: Artefacts, questions: dict[str, str]) -> list[Block]:
    """Items that speak against their value, and how every item goes with the rest of its."""
    table = artefacts.scores("item_rest")
    if table is None:
        return []
    verdict = against_verdict(table)
    rows = [
        [
            r["value"],
            r["item_id"],
            questions.get(r["item_id"], ""),
            r["agreement"],
            (r["item_rest"], r["low"], r["high"]),
            r["roles"],
            "against" if r["against"] else "",
        ]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("value"),
        Column("item"),
        Column("question"),
        Column("key", "number", 0, signed=True),
        Column("item–rest", "estimate", 2, signed=True),
        Column("roles", "count"),
        Column("speaks"),
    )
    caption = (
        "Correlation of every item's score with the mean of the other items of its value over baseline "
        "roles, "
        "with its 95 % interval (Fisher's z); an item speaks against its value where that lies below 0."
    )
    note = [] if verdict is None else [Note(verdict, "warning")]
    return [*note, Table("item-rest", caption, columns, rows)]


def _items(artefacts: Artefacts) -> list[Block]:
    assert artefacts.run is not None
    questions = {item.item_id: item.question for item in artefacts.run.inputs().items}
    path = artefacts.run.scores / "questionnaire.json"
    about = read_json(path) if path.is_file() else {}
    blocks: list[Block] = []
    one_way = about.get("one_way_keyed", [])
    if one_way:
        blocks.append(
            Note(
                f"{len(one_way)} values have no reverse-keyed item, so that saying yes to all "
                f"looks like holding them: {', '.join(one_way)}.",
                "warning",
            )
        )
    blocks += _against(artefacts, questions)
    shared = about.get("shared_texts", {})
    if shared:
        lines = [f"{text} ({', '.join(where)})" for text, where in shared.items()]
        blocks.append(
            Listing(
                f"{len(shared)} texts serve several values; they count in no profile unless "
                "drop_shared_items is off",
                lines,
            )
        )
    constant = artefacts.scores("constant_items")
    if constant is not None and constant.height:
        rows = [
            [r["value"], r["item_id"], questions.get(r["item_id"], ""), r["score"], r["rows"]]
            for r in constant.iter_rows(named=True)
        ]
        columns = (
            Column("value"),
            Column("item"),
            Column("question"),
            Column("score", "number", 2, signed=True),
            Column("answers", "count"),
        )
        blocks.append(
            Table(
                "constant-items",
                "Items that every baseline role answered alike: they tell no role from another.",
                columns,
                rows,
            )
        )
    else:
        blocks.append(Text("Every item was answered differently by some baseline roles."))
    if not one_way:
        blocks.append(Text("Every value has items of both keys."))
    return blocks

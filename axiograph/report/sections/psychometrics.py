"""What psychometricians look at beside reliability: answers by item, correlations of values, factors, norms;
shown in the section on the questionnaire. Nothing of a run that an earlier version scored."""

from __future__ import annotations

from typing import Any

import polars as pl

from axiograph.engine.prompting.options import option_scores
from axiograph.report.artefacts import Artefacts, read_json
from axiograph.report.blocks.chart import BLUE, GREY, VERMILLION, Chart
from axiograph.report.blocks.section import Block, Heading, Note, Text
from axiograph.report.blocks.table import Column, Table

_BARS_UP_TO, _CELLS_UP_TO, _NUMBERS_UP_TO = 150, 60, 22
_MIDDLE = "#dddddd"
_YES_OR_NO = {"no": -1.0, "unsure": 0.0, "yes": 1.0}


def distribution_blocks(artefacts: Artefacts) -> list[Block]:
    """A bar per item of how often it got every answer in the baseline."""
    table = artefacts.scores("response_distributions")
    if table is None or table.is_empty() or artefacts.run is None:
        return []
    if table["item_id"].n_unique() > _BARS_UP_TO:
        return [Text("How often every item got every answer: scores/response_distributions.parquet.")]
    import altair as alt

    data = _answers(table, artefacts)
    order = data["item"].unique(maintain_order=True).to_list()
    worth = alt.Color(
        "worth:Q",
        scale=alt.Scale(domain=[-1, 0, 1], range=[VERMILLION, _MIDDLE, BLUE]),
        legend=alt.Legend(title="worth"),
    )
    bars = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            y=alt.Y("item:N", sort=order, title=None),
            x=alt.X("share:Q", title="share of the answers", scale=alt.Scale(domain=[0, 1])),
            color=alt.condition("datum.scored", worth, alt.value(GREY)),
            order=alt.Order("worth:Q"),
            tooltip=["item:N", "answer:N", alt.Tooltip("share:Q", format=".3f"), "answers:Q"],
        )
    )
    caption = (
        "How every item was answered in the baseline, whatever its key: from no (the lowest option) to yes "
        "(the highest) by what an answer is worth; grey: no score. An item with nearly all answers alike "
        "hardly tells roles apart."
    )
    alt_text = "A bar per item, divided by answer; scores/response_distributions.parquet holds the numbers."
    chart = bars.properties(width=480, height=alt.Step(15))
    return [Chart.of("response-distributions", caption, alt_text, chart)]


def _answers(table: pl.DataFrame, artefacts: Artefacts) -> pl.DataFrame:
    """item (with its value), answer, scored, worth (by which bars are ordered), share, answers; in the order
    of the questionnaire."""
    assert artefacts.run is not None
    inputs = artefacts.run.inputs()
    rows_of: dict[str, list[dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        rows_of.setdefault(row["item_id"], []).append(row)
    rows = []
    for item in inputs.items:
        worth = option_scores(item.scale, inputs.study.answers)
        for row in rows_of.get(item.item_id, []):
            state, chosen = row["state"], row["chosen"]
            if chosen is not None and item.scale is not None and worth is not None:
                scored = worth[chosen] is not None
                cell = (item.scale.labels[chosen], scored, item.scale.scores[chosen])
            elif item.scale is None and state in _YES_OR_NO:
                cell = (state, True, _YES_OR_NO[state])
            else:
                cell = (state, False, 2.0)  # behind all others
            rows.append((f"{item.value}: {item.item_id}", *cell, row["share"], row["answers"]))
    names = {"item": pl.String, "answer": pl.String, "scored": pl.Boolean, "worth": pl.Float64}
    return pl.DataFrame(rows, schema=names | {"share": pl.Float64, "answers": pl.Int64}, orient="row")


def correlation_blocks(artefacts: Artefacts) -> list[Block]:
    """Every pair of values, as a heat map and with intervals."""
    table = artefacts.scores("correlations")
    if table is None or table.is_empty():
        return []
    rows = [
        [r["a"], r["b"], (r["r"], r["low"], r["high"]), r["disattenuated"], r["roles"], r["remark"]]
        for r in table.iter_rows(named=True)
    ]
    note = "r / √(alpha · alpha), as it would be without errors of measurement"
    columns = (
        Column("a"),
        Column("b"),
        Column("r", "estimate", 2, signed=True),
        Column("without error", "number", 2, signed=True, note=note),
        Column("roles", "count"),
        Column("remark"),
    )
    caption = (
        "Correlations of the values over baseline roles, of the scores that the graph is made of, with 95 % "
        "intervals (Fisher's z), each for its own pair."
    )
    heading = Heading("Correlations of the values")
    return [heading, *_heat_map(table), Table("correlations", caption, columns, rows, keys=2)]


def _heat_map(table: pl.DataFrame) -> list[Block]:
    import altair as alt

    known = table.drop_nulls("r")
    values = list(dict.fromkeys([*table["a"], *table["b"]]))
    if known.is_empty() or len(values) > _CELLS_UP_TO:
        return []
    columns = ["a", "b", "r", "low", "high", "roles"]
    data = pl.concat([known.select(columns), known.rename({"a": "b", "b": "a"}).select(columns)])
    base = alt.Chart(data).encode(
        x=alt.X("a:N", sort=values, title=None, axis=alt.Axis(labelAngle=-60)),
        y=alt.Y("b:N", sort=values, title=None),
    )
    colours = alt.Scale(domain=[-1, 0, 1], range=[VERMILLION, "#f7f7f7", BLUE])
    numbers = [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("r", "low", "high")]
    chart = base.mark_rect().encode(
        color=alt.Color("r:Q", scale=colours, legend=alt.Legend(title="r")),
        tooltip=["a:N", "b:N", *numbers, "roles:Q"],
    )
    if len(values) <= _NUMBERS_UP_TO:
        white = alt.condition("abs(datum.r) > 0.6", alt.value("white"), alt.value("black"))
        chart = chart + base.mark_text(fontSize=9).encode(text=alt.Text("r:Q", format=".2f"), color=white)
    step = 30 if len(values) <= _NUMBERS_UP_TO else 15
    return [
        Chart.of(
            "correlations",
            "Correlations of the values over baseline roles.",
            "A square per pair of values; the table below holds the numbers.",
            chart.properties(width=alt.Step(step), height=alt.Step(step)),
        )
    ]


def factor_blocks(artefacts: Artefacts) -> list[Block]:
    """How many factors the items have, and whether the items of one value lie on one."""
    path = None if artefacts.run is None else artefacts.run.scores / "factors.json"
    values, loadings = artefacts.scores("factor_values"), artefacts.scores("factor_loadings")
    if path is None or not path.is_file() or values is None or loadings is None:
        return []
    about = read_json(path)
    heading = Heading("Factors of the items")
    if about["kept"] is None:
        return [heading, Note(f"Not known: {about['reason']}.")]
    text = (
        f"Parallel analysis (Horn 1965; the same answers permuted within items, 95th percentile) keeps "
        f"{about['kept']} factors of {about['items']} items, over {about['roles']} roles. Values that "
        "correlate highly share a factor even where they differ; what speaks against a value is that its "
        "items lie on several."
    )
    if not about["kept"]:
        return [heading, Text(text), Note("The items have nothing in common that noise has not.", "warning")]
    of_values = [
        [r["value"], r["factor"], r["share"], r["items"], ", ".join(r["others"])]
        for r in values.iter_rows(named=True)
    ]
    of_items = [
        [r["value"], r["item_id"], r["factor"], r["loading"], "" if r["on_value"] else "elsewhere"]
        for r in loadings.iter_rows(named=True)
    ]
    share = "share of the value's items that load on its factor strongest, at least 0.3 and with one sign"
    value_columns = (
        Column("value"),
        Column("factor", "count", note="on which most of its items load strongest"),
        Column("share", "number", 2, note=share),
        Column("items", "count"),
        Column("also on it", note="values with the same factor"),
    )
    item_columns = (
        Column("value"),
        Column("item"),
        Column("factor", "count", note="on which the item loads strongest"),
        Column("loading", "number", 2, signed=True),
        Column("lies", note="elsewhere: not on its value's factor, below 0.3, or of the other sign"),
    )
    caption = "Whether the items of a value lie on one factor."
    of_each = "The strongest loading of every item (maximum likelihood, varimax)."
    return [
        heading,
        Text(text),
        Table("factor-values", caption, value_columns, of_values),
        Table("factor-loadings", of_each, item_columns, of_items, keys=2),
    ]


def norm_blocks(artefacts: Artefacts) -> list[Block]:
    """The roles' means beside the norms of the questionnaire files."""
    table = artefacts.scores("norms")
    if table is None or table.is_empty():
        return []
    rows = [
        [
            r["questionnaire"],
            r["name"],
            r["group"],
            r["norm_mean"],
            r["norm_sd"],
            r["norm_n"],
            r["mean"],
            r["sd"],
            (r["difference"], r["low"], r["high"]),
            r["roles"],
            r["remark"],
        ]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("questionnaire"),
        Column("value"),
        Column("group", note="of people, as the questionnaire file names it"),
        Column("norm", "number", 2, signed=True, note="mean of the group, on the scale of scores"),
        Column("norm SD", "number", 2),
        Column("people", "count"),
        Column("mean", "number", 2, signed=True, note="of the roles' plain scores"),
        Column("SD", "number", 2),
        Column("difference", "estimate", 2, signed=True, note="in SD of the norm"),
        Column("roles", "count"),
        Column("remark"),
    )
    text = (
        "Roles are not people, and a list of roles is no sample of any: the difference says where answers "
        "lie on the scale as people use it. Intervals are over the roles alone; a norm has an error of its "
        "own."
    )
    caption = (
        "The mean of the baseline roles beside norms of people, both on the scale from −1 to 1, and "
        "their difference in SD of the norm with a 95 % interval over roles."
    )
    return [Heading("Norms"), Text(text), Table("norms", caption, columns, rows, keys=3)]

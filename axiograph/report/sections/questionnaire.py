"""Quality of the questionnaire: reliability, acquiescence, answers that could not be read, items that do not
vary.

How every condition was answered: shares of the states and the length of answers, means over roles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.numerics.intervals import RoleDraws, percentile_range
from axiograph.engine.answers.parsing import STATES
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.scoring.reliability import alpha_interval
from axiograph.engine.study.conditions import BASELINE
from axiograph.report.artefacts import Artefacts, read_json
from axiograph.report.blocks.chart import BLUE, Chart
from axiograph.report.blocks.section import Block, Heading, Listing, Note, Section, Text
from axiograph.report.blocks.table import Column, Table
from axiograph.report.effect_tables import condition_kinds

TOKENS = "tokens"
_DRAWS = 1000


def answering(run: RunDir, split: str | None, level: float = 0.05, seed: int = 0) -> pl.DataFrame:
    """A row per condition and measure, in the order of the plan: condition, measure (a state: the share of
    answers in it; `tokens`: new tokens an answer), roles, answers, mean, low, high.

    Means are over roles, each counting once; low and high are the percentile interval at 1 − level of roles
    drawn again 1,000 times. `split`: the roles that count, None for all. Answers that were not generated
    (logprob mode) have no length."""
    table = _by_role(run, split)
    rows = []
    for (condition,), group in table.group_by("condition", maintain_order=True):
        scores = group.select(*STATES, TOKENS).to_numpy().astype(np.float64)
        drawn = RoleDraws.of(len(scores), _DRAWS, seed).means(scores)
        low, high = percentile_range(drawn.T, level)
        known = ~np.isnan(scores)
        for k, measure in enumerate([*STATES, TOKENS]):
            if known[:, k].any():
                mean = float(scores[known[:, k], k].mean())
                ends = (float(low[k]), float(high[k])) if known[:, k].sum() > 1 else (None, None)
                rows.append(
                    (condition, measure, int(known[:, k].sum()), int(group["answers"].sum()), mean, *ends)
                )
    schema = {"condition": pl.String, "measure": pl.String, "roles": pl.Int64, "answers": pl.Int64}
    return pl.DataFrame(
        rows, schema=schema | dict.fromkeys(("mean", "low", "high"), pl.Float64), orient="row"
    )


def _by_role(run: RunDir, split: str | None) -> pl.DataFrame:
    """condition, role, answers, a share per state, tokens: sorted by the order of the study, then by role."""
    plan = run.plan().select("request_id", "role", "condition", "split")
    if split is not None:
        plan = plan.filter(pl.col("split").cast(pl.String) == split)
    answers = run.store().scan().select("request_id", "state", "finish", "new_tokens")
    state = pl.col("state").cast(pl.String)
    written = pl.col("new_tokens").filter(pl.col("finish").cast(pl.String) != "scored")
    grouped = (
        plan.join(answers, on="request_id", how="inner")
        .group_by("condition", "role")
        .agg(
            answers=pl.len(), **{name: (state == name).mean() for name in STATES}, **{TOKENS: written.mean()}
        )
    )
    names = [condition.name for condition in run.inputs().conditions]
    order = {name: k for k, name in enumerate(names)}
    table = grouped.with_columns(pl.col("condition", "role").cast(pl.String)).collect(engine="streaming")
    place = pl.col("condition").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    return table.sort(place, "role")


_BARS_UP_TO = 60


def questionnaire_section(found: Artefacts) -> Section:
    """What says how far to trust the scores."""
    section = Section("questionnaire", "Quality of the questionnaire")
    reliability = found.scores("reliability")
    if found.run is None or reliability is None:
        where = (
            f"run `axiograph score {found.where}`" if found.run else "this part needs the directory of a run"
        )
        section.add(Note(f"No items here: {where}."))
        return section
    section.add(*_reliability(reliability))
    section.add(Heading("How the conditions were answered"), _rates(found))
    section.add(Heading("Acquiescence"), *_acquiescence(found))
    section.add(Heading("Items"), *_items(found))
    return section


def _reliability(table: pl.DataFrame) -> list[Block]:
    rows = []
    for row in table.iter_rows(named=True):
        low, high = alpha_interval(row["alpha"], row["items"], row["roles"])
        rows.append([row["value"], (row["alpha"], low, high), row["items"], row["roles"], row["reason"]])
    columns = (
        Column("value"),
        Column("alpha", "estimate", 2),
        Column("items", "count"),
        Column("roles", "count"),
        Column("why none"),
    )
    caption = (
        "Cronbach's alpha over the baseline roles with Feldt's 95 % interval (1965; it takes "
        "every role to have answered every item)."
    )
    blocks: list[Block] = [] if len(rows) > _BARS_UP_TO else _alpha_chart(rows)
    return [*blocks, Table("reliability", caption, columns, rows)]


def _alpha_chart(rows: list[list[Any]]) -> list[Block]:
    import altair as alt

    data = pl.DataFrame(
        [(value, *alpha, items, roles) for value, alpha, items, roles, _ in rows if alpha[0] is not None],
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


def _rates(found: Artefacts) -> Table:
    assert found.run is not None
    table = answering(found.run, None)
    stored = found.scores("rates")
    counts = {} if stored is None else {row["condition"]: row for row in stored.iter_rows(named=True)}
    cells = {
        (r["condition"], r["measure"]): (r["mean"], r["low"], r["high"]) for r in table.iter_rows(named=True)
    }
    rows = []
    for condition in counts or dict.fromkeys(table["condition"]):
        row = counts.get(condition, {})
        shares = [cells.get((condition, state), (None, None, None)) for state in STATES]
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
        *(Column(state, "estimate", 3) for state in STATES),
        Column("tokens", "estimate", 1, note="new tokens of an answer that was generated"),
        Column("fallback", "count", note="log-odds read behind a generated thought"),
    )
    return Table(
        "rates",
        "Answers by condition: mean share over roles of every state, and length, with intervals "
        "over roles. Refused and unparsed answers have no score.",
        columns,
        rows,
    )


def _acquiescence(found: Artefacts) -> list[Block]:
    table = found.scores("acquiescence")
    known = None if table is None else table.drop_nulls("acquiescence")
    if known is None or known.is_empty():
        return [Note("Acquiescence is unknown: no value has items of both keys.")]
    rows = []
    order = [BASELINE, *condition_kinds(found)]
    for condition in order:
        scores = known.filter(pl.col("condition") == condition)["acquiescence"]
        if len(scores):
            column = scores.to_numpy()[:, None]
            low, high = percentile_range(RoleDraws.of(len(column), 1000, 0).means(column).T, 0.05)
            ends = (float(low[0]), float(high[0])) if len(column) > 1 else (None, None)
            rows.append(
                [
                    condition,
                    (float(column.mean()), *ends),
                    float(column.min()),
                    float(column.max()),
                    len(scores),
                ]
            )
    text = (
        "How much a role says yes whatever is asked: half the sum of the mean raw answer to "
        "positively and to negatively keyed items, in which the value itself cancels; −1 always no, "
        "+1 always yes."
    )
    columns = (
        Column("condition"),
        Column("mean", "estimate", 3, signed=True),
        Column("lowest role", "number", 2, signed=True),
        Column("highest role", "number", 2, signed=True),
        Column("roles", "count"),
    )
    return [
        Text(text),
        Table(
            "acquiescence",
            "Acquiescence by condition: mean over roles with its interval, and its range over roles.",
            columns,
            rows,
        ),
    ]


def _items(found: Artefacts) -> list[Block]:
    assert found.run is not None
    questions = {item.item_id: item.question for item in found.run.inputs().items}
    path = found.run.scores / "questionnaire.json"
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
    constant = found.scores("constant_items")
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

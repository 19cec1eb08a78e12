"""Steering as experiments: how well graphs that a lever is left out of say what it does, and what every value
does to every other. Only of a graph that was made with experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from axiograph.discovery.interventions.prediction import Prediction
from axiograph.discovery.stored import StoredDiscovery
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import BLUE, GREY, VERMILLION, Chart
from axiograph.report.blocks.numbers import count, number
from axiograph.report.blocks.section import Block, Facts, Heading, Listing, Note, Section, Text
from axiograph.report.blocks.table import Column, Table

WITHIN, OUTSIDE, NO_INTERVAL = "within the interval", "outside the interval", "no interval"
_COLOURS = {WITHIN: BLUE, OUTSIDE: VERMILLION, NO_INTERVAL: GREY}
_SHAPES = {WITHIN: "circle", OUTSIDE: "diamond", NO_INTERVAL: "square"}
_NAMED_UP_TO = 24  # levers; more are folded away
_SIDE = 330  # pixels of a panel
MOST_DRAWN = 4000  # effects; of more, as many are drawn, and the table has all
_TIPS = {"lever": "lever", "own_value": "it moved most", "condition": "condition", "value": "value"}


def experiments_section(artefacts: Artefacts) -> Section | None:
    """The prediction of left-out levers and the total effects; None where the graph is of roles alone."""
    stored = artefacts.discovery
    if stored is None or stored.prediction is None:
        return None
    section = Section("experiments", "Experiments")
    section.add(*_prediction_blocks(stored.prediction, stored.settings.get("experiments") or {}))
    section.add(Heading("What every value does to every other"), *_total_blocks(artefacts, stored))
    return section


def _prediction_blocks(prediction: Prediction, about: Mapping[str, Any]) -> list[Block]:
    """`about`: `experiments` of discovery.json."""
    least = prediction.least
    words = prediction.in_words()
    blocks: list[Block] = [
        Text(
            "The graph was made of roles and of what steering and hints did, together. What it is worth is "
            "how well it says what a lever does that it has not seen."
        ),
        Text(words) if least is not None and least > 0 else Note(words, "warning"),
        *_who(prediction, about),
    ]
    data = judged(prediction)
    if data.is_empty():
        return blocks
    return [*blocks, prediction_chart(prediction, data), prediction_table(data)]


def _who(prediction: Prediction, about: Mapping[str, Any]) -> list[Block]:
    """Which levers took part, on how many roles, and what was left out."""
    if not about:
        return []
    own = dict(prediction.table.select("lever", "own_value").iter_rows())
    of = about.get("lever_of", {})
    names = list(dict.fromkeys(of.get(condition, condition) for condition in about["conditions"]))
    levers = [f"{name} ({own[name]})" if name in own else name for name in names]
    shown = f": {', '.join(levers)}; in brackets the value that it moved most"
    few = len(levers) <= _NAMED_UP_TO
    left_out = [f"{condition}: {why}" for condition, why in about["left_out"].items()]
    rows = [
        ("Levers", count(len(levers)) + (shown if few else "")),
        ("Conditions", f"{count(len(about['conditions']))}, on {count(about['roles'])} roles"),
    ]
    lists = [] if few else [Listing("Levers, and the value that each moved most", levers)]
    if left_out:
        lists.append(Listing(f"{count(len(left_out))} conditions left out, and why", left_out))
    return [Facts(rows), *lists]


def judged(prediction: Prediction) -> pl.DataFrame:
    """Prediction.table with `lies`: where what was measured lies, WITHIN or OUTSIDE the interval of its
    prediction, or NO_INTERVAL. Those outside come first, then the farthest from their prediction."""
    table = prediction.table
    if "low" not in table.columns:
        table = table.with_columns(low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
    numbers = pl.col("measured", "predicted", "observational")
    table = table.with_columns(pl.when(numbers == 0).then(0.0).otherwise(numbers).name.keep())  # no −0
    inside = pl.col("measured").is_between("low", "high")
    lies = pl.when(inside).then(pl.lit(WITHIN)).when(~inside).then(pl.lit(OUTSIDE))
    return (
        table.with_columns(lies=lies.otherwise(pl.lit(NO_INTERVAL)))
        .with_columns(
            outside=pl.col("lies") == OUTSIDE, miss=(pl.col("measured") - pl.col("predicted")).abs()
        )
        .sort("outside", "miss", descending=True, maintain_order=True)
        .drop("outside", "miss")
    )


def prediction_chart(prediction: Prediction, data: pl.DataFrame) -> Chart:
    """Predicted against measured; beside it the same effects as the graph of the roles alone predicts
    them."""
    import altair as alt

    step = -(-data.height // MOST_DRAWN)
    drawn = data.gather_every(step)
    ends = _ends(drawn)
    panels = [
        _with_experiments(alt, drawn, ends, f"graph without the lever: R² {number(prediction.r_squared)}"),
        _roles_alone(alt, drawn, ends, f"graph of the roles alone: R² {number(prediction.observational)}"),
    ]
    chart = alt.hconcat(*panels, spacing=30)
    outside = data.filter(pl.col("lies") == OUTSIDE).height
    some = f" One of {step} points is drawn." if step > 1 else ""
    caption = (
        "Every lever left out in turn: what it did to each other value, measured against predicted, in "
        "standard deviations of the roles. Left: by the graph made without the lever. A point's line is the "
        "95 % interval of its prediction; where it does not reach the dashed diagonal, on which measured and "
        "predicted are equal, the point is outside. Right: the same effects by the graph of the roles alone. "
        f"A line that meets the frame goes on.{some}"
    )
    words = (
        f"Scatter plots of {data.height} measured effects over their predictions, {outside} of them outside "
        "the interval; the table below holds the numbers."
    )
    return Chart.of("prediction", caption, words, chart)


def _ends(data: pl.DataFrame) -> tuple[float, float]:
    """Of both axes: all points, and intervals up to half of the points' range beyond them."""
    points = data.select(pl.concat_list("measured", "predicted", "observational").explode()).to_series()
    least, most = (float(end) for end in (points.min() or 0.0, points.max() or 0.0))  # type: ignore[arg-type]
    room = (most - least) / 2 or 0.1
    low, high = data["low"].min(), data["high"].max()
    first = least if low is None else min(least, float(low))  # type: ignore[arg-type]
    last = most if high is None else max(most, float(high))  # type: ignore[arg-type]
    margin = room / 10
    return max(first, least - room) - margin, min(last, most + room) + margin


def _axes(alt: Any, x: str, ends: tuple[float, float]) -> dict[str, Any]:
    scale = alt.Scale(domain=list(ends), nice=False, zero=False)
    return {
        "x": alt.X(f"{x}:Q", title="predicted", scale=scale),
        "y": alt.Y("measured:Q", title="measured", scale=scale),
    }


def _diagonal(alt: Any, ends: tuple[float, float]) -> Any:
    rows = pl.DataFrame({"predicted": list(ends), "measured": list(ends)})
    return (
        alt.Chart(rows)
        .mark_line(color="#888888", strokeDash=[4, 4], strokeWidth=1.5, tooltip=None)
        .encode(**_axes(alt, "predicted", ends))
    )


def _with_experiments(alt: Any, data: pl.DataFrame, ends: tuple[float, float], title: str) -> Any:
    outside = pl.col("lies") == OUTSIDE
    layers = [
        _diagonal(alt, ends),
        _intervals(alt, data.filter(~outside), ends, color=BLUE, opacity=0.35),
        _intervals(alt, data.filter(outside), ends, color=VERMILLION, opacity=0.9),
        # Those outside come first in the table, and are drawn last here, above the others.
        _points(alt, data.with_columns(interval=_intervals_in_words(data)).reverse(), ends),
    ]
    return alt.layer(*layers).properties(width=_SIDE, height=_SIDE, title=title)


def _intervals_in_words(data: pl.DataFrame) -> pl.Series:
    ends = data.select("low", "high").iter_rows()
    words = [" to ".join(number(end, 3, signed=True) for end in pair) for pair in ends]
    return pl.Series("interval", words, dtype=pl.String)


def _intervals(alt: Any, data: pl.DataFrame, ends: tuple[float, float], **look: Any) -> Any:
    rows = data.select("low", "high", "measured").drop_nulls()
    base = alt.Chart(rows).mark_rule(clip=True, strokeWidth=1.5, tooltip=None, **look)
    return base.encode(**_axes(alt, "low", ends), x2="high:Q")


def _points(alt: Any, data: pl.DataFrame, ends: tuple[float, float]) -> Any:
    states = [state for state in _COLOURS if state != NO_INTERVAL or state in set(data["lies"])]
    ranges = ([_COLOURS[state] for state in states], [_SHAPES[state] for state in states])
    colours, shapes = (alt.Scale(domain=states, range=each) for each in ranges)
    title = "what was measured lies"
    return (
        alt.Chart(data)
        .mark_point(filled=True, size=46, opacity=0.85)
        .encode(
            **_axes(alt, "predicted", ends),
            color=alt.Color("lies:N", title=title, scale=colours, legend=alt.Legend(orient="bottom")),
            shape=alt.Shape("lies:N", title=title, scale=shapes),
            tooltip=[*_tips(alt, "measured", "predicted", "error"), alt.Tooltip("interval:N")],
        )
    )


def _roles_alone(alt: Any, data: pl.DataFrame, ends: tuple[float, float], title: str) -> Any:
    points = (
        alt.Chart(data)
        .mark_point(color="#7a7a7a", size=40, opacity=0.8)
        .encode(
            **_axes(alt, "observational", ends),
            tooltip=_tips(alt, "measured", "observational", "error"),
        )
    )
    return alt.layer(_diagonal(alt, ends), points).properties(width=_SIDE, height=_SIDE, title=title)


def _tips(alt: Any, *numbers: str) -> list[Any]:
    titles = {"error": "standard error of measured", "observational": "predicted by roles alone"}
    names = [alt.Tooltip(f"{name}:N", title=title) for name, title in _TIPS.items()]
    return names + [
        alt.Tooltip(f"{name}:Q", title=titles.get(name, name), format=".3f" if name == "error" else "+.3f")
        for name in numbers
    ]


def prediction_table(data: pl.DataFrame) -> Table:
    """What the chart shows, in the order of `judged`."""
    rows = [
        [
            r["lever"],
            r["own_value"],
            r["condition"],
            r["value"],
            r["measured"],
            r["error"],
            (r["predicted"], r["low"], r["high"]),
            r["lies"],
            r["observational"],
        ]
        for r in data.iter_rows(named=True)
    ]
    columns = (
        Column("lever", note="left out with all of its strengths and controls"),
        Column("moved most", note="the lever's own value, from whose move the others are predicted"),
        Column("condition"),
        Column("value"),
        Column("measured", "number", 2, signed=True, note="standard deviations of the roles"),
        Column("standard error", "number", 2, note="of what was measured"),
        Column("predicted", "estimate", 2, signed=True, note="with the 95 % interval for what is measured"),
        Column("measured lies", note="whether the interval of the prediction holds it"),
        Column("roles alone", "number", 2, signed=True, note="predicted by the graph of the roles alone"),
    )
    caption = (
        "Effects of left-out levers in standard deviations of the roles: those outside the interval of their "
        "prediction first, then the farthest from it."
    )
    return Table("prediction", caption, columns, rows, keys=4)


def _total_blocks(artefacts: Artefacts, stored: StoredDiscovery) -> list[Block]:
    table = stored.total_effects
    if table is None:
        return [Note(f"No total effects here: run `axiograph discover {artefacts.where}` again.")]
    return [total_table(table)]


def total_table(table: pl.DataFrame) -> Table:
    """The pairs of totals_table to which a way leads in the graph or in a replicate, the strongest first."""
    ways = table.filter((pl.col("leads").fill_null(0.0) > 0) | (pl.col("total") != 0))
    rows = [
        [
            r["source"],
            r["target"],
            *((r[name], r[f"{name}_low"], r[f"{name}_high"]) for name in ("direct", "total")),
            r["leads"],
        ]
        for r in ways.sort(pl.col("total").abs(), descending=True, maintain_order=True).iter_rows(named=True)
    ]
    columns = (
        Column("value"),
        Column("acts on"),
        Column("direct", "estimate", 2, signed=True, note="0 without an arrow from the one to the other"),
        Column("total", "estimate", 2, signed=True, note="over all ways, the direct one among them"),
        Column("leads there", "number", 2, note="share of the replicates in which a way leads there"),
    )
    left_out = table.height - ways.height
    rest = (
        f" Left out: {count(left_out)} pairs between which no way leads in any replicate." if left_out else ""
    )
    caption = (
        "By how many standard deviations a value moves when another is moved by one: directly, and over all "
        "ways, in the best graph. Intervals hold 95 % of the replicates. Where roles and experiments do not "
        f"tell a direction, replicates draw it now this way, now that, and the interval holds 0.{rest}"
    )
    return Table("total-effects", caption, columns, rows, keys=2)

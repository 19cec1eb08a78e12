"""What the stage `effects` prints: changed values, responses of the others beside the control, the contrast
of roles; of sweeps of strengths trends, agreement of training and test roles, and where a strength breaks."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import polars as pl

from axiograph.discovery.effects.changes import negative_control_note, notes_on_test
from axiograph.discovery.effects.doses import DoseTables
from axiograph.discovery.effects.relations import Source, judges_note
from axiograph.discovery.effects.testing import Effects
from axiograph.engine.study.roles import shown
from axiograph.texts.plain import SHOWN_ROWS, more, number, percent, table


def effects_text(effects: Effects) -> str:
    """Changed values per condition, and what the graph says of the values that changed with them."""
    changed = effects.changes.filter(pl.col("changed"))
    tested = effects.changes.filter(pl.col("p").is_not_null()).height
    test = "resampled roles" if effects.prior is None else "moderated t over all contrasts"
    lines = [
        f"{changed.height} of {tested} condition × value contrasts changed (paired over "
        f"{effects.spec.roles} roles, false discovery rate {effects.spec.level:g}, {test})."
    ]
    lines += notes_on_test(effects.changes, earlier=effects.prior is None)
    lines += negative_control_note(effects.changes, effects.negative_controls)
    if not changed.is_empty():
        lines += ["", _changes(changed)]
    if not effects.has_graph:
        lines += ["", "There is no graph: which changes it would expect is not said."]
    elif not changed.is_empty():
        lines += ["", *_judges(effects), _responses(effects), "", _contrasts(effects)]
    if effects.cycles:
        lines.append(f"Directed cycles in the graph: {'; '.join(', '.join(c) for c in effects.cycles)}.")
    return "\n".join(lines)


def _changes(changed: pl.DataFrame) -> str:
    rows = [
        [
            f"{row['condition']}: {row['value']}",
            f"{row['mean_difference']:+.3f}",
            f"[{row['adjusted_low']:+.3f}, {row['adjusted_high']:+.3f}]",
            f"{row['p_adjusted']:.4f}",
            str(row["pairs"]),
        ]
        for row in changed.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["changed value", "difference", "interval", "p (BH)", "roles"]
    return table(header, rows) + more(changed.height)


def _judges(effects: Effects) -> list[str]:
    """By which graphs, where it is not the one graph of all."""
    lines = [line for note in judges_note(effects.judges) for line in textwrap.wrap(note, 78)]
    return [*lines, ""] if lines else []


def _responses(effects: Effects) -> str:
    """Over all changed values of all conditions: what the others did, by the graph and by frequency."""
    pooled = effects.pooled.filter(pl.col("scope") == "all conditions")
    rows = [
        [
            f"{row['relation']} {_BY[row['weights']]}",
            _of(row["changed"], row["weight"], row["weights"]) if row["n"] else "no such value",
            percent(row["share"]),
            _range(row, "share", percent_range),
            _range(row, "share_graphs", percent_range),
            number(row["size"], "+.3f"),
            _range(row, "size_graphs" if row["weights"] == "replicates" else "size", number_range),
        ]
        for row in pooled.iter_rows(named=True)
    ]
    header = ["when a value changed, others", "changed too", "share", "over roles", "and graphs"]
    return "\n".join([table([*header, "size", "interval"], rows), *_response_notes(effects)])


def _response_notes(effects: Effects) -> list[str]:
    confidence = f"{100 * (1 - effects.spec.level):g} %"
    size = "size: mean |difference| to the baseline, less what noise alone adds"
    if not effects.graph_replicates:
        return [f"(intervals of {confidence}, pointwise, over roles, the graph held fixed; {size})"]
    counted = f"the share of the {effects.graph_replicates:,} replicates in which it has the relation"
    return [
        f"(by frequency: a value counts with {counted};",
        f"intervals of {confidence}, pointwise: over roles, the graph held fixed, and over roles and graphs,",
        f"as that of the size by frequency; {size})",
    ]


_BY = {"graph": "by the graph", "replicates": "by frequency"}


def _of(changed: float, weight: float, weights: str) -> str:
    return f"{changed:.0f} of {weight:.0f}" if weights == "graph" else f"{changed:.1f} of {weight:.1f}"


def _contrasts(effects: Effects) -> str:
    """Per condition: shares by relation, expected − unexpected, and the same under random graphs."""
    weights = str(Source.GRAPH)
    shares = {
        (row["condition"], row["relation"]): row["share"]
        for row in effects.pooled.filter(pl.col("weights") == weights).iter_rows(named=True)
    }
    some = effects.pooled.filter(pl.col("targets") > 0)["condition"].unique().to_list()
    chosen = effects.contrasts.filter(
        (pl.col("weights") == weights) & pl.col("condition").is_in(some, nulls_equal=True)
    )
    single = chosen.filter((pl.col("scope") == "condition") & (pl.col("measure") == "share"))
    last = chosen.filter(pl.col("scope") == "all conditions")
    rows = [
        [
            row["condition"] if row["scope"] == "condition" else f"all conditions: {row['measure']}",
            *(
                percent(shares[row["condition"], relation]) if row["measure"] == "share" else ""
                for relation in ("expected", "possible", "unexpected")
            ),
            number(row["difference"], "+.3f"),
            _range(row, "", number_range),
            _range(row, "control", number_range),
            number(row["p"], ".4f"),
            number(row["p_adjusted"], ".4f") if row["scope"] == "condition" else "",
        ]
        for row in [*single.head(SHOWN_ROWS).iter_rows(named=True), *last.iter_rows(named=True)]
    ]
    header = [
        f"changed too, {_BY[weights]}",
        "expected",
        "possible",
        "unexpected",
        "exp. − unexp.",
        "interval",
    ]
    lines = [table([*header, f"{effects.spec.control} graphs", "p", "p (BH)"], rows) + more(single.height)]
    return "\n".join([*lines, *_control_notes(effects, last)])


def _control_notes(effects: Effects, last: pl.DataFrame) -> list[str]:
    spec = effects.spec
    how = {"relabelled": "the graph with its names shuffled", "uniform": "as many edges, placed at random"}
    notes = [
        f"({spec.control_graphs:,} {spec.control} graphs, {how[spec.control]}: the range of "
        f"{100 * (1 - spec.level):g} % of them;",
        "p: the share of them, with the graph found, that differ at least as much as it does)",
    ]
    reasons = last["reason"].drop_nulls().unique(maintain_order=True)
    return notes + [f"No comparison over all conditions: {reason}." for reason in reasons]


def percent_range(low: float, high: float) -> str:
    return f"[{100 * low:.0f} %, {100 * high:.0f} %]"


def number_range(low: float, high: float) -> str:
    return f"[{low:+.3f}, {high:+.3f}]"


def _range(row: dict[str, Any], name: str, form: Callable[[float, float], str]) -> str:
    low, high = (row[f"{name}_{end}" if name else end] for end in ("low", "high"))
    return "-" if low is None or high is None else form(low, high)


def roles_text(reference: str, contrasts: pl.DataFrame) -> str:
    """Between roles: how often other values differ where one does, by relation, averaged over values."""
    rows = []
    for (relation,), group in contrasts.group_by("relation", maintain_order=True):
        defined = group["share"].drop_nulls()
        mean = percent(float(defined.mean())) if len(defined) else "-"  # type: ignore[arg-type]
        rows.append([f"{relation} by the graph", f"{len(defined)} of {group.height}", mean])
    header = [f"roles against {shown(reference)}: where a value differs, others", "values", "differ too"]
    note = (
        "(any difference counts here, as in the paper: no test; where a share of the items is drawn per role,"
    )
    return f"{table(header, rows)}\n{note}\ndifferences between roles are also differences between items)"


def doses_text(doses: DoseTables) -> str:
    """Empty where no operation has a strength."""
    if doses.doses.is_empty():
        return ""
    parts = [_trends(doses), _similarity(doses), _limits(doses)]
    return "\n\n".join(part for part in parts if part)


def _trends(doses: DoseTables) -> str:
    tested = doses.trends.drop_nulls("trend")
    if tested.is_empty():
        return "No sweep has three strengths (the baseline counts as strength 0): no trends to test."
    shown = tested.filter(pl.col("trend") != "none").sort(pl.col("tau").abs(), descending=True)
    head = (
        f"{shown.height} of {tested.height} sweep × value curves rise or fall with the strength "
        "(Kendall's tau within roles, Student's t over roles; false discovery rate as above)."
    )
    if shown.is_empty():
        return head
    rows = [
        [
            f"{row['sweep']}: {row['value']}",
            row["trend"],
            f"{row['tau']:+.2f}",
            f"[{number(row['low'], '+.2f')}, {number(row['high'], '+.2f')}]",
            f"{row['p_adjusted']:.4f}",
            str(row["strengths"]),
        ]
        for row in shown.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["sweep: value", "trend", "tau", "interval", "p (BH)", "strengths"]
    return f"{head}\n\n{table(header, rows)}{more(shown.height)}"


def _similarity(doses: DoseTables) -> str:
    defined = doses.sign_similarity.drop_nulls("mean_similarity")
    if defined.is_empty():
        return ""
    totals = doses.sign_counts.group_by("condition").agg(pl.col("^(train|test)_.*$").sum())
    joined = defined.join(totals, on="condition", maintain_order="left")
    rows = [
        [
            row["condition"],
            *("/".join(str(row[f"{part}_{s}"]) for s in _STATES) for part in ("train", "test")),
            number(row["mean_similarity"]),
        ]
        for row in joined.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["raised/lowered/unchanged (no test)", "training roles", "test roles", "mean similarity"]
    return table(header, rows) + more(joined.height)


_STATES = ("raised", "lowered", "unchanged")


def _limits(doses: DoseTables) -> str:
    """Sweeps in which a strength breaks the model, or in which that is not settled."""
    if doses.limits.is_empty():
        return ""
    margin = 100 * doses.limits["margin"][0]
    rule = f"refused or unparsed answers {margin:g} percentage points above the baseline, interval over roles"
    furthest = doses.doses.group_by("sweep").agg(high=pl.col("strength").max(), low=pl.col("strength").min())
    joined = doses.limits.join(furthest, on="sweep", how="left", maintain_order="left")
    end = pl.when(pl.col("side") == "+").then("high").otherwise("low")
    marked = joined.filter(pl.col("breaks_from").is_not_null() | pl.col("holds_to").ne_missing(end))
    if marked.is_empty():
        return f"No strength breaks the model ({rule})."
    rows = [
        [
            row["sweep"],
            row["unit"],
            row["side"],
            number(row["holds_to"], "g"),
            number(row["breaks_from"], "g"),
        ]
        for row in marked.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["breaking strength", "unit", "side", "holds to", "breaks from"]
    return f"{table(header, rows)}{more(marked.height)}\n({rule})"

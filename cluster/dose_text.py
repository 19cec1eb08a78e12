"""What sweeps of strengths found, as text: trends, agreement of training and test roles, breaking points."""

from __future__ import annotations

import polars as pl

from cluster.printing import SHOWN_ROWS, more, number, table
from discovery.dose_response import DoseTables


def doses_text(found: DoseTables) -> str:
    """Empty where no operation has a strength."""
    if found.doses.is_empty():
        return ""
    parts = [_trends(found), _similarity(found), _limits(found)]
    return "\n\n".join(part for part in parts if part)


def _trends(found: DoseTables) -> str:
    tested = found.trends.drop_nulls("trend")
    if tested.is_empty():
        return "No sweep has three strengths (the baseline counts as strength 0): no trends to test."
    shown = tested.filter(pl.col("trend") != "none").sort(pl.col("tau").abs(), descending=True)
    head = (
        f"{shown.height} of {tested.height} sweep × value curves rise or fall with the strength "
        "(Kendall's tau within roles, signs of roles flipped; false discovery rate as above)."
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


def _similarity(found: DoseTables) -> str:
    known = found.sign_similarity.drop_nulls("mean_similarity")
    if known.is_empty():
        return ""
    totals = found.sign_counts.group_by("condition").agg(pl.col("^(train|test)_.*$").sum())
    joined = known.join(totals, on="condition", maintain_order="left")
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


def _limits(found: DoseTables) -> str:
    """Sweeps in which a strength breaks the model, or in which that is not settled."""
    if found.limits.is_empty():
        return ""
    margin = 100 * found.limits["margin"][0]
    rule = f"refused or unparsed answers {margin:g} percentage points above the baseline, interval over roles"
    furthest = found.doses.group_by("sweep").agg(high=pl.col("strength").max(), low=pl.col("strength").min())
    joined = found.limits.join(furthest, on="sweep", how="left", maintain_order="left")
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

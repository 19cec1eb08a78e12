"""What is printed of response style: saying yes and one-word answering by condition, what it comes to, and
its part in effects."""

from __future__ import annotations

from typing import Any

import polars as pl

from axiograph.cluster.stages.score import Scored
from axiograph.cluster.stages.style_verdict import one_word_verdict
from axiograph.texts.plain import SHOWN_ROWS, more, percent, table


def style_text(result: Scored) -> str:
    """By condition how much the roles say yes whatever is asked, and how often they give the same word."""
    parts = []
    if not result.one_word.is_empty():
        parts.append(_by_condition(result))
    if not result.order_effects.is_empty():
        parts.append(_order_effects(result.order_effects))
    words = one_word_verdict(result.one_word)
    return "\n\n".join([*parts, "\n".join([result.style_verdict, *([words] if words else [])])])


def _by_condition(result: Scored) -> str:
    means = result.acquiescence_means.select("condition", "mean", "low", "high")
    shifts = result.style.shifts.select("condition", "shift", "p_adjusted", "subtracted")
    joined = result.one_word.join(means, on="condition", how="left", maintain_order="left")
    joined = joined.join(shifts, on="condition", how="left", maintain_order="left")
    has_words = joined["word"].null_count() < joined.height
    rows = [
        [
            row["condition"],
            _signed(row["mean"]),
            "-" if row["low"] is None else f"[{row['low']:+.3f}, {row['high']:+.3f}]",
            _signed(row["shift"]),
            "-" if row["p_adjusted"] is None else f"{row['p_adjusted']:.4f}",
            *(_words(row) if has_words else ()),
        ]
        for row in joined.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["saying yes (−1 to 1)", "mean", "interval", "to baseline", "p (Holm)"]
    words = ["same word", "most often", "roles with one word"] if has_words else []
    return table([*header, *words], rows) + more(joined.height)


def _order_effects(means: pl.DataFrame) -> str:
    """By condition how far answers move towards the option that is shown first."""
    rows = [
        [
            row["condition"],
            _signed(row["mean"]),
            f"[{row['low']:+.3f}, {row['high']:+.3f}]",
            str(row["roles"]),
        ]
        if row["low"] is not None
        else [row["condition"], _signed(row["mean"]), "-", str(row["roles"])]
        for row in means.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["towards the option shown first (−1 to 1)", "mean", "interval", "roles"]
    return table(header, rows) + more(means.height)


def _words(row: dict[str, Any]) -> tuple[str, str, str]:
    most = f"{row['word']} {percent(row['word_share'])}"
    return percent(row["same_answer"]), most, percent(row["one_word_roles"])


def _signed(number: float | None) -> str:
    return "-" if number is None else f"{number:+.3f}"


def split_effects_text(parts: pl.DataFrame, shown: int = 12) -> str:
    """How much of the differences to the baseline is saying yes more or less often; "" where that is unknown.

    `parts`: as in discovery.effects.style.split_effects."""
    known = parts.drop_nulls("style")
    if known.is_empty():
        return ""
    apart = known.filter((pl.col("style_low") > 0) | (pl.col("style_high") < 0))
    head = (
        f"{apart.height} of {known.height} plain differences owe something to saying yes more or less often"
    )
    if apart.is_empty():
        return f"{head} (95 % intervals of that part over roles, pointwise)."
    rows = [
        [
            f"{row['condition']}: {row['value']}",
            *(_part(row, name) for name in ("plain", "content", "style")),
            "yes" if row["subtracted"] else "no",
        ]
        for row in apart.sort(pl.col("style").abs(), descending=True).head(shown).iter_rows(named=True)
    ]
    header = ["difference", "plain", "content", "style", "taken out"]
    below = "" if apart.height <= shown else f"\n… and {apart.height - shown} more (effects/style.parquet)"
    return f"{head}:\n\n{table(header, rows)}{below}"


def _part(row: dict[str, float], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    ends = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
    return f"{_signed(row[name])}{ends}"

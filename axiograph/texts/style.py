"""What is printed of response style: saying yes and one-word answering by condition, and what it comes to."""

from __future__ import annotations

from axiograph.cluster.stages.score import Scored
from axiograph.cluster.stages.style_verdict import one_word_verdict
from axiograph.texts.plain import SHOWN_ROWS, more, percent, table


def style_text(result: Scored) -> str:
    """By condition how much the roles say yes whatever is asked, and how often they give the same word."""
    parts = []
    if not result.one_word.is_empty():
        parts.append(_by_condition(result))
    words = one_word_verdict(result.one_word)
    return "\n\n".join([*parts, "\n".join([result.style_verdict, *([words] if words else [])])])


def _by_condition(result: Scored) -> str:
    means = result.acquiescence_means.select("condition", "mean", "low", "high")
    shifts = result.style.shifts.select("condition", "shift", "p_adjusted", "subtracted")
    joined = result.one_word.join(means, on="condition", how="left", maintain_order="left")
    joined = joined.join(shifts, on="condition", how="left", maintain_order="left")
    rows = [
        [
            row["condition"],
            _signed(row["mean"]),
            "-" if row["low"] is None else f"[{row['low']:+.3f}, {row['high']:+.3f}]",
            _signed(row["shift"]),
            "-" if row["p_adjusted"] is None else f"{row['p_adjusted']:.4f}",
            percent(row["same_answer"]),
            f"{row['word']} {percent(row['word_share'])}",
            percent(row["one_word_roles"]),
        ]
        for row in joined.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    header = ["saying yes (−1 to 1)", "mean", "interval", "to baseline", "p (Holm)"]
    words = ["same word", "most often", "roles with one word"]
    return table([*header, *words], rows) + more(joined.height)


def _signed(number: float | None) -> str:
    return "-" if number is None else f"{number:+.3f}"

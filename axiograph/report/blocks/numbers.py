"""Numbers as text, the same on the page, in LaTeX and in captions. What is missing is a dash, never a
number."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"
Estimate = tuple[float | None, float | None, float | None]
"""A number with the ends of its interval; any of them may be missing."""


def is_defined(value: float | None) -> bool:
    """False for None and NaN: nothing was measured, or it is not defined."""
    return value is not None and not math.isnan(value)


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """With a true minus sign; a rounded zero has no sign."""
    if value is None or math.isnan(value):
        return MISSING
    text = f"{abs(value):.{digits}f}"
    if value < 0 and float(text) != 0:
        return f"−{text}"
    return f"+{text}" if signed and float(text) != 0 else text


def count(value: float | None) -> str:
    return MISSING if value is None or math.isnan(value) else f"{value:,.0f}".replace("-", "−")


def estimate(values: Sequence[float | None], digits: int = 2, *, signed: bool = False) -> str:
    """`0.45 [0.40, 0.50]`; without an interval the number alone."""
    value, low, high = values
    head = number(value, digits, signed=signed)
    if not is_defined(value) or not is_defined(low) or not is_defined(high):
        return head
    return f"{head} [{number(low, digits, signed=signed)}, {number(high, digits, signed=signed)}]"

"""What the command line prints: plain text that can be pasted into a log or a paper's notebook."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

SHOWN_ROWS = 40
WIDTH = 78  # of prose, so that it fits a terminal of 80


def filled(text: str) -> str:
    """A paragraph in lines of WIDTH."""
    return textwrap.fill(text, WIDTH)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [
            str(row[0]).ljust(widths[0]),
            *(str(c).rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def more(height: int) -> str:
    """What stands below a table of the first SHOWN_ROWS of `height` rows."""
    return "" if height <= SHOWN_ROWS else f"\n… and {height - SHOWN_ROWS} more (in the Parquet files)"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"

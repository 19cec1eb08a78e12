"""How results show themselves: as text where they are printed, as HTML in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import ClassVar

import polars as pl

SHOWN_ROWS = 20


class Shown:
    """A result that shows itself. `text` is what the command line prints of it.

    A subclass names `shown_tables`, or overrides `shown_frames`, where it has frames worth seeing: a notebook
    then shows these instead of the text."""

    shown_tables: ClassVar[tuple[str, ...]] = ()

    @property
    def text(self) -> str:
        """What the command line prints."""
        raise NotImplementedError

    def shown_frames(self) -> Mapping[str, pl.DataFrame]:
        """The frames that a notebook shows, by their title."""
        return {name.replace("_", " "): getattr(self, name) for name in self.shown_tables}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        frames = self.shown_frames()
        return frames_html(frames) if frames else text_html(self.text)


def text_html(text: str) -> str:
    """Plain text, columns aligned."""
    return f'<pre style="line-height: 1.3">{escape(text)}</pre>'


def frames_html(frames: Mapping[str, pl.DataFrame]) -> str:
    """Titled tables, the first `SHOWN_ROWS` rows of each, numbers as Polars shows them."""
    return "".join(f"<h4>{escape(title)}</h4>{frame_html(frame)}" for title, frame in frames.items())


def frame_html(frame: pl.DataFrame) -> str:
    """A table; of a longer one its beginning, and how much more there is."""
    head = frame.head(SHOWN_ROWS)
    cells = "".join(f"<th>{escape(name)}</th>" for name in head.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in head.iter_rows()
    )
    more = frame.height - head.height
    note = f"<p>… and {more:,} more rows</p>" if more else ""
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>{note}"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

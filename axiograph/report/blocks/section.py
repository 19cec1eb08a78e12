"""A section of the report: a heading and blocks; each block is a table, a chart, a graph or a few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from axiograph.report.blocks.chart import Chart
from axiograph.report.blocks.graph_view import GraphView, Pair
from axiograph.report.blocks.table import Table


@dataclass(frozen=True)
class Text:
    """A paragraph: how to read what follows, or what it rests on."""

    text: str
    block = "text"


@dataclass(frozen=True)
class Note:
    """Something a reader must not overlook. `missing`: nothing is shown, and what would fill the place;
    `warning`: the numbers beside it need care."""

    text: str
    kind: Literal["missing", "warning"] = "missing"
    block = "note"


@dataclass(frozen=True)
class Facts:
    """Names and what stands behind them, a line each."""

    rows: Sequence[tuple[str, str]]
    block = "facts"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    block = "heading"


@dataclass(frozen=True)
class Listing:
    """Lines that are folded away until asked for."""

    title: str
    lines: Sequence[str]
    block = "listing"


@dataclass(frozen=True)
class Code:
    """Text to copy."""

    title: str
    text: str
    open: bool = False
    block = "code"


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn to a file and shown as it is; `draw` writes it to a path, by its suffix."""

    key: str
    caption: str
    alt: str
    draw: Callable[[Path], None]
    svg: str = ""
    block = "picture"


Block = Text | Note | Facts | Heading | Listing | Code | Table | Chart | GraphView | Pair | Picture


@dataclass
class Section:
    """`key` is its anchor on the page."""

    key: str
    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        self.blocks += blocks

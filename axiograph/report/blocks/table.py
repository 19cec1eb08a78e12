"""A table of the report: shown on the page by a script, written as LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from axiograph.report.blocks.latex import table_latex
from axiograph.report.blocks.numbers import count, estimate, number

Kind = Literal["text", "count", "number", "estimate"]
Row = Sequence[Any]


@dataclass(frozen=True)
class Column:
    """`kind`: what a cell is: a text, a whole number, a number, or an Estimate; any of them may be None.
    `note` explains the heading."""

    name: str
    kind: Kind = "text"
    digits: int = 2
    signed: bool = False
    note: str = ""

    @property
    def is_number(self) -> bool:
        return self.kind != "text"

    def text(self, cell: Any) -> str:
        """A cell as it is shown."""
        if self.kind == "text":
            return "" if cell is None else str(cell)
        if self.kind == "count":
            return count(cell)
        if self.kind == "number":
            return number(cell, self.digits, signed=self.signed)
        return estimate(cell or (None, None, None), self.digits, signed=self.signed)


@dataclass(frozen=True)
class Table:
    """`key` names its files and its place on the page; `caption` says what a row is and where its numbers
    come from. `keys`: how many columns name the row; LaTeX repeats them where it splits a wide table."""

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    keys: int = 1
    block = "table"

    def texts(self) -> list[list[str]]:
        """Every cell as it is shown."""
        return [[c.text(cell) for c, cell in zip(self.columns, row, strict=True)] for row in self.rows]

    def payload(self) -> dict[str, Any]:
        """For the script of the page: cells as numbers, so that it can sort them."""
        columns = [
            {"name": c.name, "kind": c.kind, "digits": c.digits, "signed": c.signed, "note": c.note}
            for c in self.columns
        ]
        rows = [[_short(c, cell) for c, cell in zip(self.columns, row, strict=True)] for row in self.rows]
        return {"key": self.key, "columns": columns, "rows": rows}

    def latex(self) -> str:
        """See axiograph.report.blocks.latex.table_latex."""
        texts = [[column.name for column in self.columns], *self.texts()]
        return table_latex(texts, [column.is_number for column in self.columns], self.caption, self.keys)

    def csv(self) -> str:
        """With all digits; an estimate is three columns, what is missing an empty cell."""
        head: list[str] = []
        for column in self.columns:
            more = [f"{column.name} low", f"{column.name} high"] if column.kind == "estimate" else []
            head += [column.name, *more]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(head)
        for row in self.rows:
            cells: list[Any] = []
            for column, cell in zip(self.columns, row, strict=True):
                cells += list(cell or (None, None, None)) if column.kind == "estimate" else [cell]
            writer.writerow(cells)
        return text.getvalue()


def _short(column: Column, cell: Any) -> Any:
    """Two digits more than are shown: a page of 25,000 rows stays small."""
    if cell is None or column.kind in ("text", "count"):
        return cell
    if column.kind == "number":
        return rounded(cell, column.digits + 2)
    return [rounded(value, column.digits + 2) for value in cell]


def rounded(value: float | None, digits: int) -> float | None:
    """None for NaN too, which JSON has no word for."""
    return None if value is None or value != value else round(value, digits)

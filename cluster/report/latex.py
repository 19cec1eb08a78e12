"""Tables of the report as LaTeX (booktabs), ready for \\input."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.report.table import Table

_LONG = 45  # rows; more go over several pages
_WIDE = 8  # columns; more turn their headings upright
_ESCAPES = {c: "\\" + c for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↔": r"$\leftrightarrow$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "α": r"$\alpha$",
    "τ": r"$\tau$",
}


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is, on one line."""
    return "".join(_ESCAPES.get(c, c) for c in " ".join(text.split()))


def table_latex(table: Table) -> str:
    """A tabular, or a longtable where it does not fit a page; needs booktabs, longtable and rotating."""
    environment = "tabular" if len(table.rows) <= _LONG else "longtable"
    upright = len(table.columns) > _WIDE
    heads = [_head(column.name, upright and k > 0) for k, column in enumerate(table.columns)]
    align = "".join("r" if column.is_number else "l" for column in table.columns)
    lines = [f"% {' '.join(table.caption.split())}", rf"\begin{{{environment}}}{{{align}}}", r"\toprule"]
    lines += [" & ".join(heads) + r" \\", r"\midrule"]
    lines += [r"\endhead"] if environment == "longtable" else []
    lines += [" & ".join(map(escaped, texts)) + r" \\" for texts in table.texts()]
    return "\n".join([*lines, r"\bottomrule", rf"\end{{{environment}}}"]) + "\n"


def _head(name: str, upright: bool) -> str:
    return rf"\rotatebox{{90}}{{{escaped(name)}}}" if upright else escaped(name)

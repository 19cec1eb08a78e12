r"""Tables of the report as LaTeX (booktabs), ready for \input, and no wider than the page."""

from __future__ import annotations

from collections.abc import Sequence

from axiograph.engine.storage.latex import escaped

_LONG = 45  # rows; more go over several pages
_UPRIGHT = 8  # columns; more turn their headings upright
_PAGE, _TURNED_PAGE = 345.0, 550.0  # points: width and height of the text of an article at 10 point
_LEAST = 0.5  # a table that would shrink to less of its size is split, and below _TURN turned by 90 degrees
_TURN = 0.62
# Widths as shares of those at 10 point: Computer Modern's small letters are no mere reduction of large ones.
_SIZES = (("normalsize", 1.0), ("small", 0.925), ("footnotesize", 0.85), ("scriptsize", 0.8), ("tiny", 0.68))
_LINE = 12.5  # points from line to line
_GAP = 6.0  # points on either side of a cell, halved in a longtable that is not of the normal size


def table_latex(texts: Sequence[Sequence[str]], numbers: Sequence[bool], caption: str, keys: int) -> str:
    """A tabular that shrinks to the line, turned where it would become too small, or a longtable where it has
    too many rows for a page; several of them where the columns do not fit a page. Needs booktabs, rotating
    and adjustbox; a longtable needs longtable and pdflscape.

    `texts`: the headings, then the rows; `numbers`: for each column whether it holds numbers, which stand to
    the right; `caption` becomes a comment; `keys`: as many columns at the left stand in every part."""
    lines = [f"% {' '.join(caption.split())}"]
    long = len(texts) - 1 > _LONG
    write = _long if long else _short
    most = _fitting(_TURNED_PAGE, "tiny") if long else _TURNED_PAGE / _LEAST
    for columns in _split(texts, keys, most):
        align = "".join("r" if numbers[k] else "l" for k in columns)
        lines += write([[row[k] for k in columns] for row in texts], align)
    return "\n".join(lines) + "\n"


def _split(texts: Sequence[Sequence[str]], keys: int, most: float) -> list[list[int]]:
    """The columns of each of the tables of at most `most` points that it is split into, the first `keys` in
    all."""
    parts: list[list[int]] = [list(range(keys))]
    for k in range(keys, len(texts[0])):
        wider = [*parts[-1], k]
        if len(parts[-1]) > keys and _width([[row[j] for j in wider] for row in texts]) > most:
            parts.append([*range(keys), k])
        else:
            parts[-1] = wider
    return parts


def _short(texts: Sequence[Sequence[str]], align: str) -> list[str]:
    width, height = _width(texts), _LINE * (len(texts) + 1)
    upright = min(1.0, _PAGE / width, _TURNED_PAGE / height)
    turned = min(1.0, _TURNED_PAGE / width, _PAGE / height)
    fit = r"max width=\linewidth, max totalheight=\textheight"
    if upright < _TURN and turned > upright:
        fit = r"max width=\textheight, max totalheight=\linewidth, angle=90"
    head, *rows = _rows(texts)
    return [
        rf"\begin{{adjustbox}}{{{fit}}}",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{adjustbox}",
        "",
    ]


def _long(texts: Sequence[Sequence[str]], align: str) -> list[str]:
    """In the largest size in which it fits the page; on turned pages where it fits in none."""
    width = _width(texts)
    fits = [
        (page, name) for page in (_PAGE, _TURNED_PAGE) for name, _ in _SIZES if width <= _fitting(page, name)
    ]
    page, size = fits[0] if fits else (_TURNED_PAGE, "tiny")
    head, *rows = _rows(texts)
    gap = [] if size == "normalsize" else [rf"\setlength{{\tabcolsep}}{{{_GAP / 2:g}pt}}"]
    lines = [
        rf"\begingroup\{size}",
        *gap,
        rf"\begin{{longtable}}{{{align}}}",
        r"\toprule",
        head,
        r"\midrule",
        r"\endhead",
        *rows,
        r"\bottomrule",
        r"\end{longtable}",
        r"\endgroup",
    ]
    return [*lines, ""] if page == _PAGE else [r"\begin{landscape}", *lines, r"\end{landscape}", ""]


def _fitting(page: float, size: str) -> float:
    """The width at 10 point of the widest table that fits `page` in this size (the gaps shrink as letters do,
    or more)."""
    return page / dict(_SIZES)[size]


def _rows(texts: Sequence[Sequence[str]]) -> list[str]:
    head = [
        rf"\rotatebox{{90}}{{{escaped(name)}}}" if upright else escaped(name)
        for name, upright in zip(texts[0], _upright(texts), strict=True)
    ]
    rows = [head, *([escaped(text) for text in row] for row in texts[1:])]
    return [_begun(" & ".join(row) + r" \\") for row in rows]


def _begun(row: str) -> str:
    """After a line's end LaTeX takes a bracket or a star for an option."""
    return "{}" + row if row.startswith(("[", "*")) else row


def _upright(texts: Sequence[Sequence[str]]) -> list[bool]:
    """Which headings stand upright: where there are many columns those that are wider than their cells."""
    many = len(texts[0]) > _UPRIGHT
    columns = zip(*texts, strict=True)
    return [
        many and k > 0 and _letters(column[0]) > max(map(_letters, column[1:]), default=0.0)
        for k, column in enumerate(columns)
    ]


def _width(texts: Sequence[Sequence[str]]) -> float:
    """Points that a table takes at 10 point: an estimate from the widths of Computer Modern's letters."""
    total = 0.0
    for upright, column in zip(_upright(texts), zip(*texts, strict=True), strict=True):
        total += max(10.0 if upright else _letters(column[0]), *map(_letters, column[1:]), 0.0) + 2 * _GAP
    return total


def _letters(text: str) -> float:
    return sum(map(_letter_width, text))


def _letter_width(c: str) -> float:
    if c in " .,:;|!'()[]ijl/":
        return 3.3
    if c in "→←↔…—":
        return 11.0
    return 8.0 if c.isupper() or c in "mw−+=±%&<>≤≥×√" else 5.2

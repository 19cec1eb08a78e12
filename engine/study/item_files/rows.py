"""One row or entry of an item file, of whatever form, as an item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axiograph.engine.study.item_files.contents import Contents
from axiograph.engine.study.item_files.items import Item
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.textfiles import bad_character

REVERSE = ("reverse", "reversed")  # columns whose TRUE means agreement −1
_PLUS, _MINUS = ("1", "+1", "1.0", "+1.0", "+"), ("-1", "-1.0", "−1", "−1.0", "-", "−", "R", "r")
_AGREEMENTS = dict.fromkeys(_PLUS, 1) | dict.fromkeys(_MINUS, -1)
_REVERSED = dict.fromkeys(("true", "1", "1.0", "r", "yes"), -1) | dict.fromkeys(
    ("false", "0", "0.0", "no", "", "none"), 1
)


def add_item(
    contents: Contents, where: str, row: Mapping[str, Any], scale: Scale | None, instruction: str = ""
) -> None:
    """Add the item of one row, or every fault of it."""
    before = len(contents.problems)
    texts = {}
    for column in ("item_id", "questionnaire", "value"):
        texts[column] = _text(contents, where, row, column)
    text_column = _text_column(contents, where, row)
    question = _text(contents, where, row, text_column)
    facet = "" if _is_empty(row.get("facet")) else _text(contents, where, row, "facet")
    agreement = _key(contents, where, row)
    if len(contents.problems) > before or agreement is None:
        return
    item = Item(
        **texts,
        agreement=agreement,
        question=question,
        scale=scale,
        facet=facet,
        is_statement=text_column == "statement",
        instruction=instruction,
    )
    contents.items.append((where, item))


def clean_text(cell: Any, allowed: str = "") -> str:
    """A text as files may hold it, stripped; ValueError says what was found instead. Whole numbers count as
    their digits, as YAML reads an id or a label of digits. `allowed`: control characters that may stay."""
    if isinstance(cell, int) and not isinstance(cell, bool):
        cell = str(cell)
    if _is_empty(cell):
        raise ValueError("nothing")
    if not isinstance(cell, str):
        raise ValueError(f"{cell!r}, which YAML does not read as text (put it in quotes)")
    if bad := bad_character(cell, allowed):
        raise ValueError(f"the character {bad}")
    return cell.strip()


def _text(contents: Contents, where: str, row: Mapping[str, Any], column: str) -> str:
    cell = row.get(column)
    try:
        if column != "item_id" and not (cell is None or isinstance(cell, (str, bool, float))):
            raise ValueError(f"{cell!r}, which YAML does not read as text (put it in quotes)")
        return clean_text(cell, "\n\t" if column in ("question", "statement") else "")
    except ValueError as error:
        contents.fault(where, f"a text for {column}", str(error))
        return ""


def _text_column(contents: Contents, where: str, row: Mapping[str, Any]) -> str:
    """ "question" or "statement", whichever the row fills; both is a fault, and neither one of question."""
    has_statement = not _is_empty(row.get("statement"))
    if has_statement and not _is_empty(row.get("question")):
        contents.fault(where, "a question or a statement", "both")
    only_statement = "statement" in row and "question" not in row
    return "statement" if has_statement or only_statement else "question"


def _key(contents: Contents, where: str, row: Mapping[str, Any]) -> int | None:
    column = next((name for name in REVERSE if name in row), None)
    if column is None:
        agreement = _AGREEMENTS.get(str(row.get("agreement")).strip())  # YAML's true is "True": none of them
        if agreement is None:
            contents.fault(where, "an agreement of 1 or -1", repr(row.get("agreement")))
        return agreement
    reversed_key = _REVERSED.get(str(row[column]).strip().lower())
    if reversed_key is None:
        found = repr(row[column])
        contents.fault(where, f"TRUE or FALSE (or 1, 0, R, nothing) for {column}", found)
    return reversed_key


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())

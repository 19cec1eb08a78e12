"""The CSV forms of an item file: the own one, and ValueBench's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from axiograph.engine.errors import InputError
from axiograph.engine.study.item_files.contents import Contents
from axiograph.engine.study.item_files.rows import REVERSE, add_item, clean_text
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.textfiles import close_matches, csv_records, csv_rows

VALUEBENCH_COLUMNS = ("questionnaire", "item", "value", "agreement", "question")
OWN_COLUMNS = ("item_id", "questionnaire", "value", "agreement", "question")
OPTIONAL_COLUMNS = ("statement", "facet", "scale", "options", *REVERSE)
_OPTION = re.compile(r"option_([1-9]\d*)")


def read_csv(path: Path, contents: Contents) -> None:
    """Add what the file holds to `contents`. Raises InputError for columns that are missing or unknown."""
    line, header = next(csv_rows(path))
    header = [name.strip() for name in header]
    form = OWN_COLUMNS if "item_id" in header else VALUEBENCH_COLUMNS
    _check_columns(f"{path}, line {line}", header, (*form, *OPTIONAL_COLUMNS))
    swapped = {"question": "statement" in header, "agreement": any(name in header for name in REVERSE)}
    needed = [name for name in form if not swapped.get(name)]
    option_columns = _option_columns(f"{path}, line {line}", header)
    counts: dict[str, int] = {}
    rows: list[tuple[str, dict[str, str], list[str]]] = []
    for line, row in csv_records(path, needed, contents.problems):
        where, name = f"{path}, line {line}", row["questionnaire"]
        counts[name] = counts.get(name, 0) + 1
        row.setdefault("item_id", f"{name}:{counts[name]}")
        rows.append((where, row, _options(contents, where, row, option_columns)))
    named = _named_scales(contents, rows)
    for where, row, options in rows:
        add_item(contents, where, row, _scale(contents, where, row, options, named))


def _check_columns(where: str, header: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in header if name not in known and not _OPTION.fullmatch(name)]
    if unknown:
        found = "the column " + ", ".join(close_matches(name, (*known, "option_1")) for name in unknown)
        expected = f"the columns {', '.join(known)}, option_1, option_2, …"
        raise InputError(
            where, expected, found, "Rename or remove it: a column that is not read says nothing."
        )
    both = [name for name in ("agreement", *REVERSE) if name in header]
    if len(both) > 1:
        remedy = "Keep one: two keys of one item may contradict each other."
        raise InputError(where, "one column for the key", " and ".join(both), remedy)


def _option_columns(where: str, header: Sequence[str]) -> list[str]:
    """The columns of options in their order; none of them, or "options" alone, or option_1 to option_k."""
    numbers = sorted(int(match[1]) for name in header if (match := _OPTION.fullmatch(name)))
    if not numbers:
        return ["options"] if "options" in header else []
    if "options" in header or numbers != list(range(1, len(numbers) + 1)):
        found = ", ".join(name for name in header if name == "options" or _OPTION.fullmatch(name))
        remedy = "Number them without gaps, low to high, or put all of them into one column."
        raise InputError(where, f"option_1 to option_{len(numbers)}, or options", found, remedy)
    return [f"option_{number}" for number in numbers]


def _options(contents: Contents, where: str, row: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """The row's own options, low to high; the last columns may stay empty, none between."""
    cells = row["options"].split("|") if list(columns) == ["options"] else [row[name] for name in columns]
    cells = [cell.strip() for cell in cells]
    while cells and not cells[-1]:
        cells.pop()
    for position, cell in enumerate(cells, start=1):
        try:
            clean_text(cell)
        except ValueError as error:
            contents.fault(where, f"a text for option {position}", str(error))
            return []
    return cells


def _named_scales(
    contents: Contents, rows: Sequence[tuple[str, Mapping[str, str], list[str]]]
) -> dict[str, Scale | None]:
    """The scales that rows name, by the options that one of them gives; None for one with faults."""
    first: dict[str, tuple[str, list[str]]] = {}
    for where, row, options in rows:
        name = row.get("scale", "")
        if name and options and first.setdefault(name, (where, options))[1] != options:
            contents.fault(where, f"the options of {name!r} in {first[name][0]}", "others")
    return {name: _make(contents, where, name, options) for name, (where, options) in first.items()}


def _scale(
    contents: Contents,
    where: str,
    row: Mapping[str, str],
    options: list[str],
    named: Mapping[str, Scale | None],
) -> Scale | None:
    name = row.get("scale", "")
    if not name:
        return _make(contents, where, row["item_id"], options) if options else None
    if name not in named:
        contents.fault(where, f"options of the scale {name!r} in some row", "none in this file")
    return named.get(name)


def _make(contents: Contents, where: str, name: str, options: list[str]) -> Scale | None:
    try:
        return Scale.of(name, options)
    except ValueError as error:
        contents.fault(where, str(error), "in its options")
        return None

"""Tables of items: IPIP's assignment table, MPI, dictionaries of R's psych, QSTN, ValueBench."""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.inventory import Builders, Entry, Inventory, Request, is_statement
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.textfiles import close_matches, read_text

IPIP_ANSWERS = Scale.of(
    "accuracy5",
    [
        "Very Inaccurate",
        "Moderately Inaccurate",
        "Neither Accurate Nor Inaccurate",
        "Moderately Accurate",
        "Very Accurate",
    ],
)
_IPIP_NOTE = "The file names no answers: IPIP's customary five are taken. --options names others."
IPIP_INSTRUCTION = "How accurately does the statement describe you?"
_OCEAN = {
    "O": "Openness",
    "C": "Conscientiousness",
    "E": "Extraversion",
    "A": "Agreeableness",
    "N": "Neuroticism",
}
_MISSING = ("", "NA", "NaN", "nan", "<NA>")


@dataclass(frozen=True)
class Row:
    """One record: where it stands, and its cells by column, stripped."""

    where: str
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


def read_table(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """(columns, rows) of a table whose cells stand apart by commas, tabs or semicolons; lines in front that
    begin with # are comments. Raises InputError."""
    lines = read_text(path).splitlines(keepends=True)
    skipped = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    delimiter = max(",\t;", key=lines[skipped].count)
    reader = csv.reader(io.StringIO("".join(lines[skipped:]), newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    header: tuple[str, ...] = ()
    while True:
        where = f"{path}, line {skipped + reader.line_num + 1}"
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:
            remedy = "Close every quote and double the quotes inside a cell."
            raise InputError(where, "a record of a table", str(error), remedy) from error
        if not header:
            header = tuple(cells)
        elif any(cells):
            if len(cells) != len(header):
                raise InputError(where, f"{len(header)} cells", str(len(cells)), "Correct that line.")
            rows.append(Row(where, dict(zip(header, cells, strict=True))))
    if not rows:
        raise InputError(str(path), "rows of items", "none", "Take another file.")
    return header, rows


def sign(row: Row, column: str) -> int | None:
    """The key in a cell, ±1; None for none or 0, where the table leaves it open. Raises InputError."""
    cell = row[column]
    keys = dict.fromkeys(("1", "+1", "1.0", "+"), 1) | dict.fromkeys(
        ("-1", "-1.0", "−1", "-", "−", "R", "r"), -1
    )
    if cell in (*_MISSING, "0", "0.0"):
        return None
    if cell not in keys:
        raise InputError(f"{row.where}, column {column}", "1, -1, +, - or R", repr(cell), "Correct the key.")
    return keys[cell]


def _ipip(header: Sequence[str], rows: list[Row], request: Request) -> Builders:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["instrument"], []).append(row)
    return {name: partial(_instrument, name, group, request) for name, group in groups.items()}


def _instrument(name: str, rows: list[Row], request: Request) -> Inventory:
    inventory = Inventory(
        name,
        instruction=IPIP_INSTRUCTION,
        source="International Personality Item Pool, ipip.ori.org",
        licence="public domain",
    )
    scale = _ipip_answers(inventory, request)
    _add_rows(inventory, rows, scale, lambda row: (row["label"], ""), "key", "text")
    return inventory


def _ipip_answers(inventory: Inventory, request: Request) -> str | None:
    if request.options is None:
        inventory.notes.append(_IPIP_NOTE)
    return inventory.add(request.options or IPIP_ANSWERS)


def _mpi(header: Sequence[str], rows: list[Row], request: Request) -> Builders:
    def build() -> Inventory:
        inventory = Inventory(
            f"MPI-{len(rows)}",
            instruction=IPIP_INSTRUCTION,
            source="Machine Personality Inventory (Jiang et al., NeurIPS 2023), items of IPIP",
        )
        scale = _ipip_answers(inventory, request)
        _add_rows(inventory, rows, scale, _trait_and_facet, "key", "text")
        return inventory

    return {f"MPI-{len(rows)}": build}


def _trait_and_facet(row: Row) -> tuple[str, str]:
    trait = row["label_ocean"]
    if trait not in _OCEAN:
        where = f"{row.where}, column label_ocean"
        raise InputError(where, f"one of {', '.join(_OCEAN)}", repr(trait), "Correct the label.")
    return _OCEAN[trait], row["label_raw"]


def _psych(header: Sequence[str], rows: list[Row], request: Request) -> Builders:
    name = request.path.name.removesuffix(".csv").removesuffix(".dictionary")
    named = {column.lower(): column for column in header}
    value = next((named[key] for key in ("big6", "scale", "factor", "b5", "construct") if key in named), None)
    facet = next((named[key] for key in ("little12", "facet", "little27") if key in named), None)

    def build() -> Inventory:
        inventory = Inventory(name, source="a dictionary of R's psych: " + request.path.name)
        scale = inventory.add(_needed_options(request))
        keyed = "Keying" if "Keying" in header else None
        if request.keys is None and (value is None or keyed is None):
            expected = "columns that say what items measure (Big6 or Scale, and Keying)"
            raise InputError(str(request.path), expected, ", ".join(header), "Name them in a file: --keys.")
        _add_rows(
            inventory,
            [Row(row.where, {**row.cells, "id": row[header[0]]}) for row in rows],
            scale,
            lambda row: (row[value or ""], row[facet or ""]),
            keyed or "",
            "Item",
            request.keys,
        )
        return inventory

    return {name: build}


def _qstn(header: Sequence[str], rows: list[Row], request: Request) -> Builders:
    name = request.path.stem

    def build() -> Inventory:
        inventory = Inventory(name, source="QSTN's form: " + request.path.name)
        if request.keys is None:
            remedy = "Write them into a CSV (item_id, value, agreement) and name it: --keys FILE."
            raise InputError(
                str(request.path), "what items measure and how they are keyed", "no keys", remedy
            )
        for row in rows:
            item_id = row["questionnaire_item_id"]
            if item_id not in request.keys:
                inventory.notes.append(f"Item {item_id} is left out: the keys do not name it.")
                continue
            value, agreement, facet = request.keys[item_id]
            scale = inventory.add(_stated_options(row) or _needed_options(request))
            text = _with_stem(row["question_stem"], row["question_content"])
            entry = Entry(f"{name}:{item_id}", value, agreement, text, scale, facet, is_statement(text))
            inventory.entries.append(entry)
        return inventory

    return {name: build}


def _with_stem(stem: str, content: str) -> str:
    holder = "{{QUESTION_CONTENT_PLACEHOLDER}}"
    return stem.replace(holder, content) if holder in stem else f"{stem} {content}".strip()


def _stated_options(row: Row) -> Scale | None:
    """The options that QSTN's columns answer_texts and answer_codes give, lists in Python's notation."""
    if row["answer_texts"] in _MISSING:
        return None
    try:
        texts = ast.literal_eval(row["answer_texts"])
        codes = (
            None
            if row["answer_codes"] in _MISSING
            else [int(c) for c in ast.literal_eval(row["answer_codes"])]
        )
        if not isinstance(texts, list):
            raise ValueError("a list of texts")
        return Scale.of("answers", [str(text) for text in texts], codes=codes)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        where = f"{row.where}, column answer_texts"
        raise InputError(where, "a list like ['Never', 'Often']", str(error), "Correct the list.") from error


def _needed_options(request: Request) -> Scale:
    if request.options is None:
        remedy = "Name them, low to high: --options 'Disagree|Neutral|Agree'."
        raise InputError(str(request.path), "answer options", "none in this form", remedy)
    return request.options


def _valuebench(header: Sequence[str], rows: list[Row], request: Request) -> Builders:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["questionnaire"], []).append(row)

    def build(name: str, group: list[Row]) -> Inventory:
        inventory = Inventory(name, source="ValueBench (Ren et al., ACL 2024)")
        # Its questions are to be answered yes or no; the items behind them are as the inventories have them.
        text = "question" if "question" in header else "item"
        scale = None if text == "question" else inventory.add(_needed_options(request))
        _add_rows(inventory, group, scale, lambda row: (row["value"], ""), "agreement", text)
        inventory.note_centring()
        return inventory

    return {name: partial(build, name, group) for name, group in groups.items()}


def _add_rows(
    inventory: Inventory,
    rows: Sequence[Row],
    scale: str | None,
    measured: Callable[[Row], tuple[str, str]],
    key: str,
    text: str,
    keys: Mapping[str, tuple[str, int, str]] | None = None,
) -> None:
    """Add a row's item; a row without text, value or key is left out and counted. `measured`: its (value,
    facet)."""
    left: list[str] = []
    for number, row in enumerate(rows, start=1):
        item_id = row["id"] or str(number)
        if keys is not None:
            value, agreement, facet = keys.get(item_id, ("", None, ""))
        else:
            (value, facet), agreement = measured(row), sign(row, key)
        if agreement is None or value in _MISSING or row[text] in _MISSING:
            left.append(row.where.rpartition(", line ")[2])
            continue
        facet = "" if facet in _MISSING else facet
        states = text != "question" and is_statement(row[text])
        entry = Entry(f"{inventory.name}:{item_id}", value, agreement, row[text], scale, facet, states)
        inventory.entries.append(entry)
    if left:
        lines = ", ".join(left[:10]) + (" …" if len(left) > 10 else "")
        note = f"{len(left)} rows without a text, a value or a key (0 is none) are left out: {lines}."
        inventory.notes.append(note)


_Reader = Callable[[Sequence[str], list[Row], Request], Builders]
FORMS: dict[str, tuple[tuple[str, ...], _Reader]] = {
    "ipip": (("instrument", "key", "text", "label"), _ipip),
    "mpi": (("label_raw", "text", "label_ocean", "key"), _mpi),
    "psych": (("Item",), _psych),
    "qstn": (("questionnaire_item_id", "question_content"), _qstn),
    "valuebench": (("questionnaire", "item", "value", "agreement"), _valuebench),
}
"""By form: the columns by which it is told, and its reader."""


def read_keys(path: Path) -> dict[str, tuple[str, int, str]]:
    """{item id: (value, agreement, facet)} of a table with the columns item_id, value, agreement and perhaps
    facet. Raises InputError."""
    header, rows = read_table(path)
    for column in ("item_id", "value", "agreement"):
        if column not in header:
            found = f"{', '.join(header)}; {close_matches(column, header)} is missing"
            raise InputError(str(path), "the columns item_id, value, agreement", found, "Add the column.")
    keys: dict[str, tuple[str, int, str]] = {}
    for row in rows:
        agreement = sign(row, "agreement")
        if agreement is None or not row["value"] or row["item_id"] in keys:
            expected = "one row for each item, with a value and a key"
            raise InputError(row.where, expected, str(dict(row.cells)), "Correct that line.")
        keys[row["item_id"]] = (row["value"], agreement, row["facet"])
    return keys

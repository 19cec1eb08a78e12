"""Reading the small text files that a person writes (CSV, YAML, JSON) with every fault named by its line."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from axiograph.engine.errors import InputError

LINE = "__line__"  # the key under which load_yaml(lines=True) leaves the line of a mapping
SHOWN = 20
SPAN_MARKS = range(0xE000, 0xE100)  # prompts mark spans with these private-use characters


class Problem(NamedTuple):
    """One fault: the place ("file.csv, line 3"), what was expected there, what was found."""

    where: str
    expected: str
    found: str


def raise_problems(problems: Sequence[Problem], remedy: str) -> None:
    """Raise one InputError that names up to 20 of the problems and counts the rest; no problem, no error."""
    if not problems:
        return
    first, rest = problems[0], problems[1:SHOWN]
    lines = [f"{p.where}: expected {p.expected}, found {p.found}" for p in rest]
    if len(problems) > SHOWN:
        lines.append(f"and {len(problems) - SHOWN} more")
    raise InputError(first.where, first.expected, "; ".join([first.found, *lines]), remedy)


def read_text(path: Path) -> str:
    """The file as UTF-8 text without byte-order mark; InputError where absent, not UTF-8 or empty."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise InputError(str(path), "a readable file", f"{error.strerror}", "Check the path.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{raw[error.start]:02x}, which is not UTF-8"
        raise InputError(f"{path}, line {line}", "UTF-8 text", byte, "Save the file as UTF-8.") from error
    if not text.strip():
        raise InputError(str(path), "at least one entry", "an empty file", "Fill the file or leave it out.")
    return text


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line on which the record begins, cells) of each non-blank record, the header first.

    Raises InputError where quotes are not closed or the file is not text.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            remedy = "Close every quote and double the quotes inside a cell."
            raise InputError(f"{path}, line {line}", "a CSV record", str(error), remedy) from error
        if cells:
            yield line, cells


def csv_records(
    path: Path, needed: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, {column: stripped cell}) per record; records with a wrong number of cells go to `problems`.

    Raises InputError for a missing or doubled column.
    """
    rows = csv_rows(path)
    line, header = next(rows)
    header = [name.strip() for name in header]
    missing = [name for name in needed if name not in header]
    if missing:
        fault = f"no column {', '.join(missing)} (columns: {', '.join(header)})"
        remedy = "Add the column or correct its name in the first line."
        raise InputError(f"{path}, line {line}", f"the columns {', '.join(needed)}", fault, remedy)
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        fault = f"{', '.join(doubled)} more than once"
        raise InputError(f"{path}, line {line}", "different column names", fault, "Rename or remove one.")
    for line, cells in rows:
        if len(cells) == len(header):
            yield line, dict(zip(header, (cell.strip() for cell in cells), strict=True))
        else:
            problems.append(Problem(f"{path}, line {line}", f"{len(header)} cells", f"{len(cells)}"))


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a doubled key instead of keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                mark = node.value[position][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} a second time", mark)
        return super().construct_mapping(node, deep)


class _LineLoader(_Loader):
    """Leaves each mapping's line in it under LINE."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep)
        mapping[LINE] = node.start_mark.line + 1
        return mapping


def load_yaml(path: Path, lines: bool = False) -> Any:
    """The YAML document; with `lines`, each mapping has its line number under LINE. Raises InputError."""
    text = read_text(path)
    try:
        return yaml.load(text, Loader=_LineLoader if lines else _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        fault = error.problem or str(error)
        raise InputError(f"{path}, line {line}", "valid YAML", fault, "Correct that line.") from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        # An unhashable key, a forbidden character, an impossible date.
        fault = " ".join(str(error).split())
        raise InputError(str(path), "valid YAML", fault, "Correct the file.") from error


def bad_character(text: str, allowed: str = "") -> str | None:
    """The first character that must not get into a prompt, as "U+XXXX", or None.

    Refused are control characters outside `allowed`, lone surrogates and the private-use characters that
    mark spans in prompts (U+E000 to U+E0FF).
    """
    for char in text:
        refused = unicodedata.category(char) in ("Cc", "Cs") or ord(char) in SPAN_MARKS
        if refused and char not in allowed:
            return f"U+{ord(char):04X}"
    return None


def close_matches(name: str, names: Sequence[str]) -> str:
    """ "'x' (did you mean 'y'?)" for a message about `name`, which is none of `names`."""
    lower = {candidate.casefold(): candidate for candidate in names}
    close = [lower[match] for match in get_close_matches(name.casefold(), list(lower), n=3, cutoff=0.6)]
    suggestion = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
    return f"{name!r}{suggestion}"

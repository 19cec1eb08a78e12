"""Roles (personas): read from a file or generated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

from axiograph.engine.errors import InputError
from axiograph.engine.study.textfiles import (
    LINE,
    Problem,
    bad_character,
    csv_records,
    load_yaml,
    raise_problems,
    read_text,
)

NO_ROLE_LABEL = "(no role)"


@dataclass(frozen=True)
class Role:
    """A persona: a name, and the trait text that the prompt shows."""

    name: str
    text: str


NO_ROLE = Role("", "")
_Entry = tuple[str, Any, Any]  # where, name, text or mapping of texts


def load_roles(path: Path, text_field: str | None) -> list[Role]:
    """Read roles, in file order; the ending of the file decides its form.

    .json: the paper's {name: {mini_trait, bio2, bio3}}, text_field by default mini_trait, or {name: text};
    .jsonl: {name, text} per line; .csv: columns name and text; .yaml: {name: text} or a list of {name, text}.
    text_field names another field for the text. Surrounding white space is dropped.
    Personas without names are called by their texts (persona_name), so that further ones rename none: lines
    of .txt, lists of texts (.json, .jsonl, .yaml), and {persona: text} as in Persona Hub (.jsonl, .json).

    Raises one InputError that names every bad entry: no or doubled name, no text, one text under two names,
    control characters, or the private-use characters U+E000 to U+E0FF, which mark spans in prompts.
    """
    readers: dict[str, Callable[[Path, str | None, list[Problem]], Iterable[_Entry]]] = {
        ".json": _read_json,
        ".jsonl": _read_jsonl,
        ".csv": _read_csv,
        ".yaml": _read_yaml,
        ".yml": _read_yaml,
        ".txt": _read_lines,
    }
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        ending = Path(path).suffix or "no ending"
        raise InputError(str(path), f"a roles file ({', '.join(readers)})", ending, "Use one of these forms.")
    problems: list[Problem] = []
    roles: list[Role] = []
    seen_names: dict[str, str] = {}
    seen_texts: dict[str, str] = {}
    for where, name, text in reader(Path(path), text_field, problems):
        fault = fault_of(name, text, seen_names, seen_texts)
        if fault:
            problems.append(Problem(where, *fault))
        if isinstance(name, str) and isinstance(text, str):
            seen_names.setdefault(name.strip(), where)
            seen_texts.setdefault(text.strip(), f"{name.strip()!r}, {where}")
            roles.append(Role(name.strip(), text.strip()))
    raise_problems(problems, "Correct these entries; no role was loaded.")
    if not roles:
        raise InputError(str(path), "at least one role", "none", "Add roles or leave the file out.")
    return roles


def load_role_fields(path: Path) -> dict[str, tuple[str, ...]]:
    """Fields for generate_roles: a YAML mapping of field name to a list of options. Raises InputError."""
    document = load_yaml(path)
    if not isinstance(document, dict) or not document:
        expected = "a mapping of field name to a list of options"
        raise InputError(str(path), expected, type(document).__name__, "Write 'Field: [option, …]' lines.")
    fields = {}
    for name, options in document.items():
        if not isinstance(name, str) or not isinstance(options, list):
            raise InputError(f"{path}, {name!r}", "a list of options", repr(options), "Write a YAML list.")
        # 1970 or 3.5 are fair options; true and null are slips (an unquoted yes, an empty entry).
        fields[name] = tuple(_option(option) for option in options)
    _check_fields(fields, str(path))
    return fields


def generate_roles(fields: Mapping[str, Sequence[str]], n: int, seed: int) -> list[Role]:
    """n different roles "role-0001", … with the text "Field: option; Field: option", fields in order.

    The first k are the same for every n ≥ k: role i is combination p(i), where p is a permutation of all
    combinations drawn from the seed (a Feistel network with cycle walking), so that no draw is repeated.
    Raises InputError for more roles than there are combinations.
    """
    _check_fields(fields, "role fields")
    total = prod(len(options) for options in fields.values())
    if not 0 <= n <= total:
        remedy = "Ask for fewer roles, or add fields or options."
        raise InputError("generated roles", f"0 to {total} roles (all combinations)", str(n), remedy)
    roles = []
    for position in range(n):
        index = _permuted(position, total, seed)
        parts = []
        for field, options in fields.items():
            index, choice = divmod(index, len(options))
            parts.append(f"{field}: {options[choice]}")
        roles.append(Role(f"role-{position + 1:04d}", "; ".join(parts)))
    return roles


def hashed(*parts: object) -> int:
    """A 64-bit hash of the parts; JSON keeps ("1", "2") apart from ("12",)."""
    text = json.dumps([str(part) for part in parts])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def persona_name(text: str) -> str:
    """What a persona is called that has no name: the same for the same text."""
    return f"persona-{hashed('persona', text.strip()):016x}"


def _permuted(position: int, total: int, seed: int) -> int:
    """p(position) for a permutation p of range(total) fixed by (total, seed)."""
    half = max(1, ((total - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = position >> half, position & mask
        for turn in range(4):
            left, right = right, left ^ (hashed(seed, turn, right) & mask)
        position = left << half | right
        if position < total:
            return position


def _option(option: Any) -> Any:
    if isinstance(option, (int, float)) and not isinstance(option, bool):
        return str(option)
    return option.strip() if isinstance(option, str) else option


def _check_fields(fields: Mapping[str, Sequence[str]], where: str) -> None:
    if not fields:
        raise InputError(where, "at least one field with options", "none", "Add a field.")
    for field, options in fields.items():
        at_field = f"{where}, {field!r}"
        if not options:
            raise InputError(at_field, "at least one option", "none", "Add options or remove the field.")
        for text in (field, *options):
            # A semicolon inside an option could make two combinations read alike.
            if not isinstance(text, str) or not text.strip() or ";" in text or bad_character(text):
                remedy = "Correct the option (quote words such as yes and no)."
                expected = "texts without semicolons and control characters"
                raise InputError(at_field, expected, repr(text), remedy)
        doubled = sorted({option for option in options if list(options).count(option) > 1})
        if doubled:
            raise InputError(at_field, "different options", f"{doubled} more than once", "Remove the second.")


def fault_of(
    name: Any, text: Any, seen_names: Mapping[str, str], seen_texts: Mapping[str, str]
) -> tuple[str, str] | None:
    """(expected, found) of the first fault of an entry."""
    if not isinstance(name, str) or not name.strip() or name.strip() == NO_ROLE_LABEL:
        return "a name", f"{name!r}"
    if not isinstance(text, str) or not text.strip():
        return f"a text for {name!r}", "nothing" if not text else repr(text)
    if bad := bad_character(name) or bad_character(text, "\n\t"):
        return "no control or private-use characters", f"{bad} in {name!r}"
    if name.strip() in seen_names:
        return "a name of its own", f"{name!r}, the name of {seen_names[name.strip()]}"
    if text.strip() in seen_texts:
        return "a text of its own", f"in {name!r} the text of {seen_texts[text.strip()]}"
    return None


def _field(where: str, entry: Any, field: str, problems: list[Problem]) -> Any:
    """entry[field]; None, with a problem noted, where there is no such field."""
    if isinstance(entry, Mapping) and field in entry:
        return entry[field]
    fields = (
        ", ".join(str(key) for key in entry if key != LINE) if isinstance(entry, Mapping) else repr(entry)
    )
    problems.append(Problem(where, f"a field {field!r}", fields or "no fields"))
    return None


def _fields(where: str, entry: Any, text_field: str | None, problems: list[Problem]) -> Iterator[_Entry]:
    """The entry of a list of {name, text}, {persona} or texts."""
    if isinstance(entry, Mapping) and "name" not in entry and "persona" in entry and text_field is None:
        entry = entry["persona"]
    if isinstance(entry, str):
        yield where, persona_name(entry), entry
        return
    before = len(problems)
    name = _field(where, entry, "name", problems)
    text = _field(where, entry, text_field or "text", problems) if len(problems) == before else None
    if len(problems) == before:
        yield where, name, text


def _named(
    path: Path, pairs: Iterable[tuple[Any, Any]], field: str, problems: list[Problem]
) -> Iterator[_Entry]:
    """The entries of a mapping name → text, or name → {field: text}."""
    for number, (name, entry) in enumerate(pairs, start=1):
        where = f"{path}, entry {number}"
        before = len(problems)
        text = _field(where, entry, field, problems) if isinstance(entry, Mapping) else entry
        if len(problems) == before:
            yield where, name, text


def _read_json(path: Path, text_field: str | None, problems: list[Problem]) -> Iterator[_Entry]:
    text = read_text(path)
    try:
        # Pairs, since a dict would silently keep the last of two equal names.
        document = json.loads(text, object_pairs_hook=_Pairs)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f"{path}, line {getattr(error, 'lineno', 1)}"
        raise InputError(where, "valid JSON", str(error), "Correct that line.") from error
    if isinstance(document, list) and not isinstance(document, _Pairs):
        for number, entry in enumerate(document, start=1):
            where = f"{path}, entry {number}"
            yield from _fields(
                where, dict(entry) if isinstance(entry, _Pairs) else entry, text_field, problems
            )
        return
    if not isinstance(document, _Pairs):
        remedy = "Write {name: {mini_trait: text}}, or use JSONL for one object a line."
        raise InputError(str(path), "an object of names", type(document).__name__, remedy)
    pairs = ((name, dict(entry) if isinstance(entry, _Pairs) else entry) for name, entry in document)
    yield from _named(path, pairs, text_field or "mini_trait", problems)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its (key, value) pairs."""


def _read_jsonl(path: Path, text_field: str | None, problems: list[Problem]) -> Iterator[_Entry]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            problems.append(Problem(where, "a JSON object", str(error)))
            continue
        yield from _fields(where, entry, text_field, problems)


def _read_csv(path: Path, text_field: str | None, problems: list[Problem]) -> Iterator[_Entry]:
    for line, row in csv_records(path, ("name", text_field or "text"), problems):
        yield from _fields(f"{path}, line {line}", row, text_field, problems)


def _read_yaml(path: Path, text_field: str | None, problems: list[Problem]) -> Iterator[_Entry]:
    document = load_yaml(path, lines=True)
    if isinstance(document, dict):
        pairs = ((name, entry) for name, entry in document.items() if name != LINE)
        yield from _named(path, pairs, text_field or "text", problems)
    elif isinstance(document, list):
        for number, entry in enumerate(document, start=1):
            where = f"{path}, line {entry[LINE]}" if isinstance(entry, dict) else f"{path}, entry {number}"
            yield from _fields(where, entry, text_field, problems)
    else:
        expected = "a mapping of names or a list of roles"
        problems.append(Problem(str(path), expected, type(document).__name__))


def _read_lines(path: Path, text_field: str | None, problems: list[Problem]) -> Iterator[_Entry]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", persona_name(line), line


def shown(name: str) -> str:
    """A role's name for people; that of "no role" is empty."""
    return name or NO_ROLE_LABEL

"""JSON documents whose parts must be of some kind, and a fault with the path of the part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from axiograph.engine.errors import InputError
from axiograph.engine.study.textfiles import read_text

T = TypeVar("T")
_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a whole number"}


def load_json(path: Path) -> Any:
    """The document; InputError with line and column where it is no JSON, or where a key stands twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            keys = [key for key, _ in pairs]
            doubled = sorted({key for key in keys if keys.count(key) > 1})
            fault = f"{', '.join(map(repr, doubled))} more than once"
            raise InputError(str(path), "each key once in an object", fault, "Keep one of them.")
        return mapping

    try:
        return json.loads(read_text(path), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        where = f"{path}, line {error.lineno}, column {error.colno}"
        raise InputError(where, "valid JSON", error.msg, "Correct that line.") from error
    except RecursionError as error:
        raise InputError(str(path), "valid JSON", "nested too deep", "Correct the file.") from error


def part(where: str, mapping: Any, key: str, kind: type[T]) -> T:
    """mapping[key], which must be there and of this kind. Raises InputError."""
    found = mapping.get(key) if isinstance(mapping, dict) else None
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        shown = "nothing" if found is None else repr(found)[:100]
        raise InputError(f"{where}, {key}", _NAMES.get(kind, kind.__name__), shown, "Correct that entry.")
    return found

"""What files of a run hold, beside what docs/data_dictionary.yaml says of them."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

DOCS = Path(__file__).resolve().parents[2] / "docs"
TYPES = {"String": "text", "Categorical": "category", "Binary": "16 bytes", "Boolean": "bool"}
TYPES |= {f"List({kind})": f"list of {kind.lower()}" for kind in ("Int16", "Int32", "Float64")}
TYPES |= {"List(String)": "list of text"}
JSON_TYPES = {bool: "bool", int: "int", float: "number", str: "text", dict: "object", list: "list"}


def make_data_dictionary():
    path = DOCS / "make_data_dictionary.py"
    spec = importlib.util.spec_from_file_location("make_data_dictionary", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DICTIONARY = make_data_dictionary()
SECTIONS = {section["id"]: section for section in DICTIONARY.sections()}


def matches(pattern: str, name: str) -> bool:
    """Whether `name` is of the form `pattern`, where <…> stands for a name and <file> for a path."""
    parts = re.split(r"(<[^>]+>)", pattern)
    inside = {"<file>": ".+"}
    regex = "".join(inside.get(p, "[^/]+") if p.startswith("<") else re.escape(p) for p in parts)
    return re.fullmatch(regex, name) is not None


class Check:
    """Files of some directories, held against the entries of some sections."""

    def __init__(self, *ids: str) -> None:
        self.tables = [table for i in ids for table in SECTIONS[i]["tables"]]
        self.others = [pattern for i in ids for pattern in SECTIONS[i].get("other", {})]
        self.seen: set[tuple[str, str]] = set()
        self.faults: list[str] = []

    def look(self, folder: Path) -> None:
        """Everything in `folder` must have an entry; what has been seen counts until the end."""
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            table = next((t for t in self.tables if any(matches(f, name) for f in t["files"])), None)
            if table is not None:
                self._columns(table, name, dict(fields(path, table)))
                continue
            other = next((pattern for pattern in self.others if matches(pattern, name)), None)
            if other is None:
                self.faults.append(f"{name}: no entry")
            self.seen.add((other or "", ""))

    def _columns(self, table: dict, name: str, found: dict[str, str | None]) -> None:
        entries = [(column, kind) for names, kind, _ in DICTIONARY.columns(table) for column in names]
        exact = {column: kind for column, kind in entries if "<" not in column}
        for column, kind in found.items():
            entry = column if column in exact else next((c for c, _ in entries if "<" in c), None)
            if entry is None:
                self.faults.append(f"{name}: no entry for {column!r}")
                continue
            wanted = dict(entries)[entry]
            allowed = [] if wanted is None else wanted.split(" or ")
            if kind is not None and allowed and kind not in allowed and (kind, wanted) != ("int", "number"):
                self.faults.append(f"{name}: {column!r} is {kind}, the dictionary says {wanted}")
            self.seen.add((table["files"][0], entry))

    def unseen(self) -> list[str]:
        """Entries that nothing had."""
        entries = [
            (table["files"][0], column)
            for table in self.tables
            for names, _, _ in DICTIONARY.columns(table)
            for column in names
        ]
        entries += [(pattern, "") for pattern in self.others]
        return [f"{file}: {column}" for file, column in entries if (file, column) not in self.seen]


def fields(path: Path, table: dict) -> Iterator[tuple[str, str | None]]:
    """Columns of a table, or keys of a JSON document as deep as the dictionary explains them."""
    if path.suffix == ".parquet":
        for name, kind in pl.read_parquet_schema(path).items():
            yield name, TYPES.get(str(kind), str(kind).lower())
    elif path.suffix == ".csv":
        yield from ((name or "", None) for name in pl.read_csv(path, has_header=False, n_rows=1).row(0))
    else:
        known = [column for names, _, _ in DICTIONARY.columns(table) for column in names]
        yield from keys(json.loads(path.read_text()), known)


def keys(document: dict, known: list[str], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        path = before + key
        yield path, "null" if value is None else JSON_TYPES[type(value)]
        if isinstance(value, dict) and any(name.startswith(f"{path}.") for name in known):
            yield from keys(value, known, f"{path}.")
        if isinstance(value, list) and any(name.startswith(f"{path}[].") for name in known):
            for entry in value:
                yield from keys(entry, known, f"{path}[].")

"""Writes docs/data_dictionary.md from docs/data_dictionary.yaml: what a run leaves, column by column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).with_name("data_dictionary.yaml")
PAGE = Path(__file__).with_name("data_dictionary.md")
HEAD = (
    "<!-- Written by `python docs/make_data_dictionary.py` from data_dictionary.yaml: edit that. -->\n\n"
    "# Data dictionary\n\nEvery file that a run leaves, and every column and key in it.\n"
)


def sections() -> list[dict[str, Any]]:
    """The parts of the dictionary, as they stand in the YAML file."""
    return list(yaml.safe_load(SOURCE.read_text(encoding="utf-8")))


def columns(table: dict[str, Any]) -> Iterator[tuple[list[str], str | None, str]]:
    """Names, type (None where there is none) and explanation of every row of a table's entry."""
    for names, about in table["columns"].items():
        kind, text = (None, about) if isinstance(about, str) else about
        yield [name.strip() for name in str(names).split(" | ")], kind, text


def page() -> str:
    """The Markdown page."""
    return "\n".join([HEAD, *(_section(section) for section in sections())])


def _section(section: dict[str, Any]) -> str:
    parts = [f"## {section['section']}\n", f"{section['text'].strip()}\n"]
    parts += [_table(table) for table in section["tables"]]
    if section.get("other"):
        rows = [f"| {_code(name)} | {text} |" for name, text in section["other"].items()]
        parts.append("\n".join(["### Besides\n", "| file | what |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def _table(table: dict[str, Any]) -> str:
    rows = list(columns(table))
    typed = any(kind for _, kind, _ in rows)
    name = "key" if table["files"][0].endswith(".json") else "column"
    head = [f"| {name} | type | what |", "|---|---|---|"] if typed else [f"| {name} | what |", "|---|---|"]
    lines = []
    for names, kind, text in rows:
        cells = [", ".join(map(_code, names)), *([kind or ""] if typed else []), _escaped(text)]
        lines.append("| " + " | ".join(cells) + " |")
    title = ", ".join(f"`{file}`" for file in table["files"])
    return "\n".join([f"### {title}\n", f"{table['what'].strip()}\n", *head, *lines, ""])


def _code(name: str) -> str:
    return f"`{name}`" if name else "(first)"


def _escaped(text: str) -> str:
    """Text for a cell: a bar would end it."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

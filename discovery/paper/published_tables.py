"""The published tables that a replication is compared with: reading them, and counting equal cells."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from axiograph.engine.errors import InputError

Side = Literal["positive", "negative"]
Counts = dict[str, dict[str, int]]
"""Method of steering (`sae`, `hard_prompt`) → `up`, `down`, `same` → number of (role, value) pairs."""
Cell = str | float | None
Table = dict[str, dict[str, Cell]]
"""Row name → column name → cell; None is an empty cell."""
Model = TypeVar("Model", bound=BaseModel)


class ExpectedGraph(BaseModel):
    """`expected_graph.json`: the model's edges after transitive reduction, and those of a reference graph."""

    reduced_edges: list[tuple[str, str]]
    human_reference_edges: list[tuple[str, str]] | None = None


class ExpectedComparison(BaseModel):
    """`expected_steering_comparison.json`: per side value → the feature chosen for it, and the counts."""

    features: dict[Side, dict[str, int]]
    positive: Counts | None = None
    negative: Counts | None = None

    def table(self) -> Table:
        """The published counts, a row per side."""
        sides = {"positive": self.positive, "negative": self.negative}
        return {side: flat(counts) for side, counts in sides.items() if counts is not None}


@dataclass(frozen=True)
class Artefact:
    """How many cells of a published artefact are equal, numbers exactly as parsed.

    `differences`: the first of the unequal ones in words; `max_difference`: the largest absolute
    difference of unequal numbers, None if there is none."""

    name: str
    equal: int
    total: int
    max_difference: float | None = None
    differences: tuple[str, ...] = ()


def flat(counts: Counts) -> dict[str, Cell]:
    """`method direction` → count."""
    return {f"{method} {key}": count for method, part in counts.items() for key, count in part.items()}


def compare_edges(expected: list[tuple[str, str]], computed: list[tuple[str, str]]) -> Artefact:
    """Edges in either list are the cells; the order of the lists does not matter."""
    missing = [f"missing {a} → {b}" for a, b in expected if (a, b) not in computed]
    extra = [f"not expected {a} → {b}" for a, b in computed if (a, b) not in expected]
    total = len(expected) + len(extra)
    return Artefact("graph", total - len(missing) - len(extra), total, None, tuple((missing + extra)[:10]))


def compare_tables(name: str, expected: Table, computed: Table) -> Artefact:
    """Cell by cell over the expected table; a row or column that was not computed is unequal throughout."""
    equal, total, texts, gaps = 0, 0, [], []
    for row, cells in expected.items():
        for column, cell in cells.items():
            total += 1
            other = computed.get(row, {}).get(column, "not computed")
            if other == cell:
                equal += 1
                continue
            texts.append(f"{row}, {column}: expected {_shown(cell)}, found {_shown(other)}")
            if isinstance(cell, float | int) and isinstance(other, float | int):
                gaps.append(abs(cell - other))
    return Artefact(name, equal, total, max(gaps, default=None), tuple(texts[:10]))


def read_document(path: Path, model: type[Model]) -> Model | None:
    """The JSON document, or None where the file is absent: it is optional. InputError if malformed."""
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}, {field}", "a published artefact", first["msg"], "Check the file."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(str(path), "a JSON file", str(error), "Check the file.") from error


def read_table(path: Path, row_name: Callable[[str], str], cell: Callable[[str], Cell]) -> Table | None:
    """A CSV whose first column names the rows, or None where the file is absent. `row_name` and `cell` read
    its texts. InputError if malformed."""
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(str(path), "a CSV table", str(error), "Check the file.") from error
    table: Table = {}
    for line, row in enumerate(rows[1:], start=2):
        try:
            table[row_name(row[0])] = dict(zip(rows[0][1:], map(cell, row[1:]), strict=True))
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path}, line {line}", "a row of the table", str(error), "Check the file."
            ) from error
    return table


def feature_name(text: str) -> str:
    """Table 1 names its rows by floats."""
    return str(int(float(text)))


def text_cell(text: str) -> Cell:
    """A cell of Table 1."""
    return text or None


def number_cell(text: str) -> Cell:
    """A cell of Table 2."""
    return float(text) if text else None


def _shown(cell: Cell) -> str:
    return "empty" if cell is None else str(cell)

"""Roles out of tables of people: texts by a template over columns, and draws by survey weights and strata."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import jinja2.sandbox

from axiograph.engine.errors import InputError
from axiograph.engine.study.roles import Role, fault_of, hashed, load_roles, persona_name
from axiograph.engine.study.schema import RoleFile
from axiograph.engine.study.textfiles import (
    LINE,
    Problem,
    close_matches,
    csv_records,
    load_yaml,
    raise_problems,
    read_text,
)

ROWS = "row"  # as `name`: roles are called by the number of their row


@dataclass(frozen=True)
class Person:
    """A role that may be drawn, and how much of the population it stands for."""

    role: Role
    weight: Fraction
    stratum: tuple[str, ...]


class _EmptyCell(jinja2.Undefined):
    """An empty cell: false in a condition, and an error where it would be part of the text."""

    def __str__(self) -> str:
        self._fail_with_undefined_error()

    __repr__ = __str__


def load_role_file(file: RoleFile) -> list[Role]:
    """The roles of one entry of `roles.files`, in file order.

    Without `text`, `name`, `weight` and `strata` these are load_roles', or `n` of them, each as likely.
    Otherwise each row of a CSV, or object of a list (JSON, JSONL, YAML), is a person: `text` and `name` are
    Jinja2 over its columns (`name: row`: by the number of the row; without a name, and without a column of
    that name, by the text). Rows of one text are one role, called like the first of them and as heavy as all
    together. With `n`, so many are drawn (draw).

    Raises one InputError that names every bad row: an empty cell that the text shows, a weight that is none,
    and what load_roles refuses. A text can do without a cell: {% if party %}…{% endif %}."""
    if file.text is None and file.name is None and file.weight is None and not file.strata:
        roles = load_roles(file.path, file.text_field)
        if file.n is None:
            return roles
        people = [Person(role, Fraction(1), ()) for role in roles]
    else:
        people = _people(file)
    if file.n is None:
        return [person.role for person in people]
    try:
        return [person.role for person in draw(people, file.n, file.seed)]
    except ValueError as error:
        raise InputError(f"{file.path}, n", str(error), str(file.n), "Ask for fewer roles.") from error


def draw(people: Sequence[Person], n: int, seed: int) -> list[Person]:
    """n different people, in their order: strata by their share of all weights (largest remainders), within a
    stratum systematic sampling with probability proportional to weight, in a random order; who weighs more
    than one place is taken for certain. ValueError for more than have a weight."""
    strata: dict[tuple[str, ...], list[Person]] = {}
    for person in people:
        if person.weight > 0:
            strata.setdefault(person.stratum, []).append(person)
    present = sum(map(len, strata.values()))
    if n > present:
        raise ValueError(f"at most {present}, the rows with different texts and a weight above 0")
    sizes = {key: (sum((p.weight for p in rows), Fraction(0)), len(rows)) for key, rows in strata.items()}
    places = _allocate(sizes, n)
    names = {p.role.name for key, rows in strata.items() for p in _systematic(rows, places[key], seed)}
    return [person for person in people if person.role.name in names]


def _allocate(strata: Mapping[tuple[str, ...], tuple[Fraction, int]], n: int) -> dict[tuple[str, ...], int]:
    """Places of each stratum, of which each has (weight, number of people); none gets more than it has."""
    places: dict[tuple[str, ...], int] = {}
    left, open_strata = n, dict(strata)
    while open_strata:
        total = sum((weight for weight, _ in open_strata.values()), Fraction(0))
        full = [key for key, (weight, size) in open_strata.items() if left * weight / total >= size]
        if not full:
            break
        for key in full:
            places[key] = open_strata.pop(key)[1]
            left -= places[key]
    if not open_strata:
        return places
    quotas = {key: left * weight / total for key, (weight, _) in open_strata.items()}
    places |= {key: math.floor(quota) for key, quota in quotas.items()}
    rest = left - sum(places[key] for key in quotas)
    for key in sorted(quotas, key=lambda key: (places[key] - quotas[key], key))[:rest]:
        places[key] += 1
    return places


def _systematic(people: Sequence[Person], n: int, seed: int) -> list[Person]:
    """n of the people of one stratum. Weights are fractions, so that no rounding takes a person twice."""
    rows = sorted(people, key=lambda person: hashed(seed, "order", person.role.name))
    total = sum((person.weight for person in rows), Fraction(0))
    taken: list[Person] = []
    for person in sorted(rows, key=lambda person: -person.weight):
        left = n - len(taken)
        if left == 0 or person.weight * left < total:
            break
        taken.append(person)
        total -= person.weight
    left = n - len(taken)
    certain = {person.role.name for person in taken}
    rows = [person for person in rows if person.role.name not in certain]
    if left:
        ends = list(accumulate(person.weight for person in rows))
        start = Fraction(hashed(seed, "start", *rows[0].stratum), 2**64)
        taken += [rows[bisect_right(ends, (start + k) * total / left)] for k in range(left)]
    return taken


def _people(file: RoleFile) -> list[Person]:
    problems: list[Problem] = []
    rows = list(_rows(file.path, problems))
    columns = list(dict.fromkeys(str(column) for _, row in rows for column in row))
    text = _template(file, "text", file.text or f"{{{{ {file.text_field or 'text'} }}}}", columns)
    has_name = file.name is not None or "name" in columns
    name = (
        None
        if not has_name or file.name == ROWS
        else _template(file, "name", file.name or "{{ name }}", columns)
    )
    for key, used in (("weight", [file.weight]), ("strata", file.strata)):
        if unknown := [column for column in used if column is not None and column not in columns]:
            found = ", ".join(close_matches(column, columns) for column in unknown)
            raise InputError(
                f"{file.path}, {key}", f"columns ({', '.join(columns)})", found, "Correct the name."
            )
    people: dict[str, Person] = {}
    seen: dict[str, str] = {}
    for number, (where, row) in enumerate(rows, start=1):
        before = len(problems)
        weight = _weight(where, row, file.weight, problems)
        rendered = _render(where, text, row, problems)
        if len(problems) > before or rendered is None:
            continue
        if known := people.get(rendered):
            people[rendered] = Person(known.role, known.weight + weight, known.stratum)
            continue
        called = f"row-{number}" if file.name == ROWS else persona_name(rendered)
        if name is not None and (called := _render(where, name, row, problems) or "") == "":
            continue
        if fault := fault_of(called, rendered, seen, {}):
            problems.append(Problem(where, *fault))
        seen.setdefault(called, where)
        stratum = tuple(str(row.get(column, "")) for column in file.strata)
        people[rendered] = Person(Role(called, rendered), weight, stratum)
    raise_problems(problems, "Correct these rows, or the template; no role was loaded.")
    if not people:
        raise InputError(str(file.path), "at least one role", "none", "Add rows or leave the file out.")
    return list(people.values())


def _rows(path: Path, problems: list[Problem]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, {column: value}) of each row."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        yield from ((f"{path}, line {line}", dict(row)) for line, row in csv_records(path, (), problems))
        return
    entries: Iterable[tuple[str, Any]]
    if suffix == ".jsonl":
        lines = enumerate(read_text(path).split("\n"), start=1)
        entries = (
            (f"{path}, line {n}", _json(f"{path}, line {n}", line)) for n, line in lines if line.strip()
        )
    elif suffix in (".json", ".yaml", ".yml"):
        document = _json(str(path), read_text(path)) if suffix == ".json" else load_yaml(path, lines=True)
        if not isinstance(document, list):
            found = type(document).__name__
            raise InputError(str(path), "a list of people, each with its columns", found, "Write a list.")
        entries = ((f"{path}, entry {n}", entry) for n, entry in enumerate(document, start=1))
    else:
        expected = "a table of people (.csv, .jsonl, .json, .yaml)"
        raise InputError(str(path), expected, suffix or "no ending", "Use one of these forms.")
    for where, entry in entries:
        if isinstance(entry, dict):
            yield where, {str(key): value for key, value in entry.items() if key != LINE}
        else:
            problems.append(Problem(where, "columns with values", repr(entry)[:100]))


def _json(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(where, "valid JSON", str(error), "Correct it.") from error


def _template(file: RoleFile, key: str, source: str, columns: Sequence[str]) -> jinja2.Template:
    where = f"{file.path}, {key}"
    environment = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
    try:
        names = jinja2.meta.find_undeclared_variables(environment.parse(source))
        template = environment.from_string(source)
    except jinja2.TemplateError as error:
        raise InputError(where, "valid Jinja2", str(error), "Mend the template.") from error
    if unknown := sorted(names - set(columns) - {"row"}):
        found = ", ".join(close_matches(name, columns) for name in unknown)
        remedy = "Correct the name; one with spaces is row['the column']."
        raise InputError(where, f"columns of the file ({', '.join(columns)})", found, remedy)
    return template


def _render(
    where: str, template: jinja2.Template, row: Mapping[str, Any], problems: list[Problem]
) -> str | None:
    cells = {
        column: _EmptyCell(hint=f"the cell of {column!r} is empty") if value is None or value == "" else value
        for column, value in row.items()
    }
    try:
        return template.render({"row": cells, **cells}).strip()
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
        problems.append(Problem(where, "cells for the template", str(error)))
        return None


def _weight(where: str, row: Mapping[str, Any], column: str | None, problems: list[Problem]) -> Fraction:
    if column is None:
        return Fraction(1)
    cell = row.get(column)
    try:
        if isinstance(cell, bool) or (weight := Fraction(str(cell))) < 0:
            raise ValueError
        return weight
    except (ValueError, ZeroDivisionError):
        problems.append(Problem(where, f"a weight of 0 or more in {column!r}", repr(cell)))
        return Fraction(0)

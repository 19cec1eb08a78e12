"""Questionnaires: the items of one or several inventories and the values that they measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from axiograph.engine.errors import InputError
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.textfiles import (
    LINE,
    Problem,
    bad_character,
    close_matches,
    csv_records,
    csv_rows,
    load_yaml,
    raise_problems,
)

VALUEBENCH_COLUMNS = ("questionnaire", "item", "value", "agreement", "question")
OWN_COLUMNS = ("item_id", "questionnaire", "value", "agreement", "question")
_AGREEMENTS = {"1": 1, "+1": 1, "1.0": 1, "+1.0": 1, "-1": -1, "-1.0": -1, "−1": -1, "−1.0": -1}


@dataclass(frozen=True)
class Item:
    """One question of an inventory; `agreement` is +1, or −1 for a reverse-keyed item.

    `scale`: the options of its answers; None: yes or no. `facet`: the part of the value that it measures.
    `is_statement`: its text is a statement to agree with ("Is outgoing and sociable"), no question.
    `instruction`: what its inventory says before the items."""

    item_id: str
    questionnaire: str
    value: str
    agreement: int
    question: str
    scale: Scale | None = None
    facet: str = ""
    is_statement: bool = False
    instruction: str = ""


@dataclass(frozen=True)
class Questionnaire:
    """Items, the definitions of values where a file gives them, and the files they came from."""

    items: tuple[Item, ...]
    definitions: dict[str, str]
    sources: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The values in the order in which the items first name them."""
        return tuple(dict.fromkeys(item.value for item in self.items))

    def select(self, values: Sequence[str] | None, group_by: Literal["name", "scale"]) -> Questionnaire:
        """The items of these values (None: of all), with the grouped value names, in the order of `values`.

        "name" joins scales of the same name across inventories; "scale" keeps them apart under the label
        "{questionnaire}: {value}". Call it on what load_questionnaires returned. Raises InputError for an
        unknown value name, one given twice, or nothing selected.
        """
        items = [replace(item, value=_label(item, group_by)) for item in self.items]
        definitions = {
            new.value: text
            for old, new in zip(self.items, items, strict=True)
            if (text := self.definitions.get(new.value, self.definitions.get(old.value))) is not None
        }
        if values is not None:
            _check_names(values, list(dict.fromkeys(item.value for item in items)), group_by)
            order = {value: position for position, value in enumerate(values)}
            items = sorted((item for item in items if item.value in order), key=lambda i: order[i.value])
            definitions = {value: text for value, text in definitions.items() if value in order}
        if not items:
            remedy = "Name at least one value, or leave the list out to keep all."
            raise InputError(", ".join(self.sources), "at least one selected item", "none", remedy)
        return Questionnaire(tuple(items), definitions, self.sources)


def load_questionnaires(paths: Sequence[Path]) -> Questionnaire:
    """Read inventories: ValueBench's CSV, the own CSV, or the own YAML, told apart by ending and first line.

    ValueBench (Ren et al., ACL 2024): columns questionnaire, item, value, agreement, question; an item's id
    is "{questionnaire}:{k}", k its running number (from 1) within the questionnaire in the file, so that
    other questionnaires can be added without changing it.
    Own CSV: columns item_id, questionnaire, value, agreement, question.
    Own YAML: {questionnaire, definitions: {value: text}, items: [{id, value, agreement, question}]}.

    Raises one InputError that names every bad row by file and line.
    """
    if not paths:
        raise InputError("questionnaires", "at least one file", "none", "Name a questionnaire file.")
    problems: list[Problem] = []
    located: list[tuple[str, Item]] = []
    definitions: dict[str, tuple[str, str]] = {}
    for path in map(Path, paths):
        before = len(located) + len(problems)
        located += _read(path, problems, definitions)
        if len(located) + len(problems) == before:
            problems.append(Problem(str(path), "at least one item", "no items"))
    problems += _doubled_ids(located)
    if not problems:
        problems += _orphans(definitions, [item.value for _, item in located])
    raise_problems(problems, "Correct these entries; nothing was loaded.")
    texts = {value: text for value, (_, text) in definitions.items()}
    return Questionnaire(tuple(item for _, item in located), texts, tuple(str(path) for path in paths))


def repeated_texts(items: Iterable[Item]) -> list[tuple[str, tuple[Item, ...]]]:
    """Question texts that more than one item uses with the same options, with their items, in order of first
    appearance."""
    by_text: dict[tuple[str, Scale | None], list[Item]] = {}
    for item in items:
        by_text.setdefault((item.question, item.scale), []).append(item)
    return [(text, tuple(group)) for (text, _), group in by_text.items() if len(group) > 1]


def shared_texts(items: Iterable[Item]) -> list[tuple[str, tuple[Item, ...]]]:
    """Question texts that serve several values (as grouped): the same answer counts in each (DESIGN 14)."""
    return [(text, group) for text, group in repeated_texts(items) if len({i.value for i in group}) > 1]


def one_way_keyed(items: Iterable[Item]) -> tuple[str, ...]:
    """Values whose items are all keyed the same way, so that acquiescence cannot be told from the value."""
    keys: dict[str, set[int]] = {}
    for item in items:
        keys.setdefault(item.value, set()).add(item.agreement)
    return tuple(value for value, signs in keys.items() if len(signs) == 1)


def _label(item: Item, group_by: str) -> str:
    return f"{item.questionnaire}: {item.value}" if group_by == "scale" else item.value


def _check_names(values: Sequence[str], names: Sequence[str], group_by: str) -> None:
    what = f"value {'names' if group_by == 'name' else 'labels (questionnaire: value)'} of the questionnaires"
    present = set(names)
    unknown = [close_matches(value, names) for value in values if value not in present]
    if unknown:
        raise InputError("values", what, ", ".join(unknown), "Correct the name, or add its questionnaire.")
    doubled = sorted({value for value in values if values.count(value) > 1})
    if doubled:
        raise InputError("values", "each value once", f"{doubled} more than once", "Remove the second.")


def _read(
    path: Path, problems: list[Problem], definitions: dict[str, tuple[str, str]]
) -> list[tuple[str, Item]]:
    """(file and line, item) of every good row; the bad ones go to `problems`."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return list(_read_yaml(path, problems, definitions))
    _, header = next(csv_rows(path))
    with_ids = "item_id" in (name.strip() for name in header)
    columns = OWN_COLUMNS if with_ids else VALUEBENCH_COLUMNS
    counts: dict[str, int] = {}
    located: list[tuple[str, Item]] = []
    for line, row in csv_records(path, columns, problems):
        name = row["questionnaire"]
        counts[name] = counts.get(name, 0) + 1
        item_id = row["item_id"] if with_ids else f"{name}:{counts[name]}"
        located += _item(f"{path}, line {line}", {**row, "item_id": item_id}, problems)
    return located


def _read_yaml(
    path: Path, problems: list[Problem], definitions: dict[str, tuple[str, str]]
) -> Iterator[tuple[str, Item]]:
    document = load_yaml(path, lines=True)
    if not isinstance(document, dict):
        expected = "a mapping with questionnaire and items"
        problems.append(Problem(str(path), expected, type(document).__name__))
        return
    allowed = ("questionnaire", "definitions", "items", LINE)
    problems += [
        Problem(str(path), "the keys questionnaire, definitions, items", repr(key))
        for key in document
        if key not in allowed
    ]
    _read_definitions(path, document.get("definitions"), problems, definitions)
    items = document.get("items")
    if not isinstance(items, list):
        problems.append(Problem(str(path), "a list under items", "none" if items is None else repr(items)))
        return
    for number, entry in enumerate(items, start=1):
        if not isinstance(entry, dict):
            where = f"{path}, item {number}"
            problems.append(Problem(where, "a mapping with id, value, agreement, question", repr(entry)))
            continue
        where = f"{path}, line {entry[LINE]}"
        extra = set(entry) - {"id", "value", "agreement", "question", LINE}
        if extra:
            names = ", ".join(sorted(map(repr, extra)))
            problems.append(Problem(where, "the keys id, value, agreement, question", names))
            continue
        row = {**entry, "item_id": entry.get("id"), "questionnaire": document.get("questionnaire")}
        yield from _item(where, row, problems)


def _read_definitions(
    path: Path, entries: Any, problems: list[Problem], definitions: dict[str, tuple[str, str]]
) -> None:
    if entries is None:
        return
    if not isinstance(entries, dict):
        problems.append(Problem(f"{path}, definitions", "a mapping of value to text", repr(entries)))
        return
    for value, text in entries.items():
        if value == LINE:
            continue
        where = f"{path}, definition of {value!r}"
        if not isinstance(value, str) or not isinstance(text, str) or not text.strip():
            problems.append(Problem(where, "a value name with a text", repr(text)))
        elif bad := bad_character(text, "\n\t"):
            problems.append(Problem(where, "printable characters", bad))
        elif definitions.setdefault(value, (where, text.strip()))[1] != text.strip():
            problems.append(Problem(where, f"the text of {definitions[value][0]}", "another one"))


def _text(row: Mapping[str, Any], column: str) -> tuple[str, str | None]:
    """(the text, None) or ("", what was found instead)."""
    cell = row.get(column)
    if column == "item_id" and isinstance(cell, int) and not isinstance(cell, bool):
        cell = str(cell)
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return "", "nothing"
    if not isinstance(cell, str):
        return "", f"{cell!r}, which YAML does not read as text (put it in quotes)"
    if bad := bad_character(cell, "\n\t" if column == "question" else ""):
        return "", f"the character {bad}"
    return cell.strip(), None


def _item(where: str, row: Mapping[str, Any], problems: list[Problem]) -> list[tuple[str, Item]]:
    """The item of one row, or nothing and every fault of the row in `problems`."""
    before = len(problems)
    texts: dict[str, str] = {}
    for column in ("item_id", "questionnaire", "value", "question"):
        texts[column], fault = _text(row, column)
        if fault:
            problems.append(Problem(where, f"a text for {column}", fault))
    agreement = _agreement(row.get("agreement"))
    if agreement is None:
        problems.append(Problem(where, "an agreement of 1 or -1", repr(row.get("agreement"))))
    if len(problems) > before or agreement is None:
        return []
    return [(where, Item(agreement=agreement, **texts))]


def _agreement(cell: Any) -> int | None:
    return _AGREEMENTS.get(str(cell).strip())  # YAML's true is "True" here and none of them


def _doubled_ids(located: Sequence[tuple[str, Item]]) -> list[Problem]:
    first: dict[str, str] = {}
    problems = []
    for where, item in located:
        if item.item_id in first:
            fault = f"the id {item.item_id!r} of {first[item.item_id]}"
            problems.append(Problem(where, "an id of its own", fault))
        first.setdefault(item.item_id, where)
    return problems


def _orphans(definitions: Mapping[str, tuple[str, str]], values: Sequence[str]) -> list[Problem]:
    """Definitions of values that no item measures: most often a misspelt name."""
    measured = list(dict.fromkeys(values))
    return [
        Problem(where, "the name of a value that some item measures", close_matches(value, measured))
        for value, (where, _) in definitions.items()
        if value not in measured
    ]

"""Questionnaires: the items of one or several inventories and the values that they measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from axiograph.engine.errors import InputError
from axiograph.engine.study.item_files.contents import Contents, Origin
from axiograph.engine.study.item_files.csv_forms import read_csv
from axiograph.engine.study.item_files.items import Item
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.item_files.yaml_form import read_yaml
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.textfiles import Problem, close_matches, raise_problems, read_text


@dataclass(frozen=True)
class Questionnaire:
    """Items, the definitions of values where a file gives them, and the files they came from.

    `norms`: of (questionnaire, value), as the file names them, whatever values are grouped. `origins`: of
    questionnaires whose file says where they come from."""

    items: tuple[Item, ...]
    definitions: dict[str, str]
    sources: tuple[str, ...]
    norms: dict[tuple[str, str], tuple[Norm, ...]] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()

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
        selected = {item.item_id for item in items}
        scales = {(item.questionnaire, item.value) for item in self.items if item.item_id in selected}
        norms = {scale: norms for scale, norms in self.norms.items() if scale in scales}
        origins = tuple(o for o in self.origins if o.questionnaire in {name for name, _ in scales})
        return Questionnaire(tuple(items), definitions, self.sources, norms, origins)


def load_questionnaires(paths: Sequence[Path]) -> Questionnaire:
    """Read inventories: ValueBench's CSV, the own CSV, or the own YAML, told apart by ending and first line.

    ValueBench (Ren et al., ACL 2024): columns questionnaire, item, value, agreement, question; an item's id
    is "{questionnaire}:{k}", k its running number (from 1) within the questionnaire in the file, so that
    other questionnaires can be added without changing it.
    Own CSV: columns item_id, questionnaire, value, agreement, question. Both may have `statement` beside or
    in place of question, `reverse` in place of agreement, `facet`, and a row's own options, low to high, in
    option_1 … option_k or, separated by "|", in `options`; rows that name a `scale` share its options.
    Own YAML: {questionnaire, definitions: {value: text}, items: [{id, value, agreement, question}]}, and
    perhaps scales, scale, instruction, source, licence, notes and norms; items may have statement, facet,
    scale or options (docs/study_file.md).

    Raises one InputError that names every bad row by file and line.
    """
    if not paths:
        raise InputError("questionnaires", "at least one file", "none", "Name a questionnaire file.")
    contents = Contents()
    for path in map(Path, paths):
        before = len(contents.items) + len(contents.problems)
        _read(path, contents)
        if len(contents.items) + len(contents.problems) == before:
            contents.fault(str(path), "at least one item", "no items")
    contents.problems += _doubled_ids(contents.items)
    if not contents.problems:
        contents.problems += _orphans(contents.definitions, [item.value for _, item in contents.items])
    raise_problems(contents.problems, "Correct these entries; nothing was loaded.")
    return Questionnaire(
        tuple(item for _, item in contents.items),
        {value: text for value, (_, text) in contents.definitions.items()},
        tuple(str(path) for path in paths),
        {scale: norms for scale, (_, norms) in contents.norms.items()},
        tuple(contents.origins),
    )


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


def _read(path: Path, contents: Contents) -> None:
    """Add what the file holds to `contents`."""
    if path.suffix.lower() in (".yaml", ".yml"):
        read_yaml(path, contents)
        return
    # Braces and commas make a CSV of many a JSON file, with one nonsensical column after the other.
    if path.suffix.lower() in (".json", ".jsonl") or read_text(path).lstrip().startswith(("{", "[")):
        remedy = f"Make a YAML file of it: axiograph import {path} --output items.yaml."
        raise InputError(str(path), "CSV or YAML", "JSON", remedy)
    read_csv(path, contents)


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

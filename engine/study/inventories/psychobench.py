"""PsychoBench's questionnaires.json (Huang et al., ICLR 2024), and files of its form.

A list of {name, questions: {number: text}, prompt, inner_setting, scale, reverse, categories}. `scale` is
what a reverse-keyed answer is taken from: the lowest plus the highest code. Which codes there are and what
they mean is said in the prompts only.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Literal

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.anchors import anchors, scale_of, without_options
from axiograph.engine.study.inventories.documents import part
from axiograph.engine.study.inventories.inventory import Builders, Entry, Inventory, Request, is_statement
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.scales import MAX_OPTIONS

_SCENARIO = re.compile(r"\bSCENARIO\s*")  # where EmotionBench, which has this form, puts a story
_RANGE = re.compile(r"(?:from|of) (-?\d+) to (-?\d+)")


def recognises(document: Any) -> bool:
    """Whether it is a list of questionnaires of this form."""
    return isinstance(document, list) and all(
        isinstance(entry, dict) and {"name", "questions", "prompt"} <= set(entry) for entry in document
    )


def builders(document: Any, request: Request) -> Builders:
    """One for each questionnaire of the file."""
    if not recognises(document):
        expected = "a list of {name, questions, prompt, scale, reverse, categories}"
        raise InputError(str(request.path), expected, "something else", "Name another form: --as.")
    return {str(entry["name"]): partial(_build, entry, request) for entry in document}


def _build(entry: dict[str, Any], request: Request) -> Inventory:
    where = f"{request.path}, {entry['name']!r}"
    inventory = Inventory(str(entry["name"]), source="PsychoBench's form: " + request.path.name)
    prompt = part(where, entry, "prompt", str)
    codes = _codes(where, entry)
    try:
        texts = anchors(prompt, codes)
    except ValueError as error:
        raise InputError(f"{where}, prompt", str(error), "both", "Split the questionnaire.") from error
    missing = [code for code in codes if code not in texts]
    scale = scale_of(f"answers{len(codes)}", codes, texts)
    if missing and request.options is not None:
        scale = request.options
    elif missing:
        which = "No option has a text" if len(missing) == len(codes) else "Some options have no text"
        inventory.notes.append(f"{which} in the file and goes by its number: {', '.join(map(str, missing))}.")
    name = inventory.add(scale)
    if _SCENARIO.search(prompt):
        prompt = _SCENARIO.sub("", prompt)
        inventory.notes.append("The file asks this behind a scenario, which is left out.")
    inventory.instruction = without_options(prompt, codes)
    _add_items(where, entry, inventory, name)
    inventory.note_centring()
    return inventory


def _codes(where: str, entry: dict[str, Any]) -> range:
    """The numbers that answers are, from the lowest to the highest."""
    texts = (str(entry.get("inner_setting", "")), entry["prompt"])
    match = next((found for text in texts if (found := _RANGE.search(text))), None)
    if match is None:
        expected = "the numbers of the options (“from 1 to 5”) in inner_setting or prompt"
        raise InputError(where, expected, "none", "An open questionnaire has no options to choose from.")
    low, high = int(match[1]), int(match[2])
    total = part(where, entry, "scale", int)
    if low + high != total or not 2 <= high - low + 1 <= MAX_OPTIONS:
        expected = f"a scale of {low + high}, the lowest plus the highest option of “{match[0]}”"
        raise InputError(f"{where}, scale", expected, str(total), "Correct the one or the other.")
    return range(low, high + 1)


def _add_items(where: str, entry: dict[str, Any], inventory: Inventory, scale: str | None) -> None:
    questions = {int(number): str(text) for number, text in part(where, entry, "questions", dict).items()}
    categories = _categories(where, entry, inventory)
    reverse = set(part(where, entry, "reverse", list))
    seen: set[int] = set()
    for category, numbers in categories.items():
        for number in numbers:
            if number not in questions:
                raise InputError(f"{where}, {category!r}", "numbers of questions", str(number), "Correct it.")
            item_id = f"{inventory.name}:{number}" + (f"@{category}" if number in seen else "")
            seen.add(number)
            key, text = -1 if number in reverse else 1, questions[number]
            item = Entry(item_id, category, key, text, scale, is_statement=is_statement(text))
            inventory.entries.append(item)
    if fillers := sorted(set(questions) - seen):
        left = ", ".join(map(str, fillers))
        inventory.notes.append(f"{len(fillers)} items in no category are left out: {left}.")


def _categories(where: str, entry: dict[str, Any], inventory: Inventory) -> dict[str, list[int]]:
    """{value: numbers of its items}, with the norms added."""
    categories: dict[str, list[int]] = {}
    listed = part(where, entry, "categories", list)
    if not listed:
        remedy = "Import another questionnaire of the file: --name."
        raise InputError(where, "categories, which say what items measure", "none", remedy)
    alone = len(listed) == 1
    for category in listed:
        title = part(where, category, "cat_name", str)
        # "Overall" would be one value of all inventories of a study.
        value = inventory.name if alone and title == "Overall" else title
        categories[value] = part(f"{where}, {title!r}", category, "cat_questions", list)
        _add_norms(f"{where}, {title!r}", value, category.get("crowd", []), entry, inventory)
    union = [
        value
        for value, numbers in categories.items()
        if set(numbers) == {n for other, ns in categories.items() if other != value for n in ns}
    ]
    if len(union) == 1 and len(categories) > 2:
        del categories[union[0]]
        inventory.norms.pop(union[0], None)
        note = f"{union[0]!r}, which consists of the items of the other categories, is left out."
        inventory.notes.append(note)
    return categories


def _add_norms(where: str, value: str, crowds: Any, entry: dict[str, Any], inventory: Inventory) -> None:
    mode = str(entry.get("compute_mode"))
    if crowds and mode not in ("AVG", "SUM"):
        inventory.notes.append(f"The norms of {value!r} are left out: they are no mean or sum ({mode}).")
        return
    for crowd in crowds:
        try:
            group, mean, sd, n = crowd["crowd_name"], crowd["mean"], crowd.get("std"), crowd.get("n")
            of: Literal["mean", "sum"] = "mean" if mode == "AVG" else "sum"
            norm = Norm(str(group), float(mean), float(sd) if sd else None, int(n) if n else None, of)
        except (KeyError, TypeError, ValueError) as error:
            expected = "{crowd_name, mean, std, n}"
            raise InputError(where, expected, repr(crowd)[:100], "Correct the norms.") from error
        inventory.norms.setdefault(value, []).append(norm)

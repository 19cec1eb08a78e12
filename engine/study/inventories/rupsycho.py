"""R.U.Psycho's experiments (Schelb et al.): {questionnaire: {name, general_instruction, attributes,
default_answer_options, instruction_items: [{question, reversed, attributes, answer_options}]}}."""

from __future__ import annotations

import math
import re
from functools import partial
from itertools import pairwise
from typing import Any

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.documents import part
from axiograph.engine.study.inventories.inventory import Builders, Entry, Inventory, Request, is_statement
from axiograph.engine.study.scales import Scale

_NUMBERED = re.compile(r"^\s*(\d+)\s*[.):=-]\s*(?=\S)")  # "1. Disagree strongly"


def recognises(document: Any) -> bool:
    """Whether it is an experiment with a questionnaire, or a questionnaire alone."""
    return isinstance(document, dict) and "instruction_items" in document.get("questionnaire", document)


def builders(document: Any, request: Request) -> Builders:
    """One: an experiment has one questionnaire."""
    where = f"{request.path}, questionnaire"
    questionnaire = document.get("questionnaire", document) if isinstance(document, dict) else None
    name = part(where, questionnaire, "name", str)
    return {name: partial(_build, where, name, questionnaire, request)}


def _build(where: str, name: str, questionnaire: Any, request: Request) -> Inventory:
    inventory = Inventory(name, instruction=str(questionnaire.get("general_instruction") or ""))
    dimensions = questionnaire.get("attributes") or {}
    default = questionnaire.get("default_answer_options")
    for number, item in enumerate(part(where, questionnaire, "instruction_items", list), start=1):
        at = f"{where}, item {number}"
        options = item.get("answer_options") if isinstance(item, dict) else None
        scale = _scale(at, number if options else 0, options or default, inventory) or request.options
        text = part(at, item, "question", str)
        if scale is None:
            remedy = (
                "An open item has no options to choose from; name them where they are missing: --options."
            )
            raise InputError(at, "answer options", f"none for {text!r}", remedy)
        reverse = item.get("reversed", False)
        if not isinstance(reverse, bool):
            raise InputError(f"{at}, reversed", "true or false", repr(reverse), "Correct that entry.")
        value, facet = _value(at, item.get("attributes") or {}, dimensions, inventory)
        entry = Entry(
            f"{name}:{number}",
            value,
            -1 if reverse else 1,
            text,
            inventory.add(scale),
            facet,
            is_statement(text),
        )
        inventory.entries.append(entry)
    inventory.notes = list(dict.fromkeys(inventory.notes))
    inventory.note_centring()
    return inventory


def _value(where: str, attributes: Any, dimensions: Any, inventory: Inventory) -> tuple[str, str]:
    """(value, facet) by the item's attributes: its dimension, or the only attribute that it has."""
    named = {}
    for attribute, key in attributes.items():
        texts = dimensions.get(attribute)
        if isinstance(texts, dict) and str(key) not in texts:
            raise InputError(f"{where}, {attribute}", f"one of {', '.join(texts)}", repr(key), "Correct it.")
        named[attribute] = str(texts[str(key)]) if isinstance(texts, dict) else str(key)
    facet = next((named[key] for key in ("facet", "subscale") if key in named), "")
    if "dimension" in named:
        return named["dimension"], facet
    if len(named) == 1 and not facet:
        return next(iter(named.values())), ""
    inventory.notes.append(f"Items without a dimension are taken to measure {inventory.name!r}.")
    return inventory.name, facet


def _scale(where: str, number: int, options: Any, inventory: Inventory) -> Scale | None:
    """The options as a scale, low to high where their weights rise or fall; None for an item without any."""
    if isinstance(options, dict) and isinstance(options.get("options"), dict):
        options = options["options"]
    if not options:
        return None
    if not isinstance(options, dict):
        raise InputError(where, "options by their keys", repr(options)[:100], "Correct them.")
    labels, codes, weights = [], [], []
    for key, option in options.items():
        text = part(f"{where}, option {key!r}", option, "text", str)
        if option.get("ignored_for_scale"):
            note = f"The option {text!r}, which counts in no score, is left out: a scale has no place for it."
            inventory.notes.append(note)
            continue
        match = _NUMBERED.match(text)
        labels.append(text[match.end() :] if match and match[1] == str(key).strip() else text)
        codes.append(int(key) if str(key).strip().isdecimal() else None)
        weights.append(option.get("weight", 0))
    return _make(where, f"options_{number}" if number else "options", labels, codes, weights)


def _make(where: str, name: str, labels: list[str], codes: list[Any], weights: list[Any]) -> Scale:
    try:
        if any(isinstance(weight, bool) or not isinstance(weight, (int, float)) for weight in weights):
            raise ValueError("numbers as weights")
        if all(a > b for a, b in pairwise(weights)):
            labels, codes, weights = labels[::-1], codes[::-1], weights[::-1]
        steps = [b - a for a, b in pairwise(weights)]
        even = len(steps) > 0 and steps[0] > 0 and all(math.isclose(step, steps[0]) for step in steps)
        known = None if None in codes else codes
        return Scale.of(name, labels, None if even else weights, known)
    except ValueError as error:
        raise InputError(where, str(error), f"in its options {labels}", "Correct the options.") from error

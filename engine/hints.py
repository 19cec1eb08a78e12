"""Hints: prompt steering by a sentence that says to what the respondent is inclined or disinclined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.errors import InputError
from engine.textfiles import close_matches

ASKED = "asked"
INCLINATIONS = ("inclined", "disinclined")


@dataclass(frozen=True)
class Hint:
    """A named hint; `value` is a value's name, or "asked" for the value that the item at hand measures.

    "asked" is the hard prompt of Kang et al. (2025).
    """

    name: str
    inclination: Literal["inclined", "disinclined"]
    value: str


def hinted_value(hint: Hint, asked_value: str) -> str:
    """The value that the hint names when an item of `asked_value` is asked; its definition belongs to it."""
    return asked_value if hint.value == ASKED else hint.value


def hint_text(hint: Hint, asked_value: str, definition: str | None) -> str:
    """The sentence put into the prompt; `definition` is that of hinted_value(hint, asked_value), if any."""
    value = hinted_value(hint, asked_value)
    sentence = f"As a person you are strongly {hint.inclination} to {value}."
    if definition is None or not definition.strip():
        return sentence
    return f"{sentence} {value} means: {definition.strip()}"


def check_hints(hints: Sequence[Hint], values: Sequence[str]) -> None:
    """Raise InputError for an empty or doubled name, an unknown inclination or an unknown value."""
    names = [hint.name for hint in hints]
    for position, hint in enumerate(hints, start=1):
        where = f"hints, entry {position} ({hint.name!r})"
        if not hint.name.strip():
            raise InputError(where, "a name", "none", "Give the hint a name.")
        if hint.name in names[: position - 1]:
            raise InputError(where, "a name of its own", "a name used before", "Rename one of the two.")
        if hint.inclination not in INCLINATIONS:
            expected = " or ".join(INCLINATIONS)
            raise InputError(where, expected, repr(hint.inclination), "Correct the inclination.")
        if hint.value == ASKED and ASKED in values:
            found = "a value of that name among those measured"
            raise InputError(where, f"{ASKED!r} to mean the value asked about", found, "Rename the value.")
        if hint.value != ASKED and hint.value not in values:
            expected = f"{ASKED!r} or a value of the study"
            remedy = "Correct the name, or add the value to the study."
            raise InputError(where, expected, close_matches(hint.value, values), remedy)

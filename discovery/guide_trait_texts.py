"""Traits in the texts of roles: `Gender: male; Job: Engineer, MBTI: ENFJ` is a list of three."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A field begins the text or follows a semicolon, comma or line end; its option goes on to the next field.
_FIELD = re.compile(r"(?:^|[;,\n])\s*(?P<field>[^:;,\n]*[^:;,\s])\s*:(?=\s)")


@dataclass(frozen=True, order=True)
class Trait:
    """What roles may share: an option of a field."""

    field: str
    option: str

    @property
    def name(self) -> str:
        return f"{self.field}: {self.option}"


def traits_of(text: str) -> tuple[Trait, ...]:
    """The traits of a role's text; none where it is not from its beginning a list of them (prose), where an
    option is empty or a field comes twice."""
    return tuple(Trait(field, text[start:end]) for field, (start, end) in _options(text).items())


def with_trait(text: str, trait: Trait) -> str | None:
    """`text` with the option of the trait's field in place of its own, or behind the others where it has no
    such field; None where it is no list of traits."""
    places = _options(text)
    if not places:
        return None
    if trait.field not in places:
        return f"{text}; {trait.name}"
    start, end = places[trait.field]
    return text[:start] + trait.option + text[end:]


def _options(text: str) -> dict[str, tuple[int, int]]:
    """Field → where its option stands in the text."""
    found = list(_FIELD.finditer(text))
    if not found or found[0].start() != 0:
        return {}
    places = {}
    for match, following in zip(found, [*found[1:], None], strict=True):
        stop = len(text) if following is None else following.start()
        option = text[match.end() : stop]
        start = match.end() + len(option) - len(option.lstrip())
        end = match.end() + len(option.rstrip())
        if start >= end or match["field"] in places:
            return {}
        places[match["field"]] = (start, end)
    return places

"""One inventory, on its way from a public form to the own one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.scales import Scale

IPSATIVE = (
    "Scores of this inventory are customarily centred within each person. Rows that sum to zero are "
    "correlated by construction and make edges: centred scores are for description, and no input of graphs."
)
_CENTRED = re.compile(r"\bPVQ|\bSVS\b|Portrait Values|Schwartz Value", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One item. `scale`: a name among the inventory's scales; None: yes or no."""

    item_id: str
    value: str
    agreement: int
    text: str
    scale: str | None = None
    facet: str = ""
    is_statement: bool = True


def is_statement(text: str) -> bool:
    """A text that asks nothing is there to be judged."""
    return not text.rstrip(" \"'”’)").endswith(("?", "？", "؟"))


@dataclass
class Inventory:
    """`notes`: what was left out or has to be known; they are kept with the items and told on import."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    scales: dict[str, Scale] = field(default_factory=dict)
    norms: dict[str, list[Norm]] = field(default_factory=dict)
    instruction: str = ""
    source: str = ""
    licence: str = ""
    notes: list[str] = field(default_factory=list)

    def add(self, scale: Scale | None) -> str | None:
        """The name under which the scale is in `scales`; None for yes and no in this order, which needs
        none."""
        if scale is None or is_yes_no(scale):
            return None
        for name, known in self.scales.items():
            if (known.labels, known.scores, known.codes) == (scale.labels, scale.scores, scale.codes):
                return name
        name = scale.name if scale.name not in self.scales else f"{scale.name}_{len(self.scales) + 1}"
        self.scales[name] = scale
        return name

    def note_centring(self, *titles: str) -> None:
        """Where a name of the inventory is that of one with centred scores, a note that says so."""
        if any(_CENTRED.search(title) for title in (self.name, *titles)):
            self.notes.append(IPSATIVE)


@dataclass(frozen=True)
class Request:
    """What a person adds to a file that does not say it.

    `options`: of the items that have none of their own, low to high. `keys`: by item id, what an item
    measures (value, agreement, facet), for forms without keys."""

    path: Path
    options: Scale | None = None
    keys: Mapping[str, tuple[str, int, str]] | None = None


Builders = dict[str, Callable[[], Inventory]]
"""By name of an inventory, what reads it; it raises InputError where that cannot be done."""


def is_yes_no(scale: Scale) -> bool:
    """Whether these are no, as 0, and yes, as 1: so are items answered without a scale."""
    labels = tuple(label.lower().rstrip(".") for label in scale.labels)
    return (labels, scale.scores, scale.codes) == (("no", "yes"), (-1.0, 1.0), ("0", "1"))

"""What item files hold, gathered file by file, with every fault."""

from __future__ import annotations

from dataclasses import dataclass, field

from axiograph.engine.study.item_files.items import Item
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.textfiles import Problem


@dataclass(frozen=True)
class Origin:
    """Where a questionnaire comes from, what its licence allows, and what its users should know."""

    questionnaire: str
    source: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Contents:
    """Items as (file and line, item); `definitions`: value → (where, text); `norms`: (questionnaire, value) →
    (where, norms)."""

    items: list[tuple[str, Item]] = field(default_factory=list)
    definitions: dict[str, tuple[str, str]] = field(default_factory=dict)
    norms: dict[tuple[str, str], tuple[str, tuple[Norm, ...]]] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def fault(self, where: str, expected: str, found: str) -> None:
        """Note one fault."""
        self.problems.append(Problem(where, expected, found))

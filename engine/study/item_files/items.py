"""An item: one question or statement of an inventory, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass

from axiograph.engine.study.scales import Scale


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

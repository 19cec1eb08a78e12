"""Item files of axiograph's own CSV form as inventories."""

from __future__ import annotations

from functools import partial

from axiograph.engine.study.inventories.inventory import Builders, Entry, Inventory, Request
from axiograph.engine.study.item_files.items import Item
from axiograph.engine.study.questionnaire import Questionnaire, load_questionnaires


def builders(request: Request) -> Builders:
    """One for each questionnaire that the file's items belong to."""
    loaded = load_questionnaires([request.path])
    groups: dict[str, list[Item]] = {}
    for item in loaded.items:
        groups.setdefault(item.questionnaire, []).append(item)
    return {name: partial(_build, name, items, loaded, request) for name, items in groups.items()}


def _build(name: str, items: list[Item], loaded: Questionnaire, request: Request) -> Inventory:
    inventory = Inventory(name, instruction=items[0].instruction)
    for origin in loaded.origins:
        inventory.source, inventory.licence = origin.source, origin.licence
        inventory.notes += origin.notes
    for item in items:
        scale = inventory.add(item.scale or request.options)
        entry = Entry(
            item.item_id, item.value, item.agreement, item.question, scale, item.facet, item.is_statement
        )
        inventory.entries.append(entry)
    inventory.norms = {
        value: list(norms) for (questionnaire, value), norms in loaded.norms.items() if questionnaire == name
    }
    inventory.note_centring()
    return inventory

"""An inventory as the own YAML form of an item file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from axiograph.engine.errors import InputError
from axiograph.engine.study.inventories.inventory import Entry, Inventory
from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.questionnaire import Questionnaire, load_questionnaires
from axiograph.engine.study.scales import Scale


def write_inventory(inventory: Inventory, path: Path) -> Questionnaire:
    """Write the item file and give what it loads as. Raises InputError where it would not load; then nothing
    is written."""
    draft = path.with_name(f".{path.stem}.draft.yaml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(_document(inventory), sort_keys=False, allow_unicode=True, width=100)
        draft.write_text(text, encoding="utf-8")
        questionnaire = _loaded(draft, inventory.name)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return questionnaire


def _loaded(draft: Path, name: str) -> Questionnaire:
    try:
        return load_questionnaires([draft])
    except InputError as error:
        found = error.found.replace(f"{draft}, ", "")
        where = f"{name!r}{error.where.removeprefix(str(draft))} of what would be written"
        remedy = "Correct the file that is imported; nothing was written."
        raise InputError(where, error.expected, found, remedy) from error


def _document(inventory: Inventory) -> dict[str, Any]:
    names = [entry.scale for entry in inventory.entries]
    common = max(inventory.scales, key=names.count, default=None) if None not in names else None
    document = {
        "questionnaire": inventory.name,
        "source": inventory.source,
        "licence": inventory.licence,
        "notes": inventory.notes,
        "instruction": inventory.instruction,
        "scales": {name: _scale(scale) for name, scale in inventory.scales.items() if name in names},
        "scale": common,
        "norms": {value: [_norm(norm) for norm in norms] for value, norms in inventory.norms.items()},
        "items": [_item(entry, common) for entry in inventory.entries],
    }
    return {key: part for key, part in document.items() if part or key == "items"}


def _scale(scale: Scale) -> dict[str, Any]:
    document: dict[str, Any] = {"labels": list(scale.labels)}
    k = len(scale.labels)
    if scale.codes != tuple(str(i) for i in range(1, k + 1)):
        document["codes"] = [int(code) for code in scale.codes]
    if scale.scores != tuple(2 * i / (k - 1) - 1 for i in range(k)):
        document["weights"] = list(scale.scores)
    return document


def _norm(norm: Norm) -> dict[str, Any]:
    document = {"group": norm.group, "mean": norm.mean, "sd": norm.sd, "n": norm.n}
    if norm.of != "mean":
        document["of"] = norm.of
    return {key: part for key, part in document.items() if part is not None}


def _item(entry: Entry, common: str | None) -> dict[str, Any]:
    document: dict[str, Any] = {"id": entry.item_id, "value": entry.value}
    if entry.facet:
        document["facet"] = entry.facet
    document["agreement"] = entry.agreement
    if entry.scale != common:
        document["scale"] = entry.scale
    document["statement" if entry.is_statement else "question"] = entry.text
    return document

"""What the tests of all forms do: write a file, read it, load what is written of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from axiograph.engine.study.inventories.importing import Imported, read_inventories
from axiograph.engine.study.inventories.inventory import Request
from axiograph.engine.study.inventories.writing import write_inventory
from axiograph.engine.study.questionnaire import Questionnaire


def written(folder: Path, content: Any, name: str) -> Path:
    """The file with this text, or this document as JSON."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(folder: Path, content: Any, name: str, names: tuple[str, ...] = (), **request: Any) -> Imported:
    """The file's inventories by the form that is recognised."""
    return read_inventories(Request(written(folder, content, name), **request), names=names)


def round_trip(folder: Path, imported: Imported) -> Questionnaire:
    """What the first inventory loads as, once it is written."""
    return write_inventory(imported.inventories[0], folder / "items.yaml")

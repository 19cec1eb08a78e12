"""docs/architecture.md against the tree: every room is named, and nothing that is not there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = ("engine", "steering", "discovery", "cluster", "axiograph")
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LINKED = TOP[:-1]  # in axiograph/ these are links to the folders themselves


def rooms() -> set[str]:
    found = {path.parent.relative_to(ROOT) for top in TOP for path in (ROOT / top).rglob("__init__.py")}
    return {
        room.as_posix()
        for room in found
        if room.parts[:1] != ("axiograph",) or room.parts[1:2] not in links()
    }


def links() -> list[tuple[str]]:
    return [(name,) for name in LINKED]


def named() -> list[str]:
    table = TEXT.partition("## Rooms")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([a-z_/]+)` \|", table, re.MULTILINE)


def test_every_room_is_named_once_and_nothing_that_does_not_exist():
    assert len(named()) == len(set(named()))
    assert set(named()) == rooms()


def test_what_the_walk_names_stands_in_the_room_that_it_names():
    walk = TEXT.partition("## The walk of a request")[2]
    pairs = re.findall(r"`(\w+)`\s+\(`([a-z_/]+)`\)", walk)
    assert len(pairs) > 40, "the pattern finds the names"
    sources = {
        room: "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / room).rglob("*.py"))
        for room in {room for _, room in pairs}
    }
    missing = [
        f"{name} in {room}"
        for name, room in pairs
        if not re.search(rf"^\s*(?:def|class) {name}\b|^{name}\b.* = ", sources[room], re.MULTILINE)
    ]
    assert missing == []


def test_the_links_of_the_door_lead_to_the_folders():
    for name in LINKED:
        link = ROOT / "axiograph" / name
        assert link.is_symlink() and link.resolve() == ROOT / name

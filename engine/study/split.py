"""Seeded splits and draws that only ever grow: adding names to a study never moves an old one.

Names come in generations: those of the first start of a run, then those that were added later. Within a
generation a hash of the seed and the name decides, so the order in files does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

TRAIN, TEST = "train", "test"


def rank(*parts: object) -> bytes:
    """A hash by which names are ranked; the parts are kept apart."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()


def by_generation(names: Sequence[str], generation: Mapping[str, int]) -> list[list[str]]:
    """`names` grouped by the generation in which they joined, oldest first."""
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(generation[name], []).append(name)
    return [groups[number] for number in sorted(groups)]


def assign_generations(names: Sequence[str], previous: Mapping[str, int]) -> dict[str, int]:
    """The generation of every name: as before, or a new one for those that were not there."""
    newest = max(previous.values(), default=-1) + 1
    return {name: previous.get(name, newest) for name in names}


def split(groups: Sequence[Sequence[str]], share: float, seed: int) -> dict[str, str]:
    """`train` for round(share × n) of all names as far as the oldest allow, `test` for the others.

    Names of an older generation keep their part; the lowest-ranked new ones fill up the training part.
    """
    parts: dict[str, str] = {}
    for group in groups:
        wanted = round(share * (len(parts) + len(group)))
        missing = max(0, wanted - sum(part == TRAIN for part in parts.values()))
        ranked = sorted(group, key=lambda name: (rank("split", seed, name), name))
        parts |= {name: TRAIN if position < missing else TEST for position, name in enumerate(ranked)}
    return parts


def draw(groups: Sequence[Sequence[str]], share: float, *key: object) -> set[str]:
    """round(share × n) of all names, at least one; what was drawn from older generations stays drawn."""
    seen: list[str] = []
    drawn: set[str] = set()
    for group in groups:
        seen.extend(group)
        wanted = max(1, round(share * len(seen)))
        rest = sorted(set(seen) - drawn, key=lambda name: (rank(*key, name), name))
        drawn.update(rest[: max(0, wanted - len(drawn))])
    return drawn

"""Background knowledge of a graph: forbidden and required edges, and tiers (causes before effects)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, FloatArray
from axiograph.engine.errors import InputError


@dataclass(frozen=True)
class Knowledge:
    """Background knowledge, with the meaning it has in causal-learn's PC.

    `forbidden`, `required`: pairs (cause, effect). `tiers`: value → tier; an edge from a higher into a lower
    tier is forbidden; a value in no tier is free. A pair forbidden both ways is not adjacent; required edges
    are only oriented, they are not added where the tests find none."""

    forbidden: frozenset[tuple[str, str]] = frozenset()
    required: frozenset[tuple[str, str]] = frozenset()
    tiers: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.forbidden or self.required or self.tiers)

    def check(self, names: Iterable[str]) -> None:
        """InputError where it speaks of values that are not in `names`, or of one value twice in an edge."""
        values = set(names)
        pairs = [*self.forbidden, *self.required]
        unknown = sorted({name for pair in pairs for name in pair} - values | set(self.tiers) - values)
        if unknown:
            raise InputError("knowledge", "names of values", f"{unknown}", "Correct the names.")
        loops = [a for a, b in pairs if a == b]
        if loops:
            raise InputError("knowledge", "edges between two values", f"{loops[0]!r} twice", "Remove it.")

    def within(self, names: Iterable[str]) -> Knowledge:
        """What it says of these values."""
        values = set(names)
        return Knowledge(
            frozenset(pair for pair in self.forbidden if values.issuperset(pair)),
            frozenset(pair for pair in self.required if values.issuperset(pair)),
            {name: tier for name, tier in self.tiers.items() if name in values},
        )

    def matrices(self, names: Sequence[str]) -> tuple[ByteArray, ByteArray, ByteArray]:
        """(apart, banned, drawn), each [n, n] of 0 and 1, for those of its values that are in `names`.

        apart, symmetric: never adjacent. banned[i, j]: i → j is not inferred. drawn[i, j]: i — j is made
        i → j before colliders are, in the order of precedence of `orient_by_background_knowledge`."""
        forbidden, required = self._forbidden(names), _pairs(self.required, names)
        drawn = np.zeros_like(forbidden)
        for i, j in zip(*np.triu_indices(len(names), k=1), strict=True):
            if forbidden[j, i]:
                drawn[i, j] = True
            elif forbidden[i, j] or required[j, i]:
                drawn[j, i] = True
            else:
                drawn[i, j] = required[i, j]
        apart, banned = forbidden & forbidden.T, forbidden | required.T
        return apart.astype(np.uint8), banned.astype(np.uint8), drawn.astype(np.uint8)

    def edges(self, names: Sequence[str]) -> tuple[BoolArray, BoolArray, BoolArray]:
        """(forbidden, required, earlier), each [n, n], for those of its values that are in `names`: entry
        [i, j] of i → j, the tiers counted among what forbids; earlier: i is of a lower tier than j."""
        tiers = self._tiers(names)
        return self._forbidden(names), _pairs(self.required, names), tiers[:, None] < tiers[None, :]

    def _tiers(self, names: Sequence[str]) -> FloatArray:
        return np.array([self.tiers.get(name, np.nan) for name in names], dtype=np.float64)

    def _forbidden(self, names: Sequence[str]) -> BoolArray:
        tiers = self._tiers(names)
        return _pairs(self.forbidden, names) | (tiers[:, None] > tiers[None, :])


def with_design(
    knowledge: Knowledge | None, values: Sequence[str], indicators: Sequence[str]
) -> Knowledge | None:
    """`knowledge` of the values, and that nothing causes an indicator (DESIGN 11): indicators are of tier 0,
    values of tier 1 and above, and two indicators are never adjacent, since the design sets both."""
    if not indicators:
        return knowledge
    knowledge = knowledge or Knowledge()
    lowest = min(knowledge.tiers.values(), default=0)
    tiers = {name: knowledge.tiers[name] - lowest + 1 for name in values if name in knowledge.tiers}
    into = {(value, name) for value in values for name in indicators}
    among = {(a, b) for a in indicators for b in indicators if a != b}
    tiers |= dict.fromkeys(indicators, 0)
    return Knowledge(knowledge.forbidden | into | among, knowledge.required, tiers)


def no_knowledge(n: int) -> tuple[ByteArray, ByteArray, ByteArray]:
    """The matrices of `Knowledge()`."""
    a, b, c = np.zeros((3, n, n), np.uint8)
    return a, b, c


def _pairs(pairs: Iterable[tuple[str, str]], names: Sequence[str]) -> BoolArray:
    index = {name: i for i, name in enumerate(names)}
    mask = np.zeros((len(names), len(names)), dtype=bool)
    for a, b in pairs:
        if a in index and b in index:
            mask[index[a], index[b]] = True
    return mask

"""What background knowledge means to a search of orders: who may be whose parent, who must, who is first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.graph.causal_graph import reachability
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray
from axiograph.engine.errors import InputError


@dataclass(frozen=True, eq=False)
class Constraints:
    """Each [p, p] of 0 and 1. `allowed` [x, y]: x may be a parent of y. `required` [x, y]: x is a parent of
    y, whatever the score says. `before` [x, y]: x stands before y in every order, since required edges
    and tiers lead there, by any number of steps. `known` [x, y]: an edge x → y is settled by knowledge."""

    allowed: ByteArray
    required: ByteArray
    before: ByteArray
    known: ByteArray

    @property
    def most_required(self) -> int:
        """The largest number of parents that a value must have."""
        return int(self.required.sum(axis=0).max(initial=0))


def constraints(knowledge: Knowledge | None, names: Sequence[str]) -> Constraints:
    """Of `names`. InputError where no graph agrees with the knowledge: an edge both required and forbidden,
    or required edges and tiers that lead in a circle."""
    p = len(names)
    if knowledge is None:
        nothing = np.zeros((p, p), np.uint8)
        return Constraints(1 - np.eye(p, dtype=np.uint8), nothing, nothing, nothing)
    forbidden, required, earlier = knowledge.edges(names)
    contradicted = np.argwhere(required & forbidden)
    if contradicted.size:
        x, y = contradicted[0]
        raise _contradiction(f"{names[x]} → {names[y]} required, and forbidden or against the tiers")
    before = reachability(required | earlier)
    circle = [names[k] for k in np.flatnonzero(np.diag(before))]
    if circle:
        raise _contradiction(f"required edges and tiers that lead in a circle among {', '.join(circle)}")
    allowed = ~(forbidden | required.T | np.eye(p, dtype=bool))
    known = required | (allowed & ~allowed.T)
    return Constraints(_bytes(allowed), _bytes(required), _bytes(before), _bytes(known))


def _bytes(mask: BoolArray) -> ByteArray:
    return np.ascontiguousarray(mask, dtype=np.uint8)


def _contradiction(found: str) -> InputError:
    return InputError(
        "knowledge", "edges and tiers that some graph agrees with", found, "Remove one of them."
    )

"""A graph drawn at random from the replicates for every draw of the roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.packed import PackedGraphs
from discovery.pc import FloatArray
from discovery.relations import order_in

ByteArray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class DrawnGraphs:
    """`codes` [B, n, n]: what the graph of draw b says of k when j changed, 1 + its place in `Relation`; 0
    where j is k, or where one of the two did not vary in that replicate."""

    codes: ByteArray

    @classmethod
    def of(
        cls, replicates: PackedGraphs, names: Sequence[str], draws: int, rng: np.random.Generator
    ) -> DrawnGraphs | None:
        """`draws` of the graphs that PC could find, with replacement; None where there are none.

        The draw does not depend on the roles that effects are tested on: these had no part in the graph."""
        usable = np.flatnonzero(replicates.used)
        if usable.size == 0:
            return None
        order = np.array(order_in(replicates.names, names))
        codes = np.zeros((draws, len(names), len(names)), np.uint8)
        drawn = rng.choice(usable, size=draws)
        for number in np.unique(drawn):
            codes[drawn == number] = _codes(replicates, int(number))[np.ix_(order, order)]
        return cls(codes)

    def sums(self, targets: NDArray[np.int64], outcomes: FloatArray) -> FloatArray:
        """[B, targets, 3, M]: per draw, changed value and relation the sums of `outcomes` [B, n, M] over the
        others with that relation in the draw's graph."""
        from discovery.tally import tally

        found = np.empty((len(self.codes), len(targets), 3, outcomes.shape[2]))
        tally(self.codes, targets.astype(np.int64), np.ascontiguousarray(outcomes), found)
        return found


def _codes(replicates: PackedGraphs, number: int) -> ByteArray:
    from discovery.descendants import find_descendants

    marks = replicates.marks(number, number + 1)
    definite, possible = np.zeros_like(marks), np.zeros_like(marks)
    find_descendants(marks, definite, possible)
    present = replicates.presence(number, number + 1)[0]
    counted = np.outer(present, present) & ~np.eye(len(present), dtype=bool)
    relation = np.where(definite[0] > 0, 1, np.where(possible[0] > 0, 2, 3))
    return np.where(counted, relation, 0).astype(np.uint8)

"""In how many of the stored replicates a pair of values is joined, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discovery.averaging import majority_graph
from discovery.circle_counts import CircleCounts
from discovery.graph import BoolArray, CausalGraph, Endpoint, GraphKind
from discovery.packed import ByteArray, PackedGraphs
from discovery.wilson import CountArray
from engine.errors import InputError


def count_edges(marks: ByteArray) -> tuple[CountArray, CountArray, CountArray]:
    """(forward, undirected, bidirected) [n, n]: graphs of marks [R, n, n] with i → j, i — j, i ↔ j."""
    arrow, tail = marks == Endpoint.ARROW, marks == Endpoint.TAIL
    back = (0, 2, 1)
    return (
        (arrow & tail.transpose(back)).sum(axis=0),
        (tail & tail.transpose(back)).sum(axis=0),
        (arrow & arrow.transpose(back)).sum(axis=0),
    )


def count_together(present: BoolArray) -> CountArray:
    """[n, n], 0 on the diagonal: in how many rows of present [R, n] both values are true."""
    there = present.astype(np.float64)
    both = np.rint(there.T @ there).astype(np.int64)
    np.fill_diagonal(both, 0)
    return both


@dataclass(frozen=True, eq=False)
class EdgeCounts:
    """Counts [n, n] over replicates, as those of BootstrapResult, which need not be at hand.

    `adjacent`: any edge, also one with a circle; `forward`: i → j; `together`: replicates in which neither
    value was constant, which is what frequencies are taken over; `circles`: None where they are no PAGs."""

    names: tuple[str, ...]
    adjacent: CountArray
    forward: CountArray
    undirected: CountArray
    bidirected: CountArray
    together: CountArray
    circles: CircleCounts | None = None

    @classmethod
    def of(cls, graphs: PackedGraphs) -> EdgeCounts:
        """Of all replicates that did not fail."""
        n = len(graphs.names)
        adjacent, forward, undirected, bidirected, together = np.zeros((5, n, n), np.int64)
        circles = CircleCounts.zero(n) if graphs.kind is GraphKind.PAG else None
        for marks, presence in graphs.chunks():
            adjacent += (marks != Endpoint.NONE).sum(axis=0)
            for total, found in zip((forward, undirected, bidirected), count_edges(marks), strict=True):
                total += found
            if circles is not None:
                circles.add(marks)
            together += count_together(presence)
        return cls(graphs.names, adjacent, forward, undirected, bidirected, together, circles)

    def consensus(self, threshold: float) -> CausalGraph:
        """As BootstrapResult.consensus. InputError for a threshold outside (0, 1]."""
        if not 0 < threshold <= 1:
            raise InputError("threshold", "a share in (0, 1]", f"{threshold}", "0.5 is usual.")
        kept = self.adjacent >= threshold * self.together
        return majority_graph(self.names, kept, self.adjacent, self.forward, self.bidirected, self.circles)

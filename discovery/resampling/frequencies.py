"""In how many of the stored replicates a pair of values is joined, and how.

In how many replicates, PAGs, an edge has a circle, by the kind of edge.

Which edges of many replicates to keep, and which way they point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import Endpoint, GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, CountArray, FloatArray
from axiograph.engine.errors import InputError


@dataclass(frozen=True, eq=False)
class CircleCounts:
    """Counts [n, n] over PAGs: `forward` of i o→ j, `circle` of i o–o j (symmetric), `tail` of i o– j."""

    forward: CountArray
    circle: CountArray
    tail: CountArray

    @classmethod
    def zero(cls, n: int) -> CircleCounts:
        """No replicate yet."""
        a, b, c = np.zeros((3, n, n), np.int64)
        return cls(a, b, c)

    def add(self, marks: NDArray[np.uint8]) -> None:
        """Count the graphs of marks [R, n, n], in place."""
        circle_at_i = (marks == Endpoint.CIRCLE).transpose(0, 2, 1)
        for counts, at_j in (
            (self.forward, Endpoint.ARROW),
            (self.circle, Endpoint.CIRCLE),
            (self.tail, Endpoint.TAIL),
        ):
            counts += (circle_at_i & (marks == at_j)).sum(axis=0)

    def adjacent(self) -> CountArray:
        """[n, n], symmetric: replicates in which an edge with a circle joins i and j."""
        return self.forward + self.forward.T + self.circle + self.tail + self.tail.T

    def by_mass(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> dict[str, CountArray]:
        """For the pairs i, j the counts as the edge table names them."""
        return {
            "circle_forward": self.forward[i, j],
            "circle_backward": self.forward[j, i],
            "circle_circle": self.circle[i, j],
            "circle_tail": self.tail[i, j],
            "tail_circle": self.tail[j, i],
        }


def pag_majority(
    kept: BoolArray, adjacent: CountArray, forward: CountArray, bidirected: CountArray, circles: CircleCounts
) -> NDArray[np.uint8]:
    """The marks [n, n] of the pairs `kept`: at each end the mark that more than half of the replicates that
    join the pair have there, else a circle.

    By ends, since each mark of a PAG is a statement of its own (discovery.graph.marks): of a o→ b, a ↔ b and
    a → b all say that b is no cause of a, and disagree on a alone. A circle is what PAGs have for "not
    settled"; a tail, as in the consensus of CPDAGs, would say that there is a cause."""
    undirected = adjacent - forward - forward.T - bidirected - circles.adjacent()
    arrow_at_j = forward + bidirected + circles.forward
    tail_at_j = forward.T + undirected + circles.tail
    marks = np.where(kept & (adjacent > 0), Endpoint.CIRCLE, Endpoint.NONE).astype(np.uint8)
    marks[(marks != Endpoint.NONE) & (2 * arrow_at_j > adjacent)] = Endpoint.ARROW
    marks[(marks != Endpoint.NONE) & (2 * tail_at_j > adjacent)] = Endpoint.TAIL
    return marks


def majority_graph(
    names: Sequence[str],
    kept: BoolArray,
    adjacent: CountArray,
    forward: CountArray,
    bidirected: CountArray,
    circles: CircleCounts | None = None,
) -> CausalGraph:
    """The graph of the pairs `kept` [n, n] that some replicate joins: a PAG where there are `circles`.

    CPDAGs: a pair is → (or ←, ↔) where more than half of the replicates that join it say so; otherwise it is
    undirected: the data do not settle its direction. PAGs: see `pag_majority`. The counts [n, n] are those of
    BootstrapResult."""
    if circles is not None:
        marks = pag_majority(kept, adjacent, forward, bidirected, circles)
        return CausalGraph(tuple(names), marks, GraphKind.PAG)
    kept = kept & (adjacent > 0)
    marks = np.where(kept, Endpoint.TAIL, Endpoint.NONE).astype(np.uint8)
    marks[kept & (2 * forward > adjacent)] = Endpoint.ARROW
    marks[kept & (2 * bidirected > adjacent)] = Endpoint.ARROW
    return CausalGraph(tuple(names), marks)


def data_driven_threshold(frequencies: FloatArray) -> float:
    """The threshold of Scutari & Nagarajan (2013, Artificial Intelligence in Medicine 57, section 3), above
    which a pair is kept, as bnlearn's `averaged.network` does.

    frequencies [m]: of every pair, absent ones included. With F their distribution function, t is chosen so
    that the integral of |F(x) − t| over [0, 1] is least: the distance to a configuration in which a share
    t of the pairs has frequency 0 and the rest 1. The threshold is the quantile F⁻¹(t).

    The best t is the median of F(x), x uniform on [0, 1], which is F(½) since F never falls. So the
    threshold is the largest frequency not above ½ (0 where there is none), and what is kept is every pair
    in more than half of its replicates: the method cannot choose a stricter level."""
    low = frequencies[frequencies <= 0.5]
    return float(low.max()) if len(low) else 0.0


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

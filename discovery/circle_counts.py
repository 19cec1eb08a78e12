"""In how many replicates, PAGs, an edge has a circle, by the kind of edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.graph import BoolArray, Endpoint
from discovery.wilson import CountArray


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

    By ends, since each mark of a PAG is a statement of its own (discovery.marks): of a o→ b, a ↔ b and a → b
    all say that b is no cause of a, and disagree on a alone. A circle is what PAGs have for "not settled"; a
    tail, as in the consensus of CPDAGs, would say that there is a cause."""
    undirected = adjacent - forward - forward.T - bidirected - circles.adjacent()
    arrow_at_j = forward + bidirected + circles.forward
    tail_at_j = forward.T + undirected + circles.tail
    marks = np.where(kept & (adjacent > 0), Endpoint.CIRCLE, Endpoint.NONE).astype(np.uint8)
    marks[(marks != Endpoint.NONE) & (2 * arrow_at_j > adjacent)] = Endpoint.ARROW
    marks[(marks != Endpoint.NONE) & (2 * tail_at_j > adjacent)] = Endpoint.TAIL
    return marks

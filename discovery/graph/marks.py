"""The marks at the ends of an edge, the kinds of edge they make, and what they mean."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Endpoint(IntEnum):
    """The mark at one end of an edge."""

    NONE = 0
    TAIL = 1
    ARROW = 2
    CIRCLE = 3


class GraphKind(StrEnum):
    """What the marks of a graph say: the same mark says something else in another kind of graph.

    CPDAG, a class of graphs without hidden common causes: a → b is a direct cause in all of them, a — b
    points one way in some and the other way in others; a ↔ b comes from tests that contradict each other.

    PAG, a class with hidden common causes (Zhang 2008, JMLR 9, 1437): an arrowhead at b says that b is no
    cause of a; a tail at a that a is a cause of b or of what the rows were chosen by, directly or through
    others; a circle that neither is settled. So a → b is a cause, a ↔ b has a hidden common cause, and — and
    o– only come from selection."""

    CPDAG = "cpdag"
    PAG = "pag"


class EdgeKind(StrEnum):
    """What joins i and j, read from i to j. Circles are in PAGs only."""

    NONE = "none"
    FORWARD = "-->"
    BACKWARD = "<--"
    UNDIRECTED = "---"
    BIDIRECTED = "<->"
    CIRCLE_FORWARD = "o->"
    CIRCLE_BACKWARD = "<-o"
    CIRCLE_CIRCLE = "o-o"
    CIRCLE_TAIL = "o--"
    TAIL_CIRCLE = "--o"

    @classmethod
    def of(cls, at_i: int, at_j: int) -> EdgeKind:
        """The edge with these marks at i and at j. KeyError where only one end has a mark."""
        return _KIND[Endpoint(at_i), Endpoint(at_j)]

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """The marks at i and at j."""
        return _ENDS[self]

    @property
    def symbol(self) -> str:
        """As it is printed; empty for no edge."""
        return _SYMBOL[self]


_ENDS = {
    EdgeKind.NONE: (Endpoint.NONE, Endpoint.NONE),
    EdgeKind.FORWARD: (Endpoint.TAIL, Endpoint.ARROW),
    EdgeKind.BACKWARD: (Endpoint.ARROW, Endpoint.TAIL),
    EdgeKind.UNDIRECTED: (Endpoint.TAIL, Endpoint.TAIL),
    EdgeKind.BIDIRECTED: (Endpoint.ARROW, Endpoint.ARROW),
    EdgeKind.CIRCLE_FORWARD: (Endpoint.CIRCLE, Endpoint.ARROW),
    EdgeKind.CIRCLE_BACKWARD: (Endpoint.ARROW, Endpoint.CIRCLE),
    EdgeKind.CIRCLE_CIRCLE: (Endpoint.CIRCLE, Endpoint.CIRCLE),
    EdgeKind.CIRCLE_TAIL: (Endpoint.CIRCLE, Endpoint.TAIL),
    EdgeKind.TAIL_CIRCLE: (Endpoint.TAIL, Endpoint.CIRCLE),
}
_KIND = {ends: kind for kind, ends in _ENDS.items()}
_SYMBOL = {
    EdgeKind.NONE: "",
    EdgeKind.FORWARD: "→",
    EdgeKind.BACKWARD: "←",
    EdgeKind.UNDIRECTED: "—",
    EdgeKind.BIDIRECTED: "↔",
    EdgeKind.CIRCLE_FORWARD: "o→",
    EdgeKind.CIRCLE_BACKWARD: "←o",
    EdgeKind.CIRCLE_CIRCLE: "o–o",
    EdgeKind.CIRCLE_TAIL: "o–",
    EdgeKind.TAIL_CIRCLE: "–o",
}
# One reading of every kind of edge: the others are these read from the other end.
READ_FORWARD = (
    EdgeKind.FORWARD,
    EdgeKind.UNDIRECTED,
    EdgeKind.BIDIRECTED,
    EdgeKind.CIRCLE_FORWARD,
    EdgeKind.CIRCLE_CIRCLE,
    EdgeKind.CIRCLE_TAIL,
)

"""What graphs over the same values agree on: counts of edges, arrowheads and ancestors, and their shares.

Marks are taken by value: ARROW is an arrowhead, and any pair of marks but NONE is an edge, so that circles
of a PAG count as edges without arrowheads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import Endpoint
from axiograph.discovery.numerics.arrays import AnyArray, BoolArray, ByteArray, CountArray, FloatArray
from axiograph.engine.errors import InputError

Counts = dict[str, CountArray]
RELATIONS = ("definite", "possible", "none")


@dataclass(frozen=True, eq=False)
class Stack:
    """R graphs over the same n values: `marks` [R, n, n] (discovery.graph.causal_graph), and where value j is
    a definite or only a possible descendant of i, `definite` and `possible` [R, n, n]."""

    marks: ByteArray
    definite: BoolArray
    possible: BoolArray

    def __len__(self) -> int:
        return len(self.marks)

    def __getitem__(self, part: Any) -> Stack:
        return Stack(self.marks[part], self.definite[part], self.possible[part])

    @classmethod
    def of(cls, graph: CausalGraph, values: Sequence[str]) -> Stack:
        """One graph, on some of its values in this order. Paths may lead through the others: whether a value
        is an ancestor of another does not depend on which values are looked at."""
        order = [graph.names.index(value) for value in values]
        return cls(graph.marks[None], graph.definite_descendants()[None], graph.possible_descendants()[None])[
            np.ix_([0], order, order)
        ]


def count(graph: Stack, reference: Stack) -> Counts:
    """Counts [R] of graph r against reference r; one graph is compared with every one of the others.

    Pairs of values: `graph_edges`, `reference_edges`, `shared_edges` (in both), `differing_marks` (in both,
    with another mark at an end), `reversed` (of those: → in one and ← in the other). Arrowheads:
    `graph_arrowheads`, `reference_arrowheads`, `shared_arrowheads` (at the same end of the same pair), and
    those on pairs that both join, `graph_arrowheads_joined` and `reference_arrowheads_joined`. Ordered
    pairs (i, j), by whether i is an ancestor of j in the graph and in the reference:
    `ancestors_definite_definite`, `ancestors_definite_possible` … `ancestors_none_none`; and
    `contradictions`: i a definite ancestor of j in the graph, j one of i in the reference."""
    ours, theirs = graph.marks, reference.marks
    joined = (ours != Endpoint.NONE) & (theirs != Endpoint.NONE)
    our_heads, their_heads = ours == Endpoint.ARROW, theirs == Endpoint.ARROW
    differs = joined & ((ours != theirs) | _turned(ours != theirs))
    directed = [
        heads & (_turned(m) == Endpoint.TAIL) for heads, m in ((our_heads, ours), (their_heads, theirs))
    ]
    counts = {
        "graph_edges": _sum(ours != Endpoint.NONE) // 2,
        "reference_edges": _sum(theirs != Endpoint.NONE) // 2,
        "shared_edges": _sum(joined) // 2,
        "differing_marks": _sum(differs) // 2,
        "reversed": _sum(directed[0] & _turned(directed[1])),
        "graph_arrowheads": _sum(our_heads),
        "reference_arrowheads": _sum(their_heads),
        "shared_arrowheads": _sum(our_heads & their_heads),
        "graph_arrowheads_joined": _sum(our_heads & joined),
        "reference_arrowheads_joined": _sum(their_heads & joined),
        "contradictions": _sum(graph.definite & _turned(reference.definite)),
    }
    pairs = max(len(graph), len(reference))
    counts |= _relations(graph, reference)
    return {name: np.broadcast_to(number, pairs) for name, number in counts.items()}


def shd(counts: Mapping[str, Any]) -> Any:
    """The structural Hamming distance, as discovery.graph.causal_graph.shd: pairs joined in one graph only,
    and those joined in both with another mark."""
    alone = counts["graph_edges"] + counts["reference_edges"] - 2 * counts["shared_edges"]
    return alone + counts["differing_marks"]


@dataclass(frozen=True)
class Share:
    """`count` of `of`; where `of` is 0 there is no share, and `reason` says why."""

    count: int
    of: int
    reason: str | None = None

    @property
    def value(self) -> float | None:
        """count / of; None where of is 0."""
        return self.count / self.of if self.of else None

    def document(self) -> dict[str, Any]:
        """As JSON types."""
        return {"value": self.value, "count": self.count, "of": self.of, "reason": self.reason}


@dataclass(frozen=True)
class ShareOf:
    """A share by the names of the counts that are summed above and below the line."""

    name: str
    part: tuple[str, ...]
    whole: tuple[str, ...]
    empty: str

    def of(self, counts: Mapping[str, int]) -> Share:
        """The share of one pair of graphs."""
        part, whole = (int(sum(counts[name] for name in names)) for names in (self.part, self.whole))
        return Share(part, whole, None if whole else self.empty)

    def values(self, counts: Counts) -> FloatArray:
        """[R]: the share of every pair of graphs; NaN, for internal use, where it has none."""
        part, whole = (np.sum([counts[name] for name in names], axis=0) for names in (self.part, self.whole))
        return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def positions_of(values: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where each of the values stands in the names of a run's replicates. InputError for one that is not
    there."""
    lacking = [value for value in values if value not in names]
    if lacking:
        remedy = "Run the discovery again: graph and replicates are not of one run."
        raise InputError("replicates", f"graphs over {list(values)}", f"none of {lacking}", remedy)
    return [names.index(value) for value in values]


def _overlap(relation: str) -> tuple[str, ...]:
    """The counts of ordered pairs that have this relation in the graph, in the reference or in both."""
    either = [f"ancestors_{relation}_{other}" for other in RELATIONS]
    return (*either, *(f"ancestors_{other}_{relation}" for other in RELATIONS if other != relation))


def _three(name: str, both: str, ours: str, theirs: str, what: str) -> tuple[ShareOf, ShareOf, ShareOf]:
    return (
        ShareOf(f"{name}_precision", (both,), (ours,), f"the graph has no {what}"),
        ShareOf(f"{name}_recall", (both,), (theirs,), f"the reference has no {what}"),
        ShareOf(f"{name}_f1", (both, both), (ours, theirs), f"neither graph has an {what}"),
    )


SHARES = (
    *_three("skeleton", "shared_edges", "graph_edges", "reference_edges", "edge"),
    *_three("arrowhead", "shared_arrowheads", "graph_arrowheads", "reference_arrowheads", "arrowhead"),
    *_three(
        "joined_arrowhead",
        "shared_arrowheads",
        "graph_arrowheads_joined",
        "reference_arrowheads_joined",
        "arrowhead on an edge that both have",
    ),
    ShareOf(
        "definite_ancestor_jaccard",
        ("ancestors_definite_definite",),
        _overlap("definite"),
        "neither graph has a definite ancestor",
    ),
    ShareOf(
        "possible_ancestor_jaccard",
        ("ancestors_possible_possible",),
        _overlap("possible"),
        "neither graph has a possible ancestor",
    ),
)
"""Every share that is reported; discovery.comparison.graphs says what they mean."""


def _relations(graph: Stack, reference: Stack) -> Counts:
    n = graph.marks.shape[1]
    apart = ~np.eye(n, dtype=bool)
    ours, theirs = (
        {"definite": s.definite, "possible": s.possible, "none": apart & ~s.definite & ~s.possible}
        for s in (graph, reference)
    )
    return {
        f"ancestors_{first}_{second}": _sum(ours[first] & theirs[second])
        for first in RELATIONS
        for second in RELATIONS
    }


def _turned(masks: AnyArray) -> AnyArray:
    return masks.transpose(0, 2, 1)


def _sum(masks: BoolArray) -> CountArray:
    return np.asarray(masks.sum(axis=(1, 2)), dtype=np.int64)

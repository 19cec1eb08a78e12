"""Two causal graphs compared over the values that they share: edges, arrowheads, ancestors.

The second graph is the reference: precision is the share of the first graph's edges (or arrowheads) that the
reference has, recall the share of the reference's that the first graph has; F1, their harmonic mean, is the
same either way. Between two models neither is the truth, and exchanging them exchanges precision and recall.

Skeleton: pairs joined by any edge. Orientation is counted in arrowheads, as in Andrews, Ramsey & Cooper
(2018, Scoring Bayesian networks of mixed variables, Int. J. Data Sci. Anal. 6) and in causal-learn's
ArrowConfusion: an arrowhead at j of the edge between i and j is found where the other graph has an arrowhead
there too, whatever stands at i. Undirected edges and circles are no arrowheads: where the data do not settle
a direction, precision is not touched and recall is lost. A reference that is a DAG has arrowheads that no
observational data can settle, and no CPDAG finds them all. Arrowheads are counted twice: all of them, and
those on pairs that both graphs join, where a wrong direction is kept apart from a missing edge.

Ancestors: ordered pairs (i, j) with a directed path (definite) or only a possibly directed one (possible), as
in discovery.graph.causal_graph. Paths may lead through values that the other graph lacks. Edges do not carry
over so easily: a graph learned with other values at hand is not the one that would be learned without them.

A share of nothing (0/0) is a state: its value is None and the reason is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from axiograph.discovery.comparison.agreement import RELATIONS, SHARES, Counts, Share, Stack, count, shd
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.errors import InputError

SCHEMA = "axiograph-comparison/1"


@dataclass(frozen=True, eq=False)
class Comparison:
    """`graph` against `reference` over `values`, those in both, in the order of `graph`.

    `graph_only`, `reference_only`: values of one graph, left out with their edges. `counts`: those of
    discovery.comparison.agreement.count."""

    graph: CausalGraph
    reference: CausalGraph
    values: tuple[str, ...]
    graph_only: tuple[str, ...]
    reference_only: tuple[str, ...]
    counts: dict[str, int]

    @property
    def shd(self) -> int:
        """Structural Hamming distance over the shared values, as discovery.graph.causal_graph.shd."""
        return int(shd(self.counts))

    @property
    def distance(self) -> dict[str, int]:
        """The three parts of `shd`, in pairs of values."""
        shared = self.counts["shared_edges"]
        return {
            "graph_only": self.counts["graph_edges"] - shared,
            "reference_only": self.counts["reference_edges"] - shared,
            "differing_marks": self.counts["differing_marks"],
        }

    @property
    def shares(self) -> dict[str, Share]:
        """Precision, recall, F1 and the Jaccard indices of ancestors, by name."""
        return {share.name: share.of(self.counts) for share in SHARES}

    def ancestors(self, graph: str, reference: str) -> int:
        """Ordered pairs by their relation (RELATIONS) in the graph and in the reference."""
        return self.counts[f"ancestors_{graph}_{reference}"]

    def document(self) -> dict[str, Any]:
        """Everything but the edges, as JSON types."""
        n = len(self.values)
        return {
            "schema": SCHEMA,
            "reference": "the second graph: precision is of the first's edges, recall of the reference's",
            "values": list(self.values),
            "left_out": {"graph_only": list(self.graph_only), "reference_only": list(self.reference_only)},
            "pairs": n * (n - 1) // 2,
            "shd": {"value": self.shd, **self.distance, "reversed": self.counts["reversed"]},
            "edges": {name: self.counts[f"{name}_edges"] for name in ("graph", "reference", "shared")},
            "shares": {name: share.document() for name, share in self.shares.items()},
            "ancestors": self._ancestors(),
        }

    def _ancestors(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {
            f"graph_{ours}": {f"reference_{theirs}": self.ancestors(ours, theirs) for theirs in RELATIONS}
            for ours in RELATIONS
        }
        for kind in ("definite", "possible"):
            numbers[f"{kind}_in_both"] = self.ancestors(kind, kind)
            others = [other for other in RELATIONS if other != kind]
            numbers[f"{kind}_in_graph_only"] = sum(self.ancestors(kind, other) for other in others)
            numbers[f"{kind}_in_reference_only"] = sum(self.ancestors(other, kind) for other in others)
        return numbers | {"contradictions": self.counts["contradictions"]}


def compare(graph: CausalGraph, reference: CausalGraph) -> Comparison:
    """Compare two graphs over the values that both name, exactly as they name them.

    Raises InputError where these are fewer than two (names that nearly agree are pointed out), and for a
    CPDAG and a PAG, whose marks mean different things."""
    if graph.kind is not reference.kind:
        raise InputError(
            "comparison of two graphs",
            "two of one kind",
            f"a {graph.kind.upper()} and a {reference.kind.upper()}",
            "Their marks mean different things: compare graphs of one algorithm.",
        )
    values = shared_values(graph.names, reference.names)
    counts: Counts = count(Stack.of(graph, values), Stack.of(reference, values))
    return Comparison(
        graph=graph,
        reference=reference,
        values=values,
        graph_only=tuple(name for name in graph.names if name not in values),
        reference_only=tuple(name for name in reference.names if name not in values),
        counts={name: int(number[0]) for name, number in counts.items()},
    )


def shared_values(graph: Sequence[str], reference: Sequence[str]) -> tuple[str, ...]:
    """The names in both, in the order of `graph`; InputError where these are fewer than two."""
    shared = tuple(name for name in graph if name in set(reference))
    if len(shared) < 2:
        meant = near_misses(graph, reference)
        asked = "".join(f" Did you mean {b!r} by {a!r}?" for a, b in meant)
        raise InputError(
            "comparison of two graphs",
            "two values or more in both, by the same names",
            f"{len(shared)} of {len(graph)} and {len(reference)}",
            f"Compare graphs of the same values.{asked}",
        )
    return shared


def near_misses(graph: Sequence[str], reference: Sequence[str]) -> list[tuple[str, str]]:
    """(name of the graph only, name of the reference only) where the two may be meant to be one."""
    free = {_plain(name): name for name in reference if name not in set(graph)}
    pairs = []
    for name in graph:
        if name in set(reference):
            continue
        close = get_close_matches(_plain(name), list(free), n=1, cutoff=0.8)
        pairs += [(name, free[near]) for near in close]
    return pairs


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())

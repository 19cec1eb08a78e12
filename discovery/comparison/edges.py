"""The edge table of a comparison: a row for every pair of shared values, with both edges and frequencies."""

from __future__ import annotations

from enum import StrEnum
from itertools import combinations

import numpy as np
import polars as pl

from axiograph.discovery.comparison.agreement import positions_of
from axiograph.discovery.comparison.graphs import Comparison
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.discovery.numerics.arrays import CountArray, FloatArray
from axiograph.discovery.numerics.intervals import share, wilson
from axiograph.discovery.resampling.frequencies import EdgeCounts

_MASSES = ("adjacent", "forward", "backward", "undirected", "bidirected")
_DIFFERENCE = ("difference", "difference_mc_low", "difference_mc_high")


class EdgeState(StrEnum):
    """How a pair of values is joined in two graphs."""

    SAME = "same"
    DIFFERS = "marks differ"
    GRAPH = "graph only"
    REFERENCE = "reference only"
    NEITHER = "neither"


def edge_state(graph: EdgeKind, reference: EdgeKind) -> EdgeState:
    """The state of a pair from its edge in either graph."""
    if graph is reference:
        return EdgeState.NEITHER if graph is EdgeKind.NONE else EdgeState.SAME
    if graph is EdgeKind.NONE:
        return EdgeState.REFERENCE
    return EdgeState.GRAPH if reference is EdgeKind.NONE else EdgeState.DIFFERS


def compared_kinds(compared: Comparison) -> list[tuple[str, str, EdgeKind, EdgeKind]]:
    """(a, b, edge of the graph, edge of the reference), read from a to b, for the pairs of shared values."""
    values = compared.values
    ours, theirs = ([side.names.index(v) for v in values] for side in (compared.graph, compared.reference))
    return [
        (values[p], values[q], compared.graph.edge_kind(i, j), compared.reference.edge_kind(k, m))
        for (p, q), (i, j), (k, m) in zip(
            combinations(range(len(values)), 2), combinations(ours, 2), combinations(theirs, 2), strict=True
        )
    ]


def edge_table(
    compared: Comparison, graph: EdgeCounts | None = None, reference: EdgeCounts | None = None
) -> pl.DataFrame:
    """One row a pair a, b (a before b in the graph's order): `graph_edge` and `reference_edge`, read from a
    to b, and `state` (EdgeState).

    With replicates of a side, `*_replicates` it is counted over and the frequencies `*_adjacent`, `*_forward`
    (a → b), `*_backward`, `*_undirected`, `*_bidirected`, and of PAGs those with circles, as in
    EdgeCounts.table; without, nulls. `difference`: graph_adjacent −
    reference_adjacent, with the 95 % interval of its Monte-Carlo error, `difference_mc_low` and `_high`:
    what infinitely many replicates of the same data would give, no statement about other data. It is
    Newcombe's (1998, Statistics in Medicine 17, p. 873, method 10), which takes the two as independent; it
    is too wide where both runs drew the same roles. InputError where counts lack a value."""
    rows = [
        (a, b, str(ours), str(theirs), str(edge_state(ours, theirs)))
        for a, b, ours, theirs in compared_kinds(compared)
    ]
    names = ("a", "b", "graph_edge", "reference_edge", "state")
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    replicates = {"graph": graph, "reference": reference}
    sides = {name: _counts(counts, compared.values) for name, counts in replicates.items()}
    columns: dict[str, object] = {}
    for name, (total, counts) in sides.items():
        columns[f"{name}_replicates"] = total if replicates[name] is not None else [None] * len(total)
        columns |= {f"{name}_{mass}": share(number, total) for mass, number in counts.items()}
    ours, theirs = sides["graph"], sides["reference"]
    gap = difference_interval(ours[1]["adjacent"], ours[0], theirs[1]["adjacent"], theirs[0])
    columns |= dict(zip(_DIFFERENCE, gap, strict=True))
    schema = dict.fromkeys(columns, pl.Float64) | {f"{name}_replicates": pl.Int64 for name in sides}
    return table.hstack(pl.DataFrame(columns, schema=schema, nan_to_null=True))


def _counts(counts: EdgeCounts | None, values: tuple[str, ...]) -> tuple[CountArray, dict[str, CountArray]]:
    """Replicates and counts by kind of edge of the pairs of values in row order; zeros without counts."""
    i, j = np.triu_indices(len(values), k=1)
    if counts is None:
        none = np.zeros(len(i), np.int64)
        return none, dict.fromkeys(_MASSES, none)
    order = np.array(positions_of(values, counts.names), dtype=np.int64)
    p, q = order[i], order[j]
    by_mass = (
        counts.adjacent[p, q],
        counts.forward[p, q],
        counts.forward[q, p],
        counts.undirected[p, q],
        counts.bidirected[p, q],
    )
    circles = {} if counts.circles is None else counts.circles.by_mass(p, q)
    return counts.together[p, q], dict(zip(_MASSES, by_mass, strict=True)) | circles


def difference_interval(
    first: CountArray, of_first: CountArray, second: CountArray, of_second: CountArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """p₁ − p₂ of two counts and its 95 % interval (low, high), NaN where a total is 0.

    Newcombe (1998), method 10: from the Wilson intervals (l, u) of both, the lower end is
    p₁ − p₂ − √((p₁ − l₁)² + (u₂ − p₂)²), the upper one p₁ − p₂ + √((u₁ − p₁)² + (p₂ − l₂)²)."""
    one, two = share(first, of_first), share(second, of_second)
    (low_one, high_one), (low_two, high_two) = wilson(first, of_first), wilson(second, of_second)
    gap = one - two
    low = gap - np.sqrt((one - low_one) ** 2 + (high_two - two) ** 2)
    high = gap + np.sqrt((high_one - one) ** 2 + (two - low_two) ** 2)
    return gap, low, high

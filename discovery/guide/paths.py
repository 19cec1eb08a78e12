"""Total effects along the paths of the replicates' graphs: what a shift of one value does to the others.

Every replicate's graph is one guess at the causes. A member of its class (a DAG) is drawn at random, its
path coefficients are the least squares of every value on its causes over the roles of that draw, on the
scale of discovery.guide.link, and the total effect of a unit added to value j on value i is entry [i, j] of
(1 − B)⁻¹ (Bollen 1989, Structural Equations with Latent Variables, ch. 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph, reachability
from axiograph.discovery.graph.marks import Endpoint
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Paths:
    """`coefficients` [draws, n, n]: B, entry [d, i, j] of cause j on value i. `total` [draws, n, n]."""

    names: tuple[str, ...]
    coefficients: FloatArray
    total: FloatArray

    @classmethod
    def of(
        cls,
        positions: FloatArray,
        names: Sequence[str],
        graph: CausalGraph,
        replicates: PackedGraphs | None,
        draws: int,
        rng: np.random.Generator,
    ) -> Paths:
        """`positions` [n_roles, n]: baseline of the roles the graph came from, NaN where there is no score.
        Without replicates every draw takes `graph`; values that a graph lacks have no causes in it."""
        n = len(names)
        usable = [] if replicates is None else np.flatnonzero(replicates.used).tolist()
        rows = np.where(np.isfinite(positions), positions, np.nanmean(positions, axis=0))
        coefficients = np.zeros((draws, n, n))
        for d in range(draws):
            own: CausalGraph | None = graph
            if usable and replicates is not None:
                own = replicates.graph(int(rng.choice(usable)))
            assert own is not None  # only used replicates are drawn
            drawn = rows[rng.integers(len(rows), size=len(rows))]
            coefficients[d] = _least_squares(drawn, _over(causes(own, rng), own.names, names))
        total: FloatArray = np.linalg.inv(np.eye(n) - coefficients).astype(np.float64)
        return cls(tuple(names), coefficients, total)


def causes(graph: CausalGraph, rng: np.random.Generator) -> BoolArray:
    """[n, n] of one DAG of the graph's class, drawn at random: [i, j] where j is a cause of i.

    Sinks are taken away one by one (Dor & Tarsi 1992), which gives a member of the class where there is one;
    where there is none (PC's graph can contradict itself), the arrows that are on no cycle are kept. A ↔ has
    a hidden cause and no arrow; a circle counts as open."""
    at_end, at_start = graph.marks, graph.marks.T
    directed = (at_start == Endpoint.TAIL) & (at_end == Endpoint.ARROW)
    reach = reachability(directed)
    in_cycle = directed & reach.T
    directed &= ~in_cycle
    double = (at_start == Endpoint.ARROW) & (at_end == Endpoint.ARROW)
    joined = (at_end != Endpoint.NONE) & ~double
    # A circle end towards an arrowhead may still be a cause, never an effect.
    directed |= joined & (at_end == Endpoint.ARROW) & (at_start == Endpoint.CIRCLE)
    directed &= ~reachability(directed).T
    open_ = joined & ~directed & ~directed.T
    found = np.zeros_like(directed)
    left = list(range(len(graph.names)))
    while left:
        sinks = [x for x in left if not directed[x, left].any()]
        good = [x for x in sinks if _may_be_sink(x, left, open_, joined)]
        x = int(rng.choice(good or sinks or left))
        found[x, left] = directed[left, x] | open_[x, left]
        left.remove(x)
    return found


def _may_be_sink(x: int, left: list[int], open_: BoolArray, joined: BoolArray) -> bool:
    """Whether every open neighbour of x is joined with all its other neighbours, so that turning the edges
    towards x makes no new collider."""
    around = [y for y in left if joined[x, y]]
    return all(joined[y, z] for y in around if open_[x, y] for z in around if z != y)


def _over(found: BoolArray, own: Sequence[str], names: Sequence[str]) -> BoolArray:
    wide = np.zeros((len(names), len(names)), bool)
    place = [names.index(name) for name in own if name in names]
    kept = [k for k, name in enumerate(own) if name in names]
    wide[np.ix_(place, place)] = found[np.ix_(kept, kept)]
    return wide


def _least_squares(rows: FloatArray, parents: BoolArray) -> FloatArray:
    centred = rows - rows.mean(axis=0)
    found = np.zeros((rows.shape[1], rows.shape[1]))
    for i in range(rows.shape[1]):
        own = np.flatnonzero(parents[i])
        if own.size:
            found[i, own] = np.linalg.lstsq(centred[:, own], centred[:, i], rcond=None)[0]
    return found

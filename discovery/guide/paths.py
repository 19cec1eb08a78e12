"""Total effects along the paths of the replicates' graphs: what a shift of one value does to the others.

Every replicate's graph is one guess at the causes. A member of its class (a DAG) is drawn at random, its
path coefficients are the least squares of every value on its causes over the roles of that draw, on the
scale of discovery.guide.link, and the total effect of a unit added to value j on value i is entry [i, j] of
(1 − B)⁻¹ (Bollen 1989, Structural Equations with Latent Variables, ch. 8). A graph that was made with
experiments has coefficients of its own, which these know as well as the roles.
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
    def of_weights(
        cls,
        weights: FloatArray,
        nodes: Sequence[str],
        positions: FloatArray,
        names: Sequence[str],
        draws: int,
        rng: np.random.Generator,
    ) -> Paths:
        """From the coefficients `weights` [U, k, k] of replicates of a graph of roles and experiments, entry
        [x, y] of x → y over `nodes` in standard deviations (discovery.interventions.draws); `positions`
        [n_roles, n] give the standard deviations on the scale of discovery.guide.link."""
        n = len(names)
        spread = np.nanstd(positions, axis=0)
        columns = np.array([names.index(node) for node in nodes if node in names])
        shared = np.array([k for k, node in enumerate(nodes) if node in names])
        drawn = weights[rng.integers(len(weights), size=draws)][:, shared][:, :, shared]
        of = spread[columns]
        ratio = np.divide(of[:, None], of[None, :], out=np.zeros((len(of), len(of))), where=of[None, :] > 0)
        coefficients = np.zeros((draws, n, n))
        coefficients[:, columns[:, None], columns] = drawn.transpose(0, 2, 1) * ratio
        total: FloatArray = np.linalg.inv(np.eye(n) - coefficients).astype(np.float64)
        return cls(tuple(names), coefficients, total)

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
            replicate: CausalGraph | None = graph
            if usable and replicates is not None:
                replicate = replicates.graph(int(rng.choice(usable)))
            assert replicate is not None  # only used replicates are drawn
            drawn = rows[rng.integers(len(rows), size=len(rows))]
            parents = _reordered(causes(replicate, rng), replicate.names, names)
            coefficients[d] = _least_squares(drawn, parents)
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
    parents = np.zeros_like(directed)
    left = list(range(len(graph.names)))
    while left:
        sinks = [x for x in left if not directed[x, left].any()]
        good = [x for x in sinks if _may_be_sink(x, left, open_, joined)]
        x = int(rng.choice(good or sinks or left))
        parents[x, left] = directed[left, x] | open_[x, left]
        left.remove(x)
    return parents


def _may_be_sink(x: int, left: list[int], open_: BoolArray, joined: BoolArray) -> bool:
    """Whether every open neighbour of x is joined with all its other neighbours, so that turning the edges
    towards x makes no new collider."""
    around = [y for y in left if joined[x, y]]
    return all(joined[y, z] for y in around if open_[x, y] for z in around if z != y)


def _reordered(parents: BoolArray, nodes: Sequence[str], names: Sequence[str]) -> BoolArray:
    """`parents` over the `nodes` of a graph as [n, n] over `names`; values that are no node have none."""
    wide = np.zeros((len(names), len(names)), bool)
    columns = [names.index(node) for node in nodes if node in names]
    shared = [k for k, node in enumerate(nodes) if node in names]
    wide[np.ix_(columns, columns)] = parents[np.ix_(shared, shared)]
    return wide


def _least_squares(rows: FloatArray, parents: BoolArray) -> FloatArray:
    """[n, n]: the coefficients of every value on its `parents`, over `rows` [n_roles, n]."""
    centred = rows - rows.mean(axis=0)
    coefficients = np.zeros((rows.shape[1], rows.shape[1]))
    for i in range(rows.shape[1]):
        of = np.flatnonzero(parents[i])
        if of.size:
            coefficients[i, of] = np.linalg.lstsq(centred[:, of], centred[:, i], rcond=None)[0]
    return coefficients

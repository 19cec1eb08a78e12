"""Planted models of any size: random linear-Gaussian graphs over standardised values, and their CPDAGs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discovery.graph import BoolArray, CausalGraph, reachability
from discovery.knowledge import no_knowledge
from discovery.pc import FloatArray

EDGES_PER_VALUE = 9 / 8  # as the built-in respondent's graph: 9 edges among 8 values
WEIGHTS = (0.35, 0.7)  # their sizes; either sign
MAX_EXPLAINED = 0.75  # of a value's variance, by its causes


@dataclass(frozen=True, eq=False)
class PlantedModel:
    """`weights` [n, n]: the effect of cause i on j at [i, j]; values have variance 1; `noise_sd` [n]."""

    weights: FloatArray
    noise_sd: FloatArray
    graph: CausalGraph

    @property
    def total(self) -> FloatArray:
        """[n, n]: what one unit added to the equation of value i does to value j, at [i, j]."""
        return np.asarray(np.linalg.inv(np.eye(len(self.weights)) - self.weights))

    @property
    def dag(self) -> BoolArray:
        """[n, n]: true at [i, j] where i causes j directly."""
        return self.weights != 0

    @property
    def descendants(self) -> BoolArray:
        """[n, n]: true at [i, j] where a path leads from i to j."""
        return reachability(self.dag)

    def draw(self, rng: np.random.Generator, roles: int) -> FloatArray:
        """[roles, n]: values; the first k roles are the same however many follow."""
        noise = rng.standard_normal((roles, len(self.weights)))
        return np.asarray(noise * self.noise_sd @ self.total)


def random_model(
    rng: np.random.Generator, values: int, edges_per_value: float = EDGES_PER_VALUE
) -> PlantedModel:
    """A model with `edges_per_value` × `values` edges on average, in a random causal order of the columns."""
    chance = min(1.0, 2 * edges_per_value / max(1, values - 1))
    weights, correlation, noise_sd = np.zeros((values, values)), np.eye(values), np.ones(values)
    for j in range(1, values):
        own = rng.uniform(*WEIGHTS, j) * rng.choice([-1.0, 1.0], j) * (rng.random(j) < chance)
        explained = own @ correlation[:j, :j] @ own
        if explained > MAX_EXPLAINED:
            own *= np.sqrt(MAX_EXPLAINED / explained)
            explained = MAX_EXPLAINED
        weights[:j, j] = own
        correlation[:j, j] = correlation[j, :j] = correlation[:j, :j] @ own
        noise_sd[j] = np.sqrt(1 - explained)
    order = rng.permutation(values)
    weights = weights[np.ix_(order, order)]
    names = tuple(f"v{k}" for k in range(values))
    return PlantedModel(weights, noise_sd[order], cpdag_of(weights != 0, names))


def cpdag_of(dag: BoolArray, names: tuple[str, ...]) -> CausalGraph:
    """The CPDAG of a DAG [n, n]: what PC finds when every test is right.

    Of two values that no edge joins, the parents of the one that does not come first separate them."""
    from discovery.orientation import orient

    n = len(dag)
    before = reachability(dag)
    sepset = np.zeros((n, n, (n + 63) // 64), np.uint64)
    for i, j in zip(*np.nonzero(np.triu(~(dag | dag.T), 1)), strict=True):
        later = i if before[j, i] else j
        for node in np.flatnonzero(dag[:, later]):
            sepset[i, j, node >> 6] |= np.uint64(1) << np.uint64(node & 63)
    _, banned, drawn = no_knowledge(n)
    marks = np.empty((n, n), np.uint8)
    orient((dag | dag.T).astype(np.uint8), sepset, banned, drawn, marks)
    return CausalGraph(names, marks)

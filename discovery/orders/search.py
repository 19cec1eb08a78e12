"""Best-order search as a `SearchFunction`: the class of a DAG with a high Gaussian BIC."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.arrays import ByteArray, FloatArray
from axiograph.discovery.orders.constraints import Constraints, constraints
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.discovery.pc.search import ColumnSearch, FoundGraph
from axiograph.engine.errors import InputError

PENALTY = 2.0
# On half of the roles, as a share of it. With the whole of it an effect has to be nearly twice as strong
# there, and most replicates lack edges that all roles show; with half of it as strong, while chance is
# twice as large. Between them the consensus is nearest to planted graphs (benchmarks/results/relations.md).
PENALTY_ON_HALF = 0.75
STARTS = 3
_ROWS_PER_PARENT = 4


@dataclass(frozen=True)
class BestOrder(ColumnSearch):
    """Best-order search (BOSS; Andrews et al. 2023, NeurIPS) with the Gaussian BIC.

    It maximises Σ_y −n log var(y | parents) − `penalty` · log n · parents over orders of the values; 1 is
    BIC, 2 asks for twice the evidence. Of up to 12 values the best of all DAGs is found; of more, the best
    that is climbed to from so many orders (`starts`). alpha is not used."""

    penalty: float = PENALTY
    starts: int = STARTS

    name: ClassVar[str] = "boss"
    in_threads: ClassVar[bool] = True

    def find(self, inputs: SearchInput) -> FoundGraph:
        """Forbidden edges are in no graph, required ones in every one. InputError for knowledge that no graph
        agrees with, or that requires more parents than rows can tell."""
        told = constraints(inputs.knowledge, inputs.names)
        found = best_dag(inputs.correlation, inputs.n, self, told)
        from axiograph.discovery.orders.equivalence import fill_class

        marks = np.empty(found.dag.shape, np.uint8)
        fill_class(found.dag, told.known, marks)
        return FoundGraph(CausalGraph(inputs.names, marks))

    def on_half(self) -> BestOrder:
        """With three quarters of the penalty."""
        return replace(self, penalty=PENALTY_ON_HALF * self.penalty)

    def cost(self, n: int) -> float:
        """What a parent costs among n rows."""
        return self.penalty * math.log(n)


@dataclass(frozen=True, eq=False)
class BestDag:
    """`dag` [p, p]: entry [i, j] 1 for i → j; its `score`, up to what is the same for every DAG."""

    dag: ByteArray
    score: float


def best_dag(
    corr: FloatArray, n: int, search: BestOrder, told: Constraints, most: int | None = None
) -> BestDag:
    """The DAG that `search` finds in correlations corr [p, p] of n rows; of all DAGs the best where there are
    no more than `most` values, 12 where nothing is said. InputError as `parents_bound`."""
    from axiograph.discovery.orders.climb import make_walk
    from axiograph.discovery.orders.exhaustive import MOST_VALUES, make_sets
    from axiograph.discovery.orders.kernel import best_order
    from axiograph.discovery.orders.trees import make_room, make_trees

    p = len(corr)
    bound = parents_bound(n, p, told)
    dag = np.empty((p, p), np.uint8)
    score, _ = best_order(
        np.ascontiguousarray(corr), told.allowed, told.required, told.before, bound, float(n),
        search.cost(n), search.starts, make_trees(p, 32 * p, 256 * p), make_room(p, bound), make_walk(p),
        make_sets(p, MOST_VALUES if most is None else most), dag,
    )  # fmt: skip
    return BestDag(dag, score)


def parents_bound(n: int, p: int, told: Constraints) -> int:
    """The most parents of a value among n rows: a quarter of n − 1, at least 1, and as many as are required.

    A regression on n − 1 values leaves nothing unexplained, whatever they are, and the likelihood has no
    bound there; on the way to it each further parent seems to explain more. With a quarter, four rows stand
    behind each coefficient. InputError where more are required than regressions can have."""
    if told.most_required > n - 3:
        raise InputError(
            "knowledge",
            f"at most {n - 3} required causes of a value with {n} roles",
            f"{told.most_required}",
            "Ask more roles, or require fewer edges.",
        )
    return min(p - 1, max(1, (n - 1) // _ROWS_PER_PARENT, told.most_required))

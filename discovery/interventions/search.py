"""The interventional graph as a `SearchFunction`: roles' scores and what experiments did, together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.numerics.arrays import ByteArray, FloatArray, IndexArray
from axiograph.discovery.numerics.streams import child_rng
from axiograph.discovery.orders.constraints import Constraints, constraints
from axiograph.discovery.orders.search import PENALTY, BestOrder, parents_bound
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.discovery.pc.search import ColumnSearch, FoundGraph

if TYPE_CHECKING:
    from axiograph.discovery.interventions.local import Evidence

STARTS = 10
LIMIT = 16.0  # about what two edges cost; twice a log likelihood
MARGIN = 2.0  # by how much the other direction has to be worse; twice a log likelihood
# An edge costs less among half of the roles; where an unexplained effect still cost as much, edges would take
# the place of what features do besides.
LIMIT_IN_REPLICATES = 0.75
_ROLES = 2  # child of a replicate's stream from which the roles of experiments are drawn


@dataclass(frozen=True, eq=False)
class JointGraph:
    """`weights` [p, p]: coefficients of the best DAG, entry [x, y] of x → y, in standard deviations; `marks`
    [p, p]: its edges, directed where the other direction is worse by the margin; its `score`, and by how much
    that is better than the empty graph's (`gain`)."""

    weights: FloatArray
    marks: ByteArray
    score: float
    gain: float

    @property
    def total_effects(self) -> FloatArray:
        """[p, p], see `total_effects`."""
        return total_effects(self.weights)


def total_effects(weights: FloatArray) -> FloatArray:
    """Of the coefficients […, p, p] of a DAG, entry [x, y] of x → y: by how much y moves with x, over all
    ways, Σ_k Bᵏ = (1 − B)⁻¹ (Bollen 1989, Structural Equations with Latent Variables, ch. 8)."""
    return np.asarray(np.linalg.inv(np.eye(weights.shape[-1]) - weights))


@dataclass(frozen=True, eq=False)
class InterventionalSearch(ColumnSearch):
    """The graph of baseline profiles and `experiments` (discovery.interventions.local has the score).
    `scale`: value → its standard deviation over all roles; `roles`: which of those of the experiments
    count, by number, one as often as it is named, all where None. `penalty`, `starts`: as of best-order
    search; `limit`: what an effect that no cause explains costs. alpha is not used."""

    experiments: Experiments
    scale: dict[str, float]
    penalty: float = PENALTY
    starts: int = STARTS
    margin: float = MARGIN
    limit: float = LIMIT
    roles: IndexArray | None = None

    name: ClassVar[str] = "boss"
    in_threads: ClassVar[bool] = True

    @classmethod
    def beside(
        cls,
        roles_only: BestOrder,
        experiments: Experiments,
        names: Sequence[str],
        data: FloatArray,
        starts: int | None = None,
    ) -> InterventionalSearch:
        """`roles_only` with experiments beside the roles' scores `data` [rows, k] of the values `names`."""
        deviations = data.std(axis=0)
        scale = dict(zip(names, np.where(deviations > 0, deviations, 1.0).tolist(), strict=True))
        return cls(experiments, scale, roles_only.penalty, STARTS if starts is None else starts)

    def of_replicate(self, seed: int, number: int) -> InterventionalSearch:
        """With the roles of the experiments drawn anew, with replacement: halves of a few are too few."""
        rng = child_rng(seed, number, _ROLES)
        n = self.experiments.n_roles
        return replace(self, roles=rng.integers(0, n, n), limit=LIMIT_IN_REPLICATES * self.limit)

    def of_null(self, seed: int, number: int, *, signs: bool) -> InterventionalSearch:
        """With experiments that say nothing of which value acts on which (Experiments.shuffled, flipped)."""
        rng = child_rng(seed, number, _ROLES + (2 if signs else 1))
        chance = self.experiments.flipped(rng) if signs else self.experiments.shuffled(rng)
        return replace(self, experiments=chance)

    def find(self, inputs: SearchInput) -> FoundGraph:
        """InputError as best-order search."""
        joint = self.joint(inputs, constraints(inputs.knowledge, inputs.names))
        return FoundGraph(CausalGraph(inputs.names, joint.marks), 0, joint.gain, joint.weights)

    def joint(self, inputs: SearchInput, told: Constraints) -> JointGraph:
        """The graph with its coefficients."""
        return joint_graph(self.evidence(inputs), self, told)

    def evidence(self, inputs: SearchInput) -> Evidence:
        """Covariances of the rows in units of `scale`: they and the effects are then measured alike. Where
        correlations are not those of the rows (corrections, gaps), the correlations."""
        scale = np.array([self.scale[name] for name in inputs.names])
        matrix = inputs.correlation
        if inputs.plain:
            deviations = inputs.table.std(axis=0) / scale
            matrix = matrix * np.outer(deviations, deviations)
        return self.experiments.evidence(inputs.names, matrix, scale, inputs.n, self.limit, self.roles)


def joint_graph(evidence: Evidence, search: InterventionalSearch, told: Constraints) -> JointGraph:
    """What `search` finds in `evidence` with what is known."""
    from axiograph.discovery.interventions import kernel
    from axiograph.discovery.interventions.local import local_score, make_bench

    p, n = len(evidence.corr), int(evidence.rows)
    bound = parents_bound(n, p, told)
    rules = kernel.Rules(
        told.allowed, told.required, told.before, bound, search.penalty * math.log(evidence.rows)
    )
    most = min(p - 1, max(kernel.MOST_CANDIDATES, told.most_required))
    weights, marks = np.empty((p, p)), np.empty((p, p), np.uint8)
    bench = make_bench(evidence)
    score = kernel.joint_graph(
        evidence, rules, search.starts, search.margin, bench, kernel.make_sets(p, most), kernel.make_walk(p),
        weights, marks,
    )  # fmt: skip
    empty = sum(local_score(evidence, bench, y, 0) for y in range(p))
    return JointGraph(weights, marks, score, score - empty)

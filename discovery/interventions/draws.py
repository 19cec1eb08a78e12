"""The best DAG of roles and experiments again and again, of the replicates that the edges' frequencies come
from: how far coefficients and total effects would differ with other roles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.interventions.search import total_effects
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.resampling.replicates import Jobs, ReplicateTask, in_order


@dataclass(frozen=True, eq=False)
class JointDraws:
    """R replicates over n values: their `graphs`, and the coefficients `weights` [R, n, n] of the best DAG of
    each, entry [x, y] of x → y, in standard deviations of all roles; 0 where a search failed or a value did
    not vary."""

    weights: FloatArray
    graphs: PackedGraphs

    @property
    def names(self) -> tuple[str, ...]:
        """Of the values."""
        return self.graphs.names

    @cached_property
    def totals(self) -> FloatArray:
        """[U, n, n]: total effects in the U replicates that did not fail."""
        return total_effects(self.weights[self.graphs.used])


def joint_draws(
    task: ReplicateTask, count: int, jobs: Jobs = 1, report: Callable[[int], None] | None = None
) -> JointDraws:
    """The first `count` replicates of `task`, whose search is an InterventionalSearch: those that `bootstrap`
    makes of the same table, search and seed. A replicate that fails is counted as such. `report` is told how
    many are done."""
    tell = (lambda done: None) if report is None else report
    chunks = list(in_order(task.replicates, task.chunks(count), jobs, task.in_threads, tell))
    names = task.table.names
    packed = [PackedGraphs.pack(names, chunk.marks, chunk.present, chunk.used) for chunk in chunks]
    # Where all replicates of a chunk failed, there are no coefficients.
    weights = [np.zeros(c.marks.shape) if c.weights is None else c.weights for c in chunks]
    return JointDraws(np.concatenate(weights), PackedGraphs.join(names, packed))

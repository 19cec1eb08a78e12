"""The best DAG of roles and experiments again and again, of the replicates that the edges' frequencies come
from: how far coefficients and total effects would differ with other roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.interventions.search import InterventionalSearch, JointGraph, total_effects
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.discovery.pc.search import ColumnSearch
from axiograph.discovery.resampling.replicates import Jobs, Replicates, ReplicateTask, in_order
from axiograph.discovery.resampling.rows import draw_many
from axiograph.engine.errors import AxiographError


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
    parts = list(in_order(partial(_draws, task), task.chunks(count), jobs, task.in_threads, tell))
    names = task.table.names
    packed = [
        PackedGraphs.pack(names, part.chunk.marks, part.chunk.present, part.chunk.used) for part in parts
    ]
    return JointDraws(np.concatenate([part.weights for part in parts]), PackedGraphs.join(names, packed))


class _Part(NamedTuple):
    chunk: Replicates
    weights: FloatArray


def _draws(task: ReplicateTask, numbers: range) -> _Part:
    names: Sequence[str] = task.table.names
    drawn = draw_many(len(task.units), task.resample, task.seed, numbers)
    chunk = Replicates.empty(len(drawn), len(names))
    weights = np.zeros((len(drawn), len(names), len(names)))
    for k, number in enumerate(numbers):
        asked = task.asked.of_replicate(task.seed, number)
        assert isinstance(asked.function, InterventionalSearch)  # as `joint_draws` says
        recorder = _Recorder(asked.function)
        try:
            rows = task.units.rows_of(drawn[k])
            answer = replace(asked, function=recorder).run(task.table, rows, task.n)
        except AxiographError as error:
            chunk.fail(k, error.found)
            continue
        chunk.put(k, answer.result, names)
        if recorder.kept:
            columns = [names.index(name) for name in answer.result.graph.names]
            weights[k][np.ix_(columns, columns)] = recorder.kept[0].weights
    return _Part(chunk, weights)


@dataclass(frozen=True, eq=False)
class _Recorder(ColumnSearch):
    """`search`, keeping the coefficients of the one graph that is asked of it."""

    search: InterventionalSearch
    kept: list[JointGraph] = field(default_factory=list)

    name = "boss"

    def find(self, inputs: SearchInput) -> tuple[CausalGraph, int]:
        self.kept.append(self.search.joint(inputs, constraints(inputs.knowledge, inputs.names)))
        return CausalGraph(inputs.names, self.kept[-1].marks), 0

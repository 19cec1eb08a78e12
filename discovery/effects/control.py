"""Would another graph with as many edges have predicted as well? The control of the responses.

The same targets, outcomes and sizes are put against many random graphs. Relabelled: the names of the found
graph (and of its replicates) are shuffled, so that every number of descendants, and how descendants nest,
stays as it is. Uniform: as many edges of each kind on pairs drawn at random, arrows along a random order of
the values, so that there are no directed cycles; it also asks whether the found graph's shape matters.

p is the share of the graphs whose expected − unexpected difference is at least that of the found graph, which
is counted with them: (1 + at least) / (1 + graphs) (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9).
One-sided. Graphs in which no target has a descendant, or no other value is unexpected, give no difference:
they are left out, and how many are left is said. With relabelling p is exact where the graph has nothing to
do with what moves; values that move under everything and stand low in the graph make it small as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.effects.relations import Relation, Weights, relations
from axiograph.discovery.effects.responses import Outcomes
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import Endpoint
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.numerics.intervals import mean_of_known, percentile_range
from axiograph.engine.study.schema import EffectsSpec

_TIE = 1e-9  # equal differences, up to rounding: shuffles that swap equivalent values give many
_STREAM = 2  # child seeds (2, g); (1, 0) draws the replicates' graphs
_CELLS = 8_000_000  # differences held at once


@dataclass(frozen=True, eq=False)
class ControlInput:
    """Arrays [n_conditions, n_values]: `changed`, `tested`, and `outcomes` with the share's and the size's as
    last axis; 0 where not tested."""

    changed: BoolArray
    tested: BoolArray
    outcomes: FloatArray

    @classmethod
    def of(cls, outcomes: Outcomes) -> ControlInput:
        """Of one condition."""
        both = np.stack([outcomes.changed & outcomes.tested, outcomes.size], axis=-1)
        return cls(outcomes.changed[None], outcomes.tested[None], both[None])

    @classmethod
    def zero(cls, values: int) -> ControlInput:
        """Of a condition that changed nothing."""
        nothing = np.zeros((1, values), bool)
        return cls(nothing, nothing, np.zeros((1, values, 2)))

    @classmethod
    def join(cls, parts: Sequence[ControlInput]) -> ControlInput:
        arrays = ((part.changed, part.tested, part.outcomes) for part in parts)
        return cls(*(np.concatenate(array) for array in zip(*arrays, strict=True)))


@dataclass(frozen=True, eq=False)
class ControlResult:
    """Arrays [n_conditions + 1, sources, 2]: expected − unexpected of the share and of the size, the last
    row for all conditions together. `graphs`: how many control graphs have a difference; `p` and the range
    are NaN where none has, `p` also where the found graph has none."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    graphs: FloatArray


@dataclass(frozen=True, eq=False)
class Judging:
    """`graphs` that conditions are held against, their `weights`, and which of them each of n_conditions has
    (`of`)."""

    graphs: Sequence[CausalGraph]
    weights: Sequence[Weights]
    of: IndexArray


def control(tested: ControlInput, observed: FloatArray, judging: Judging, spec: EffectsSpec) -> ControlResult:
    """Compare `observed` [n_conditions + 1, sources, 2] with `spec.control_graphs` random graphs in place of
    each that judges, made as `spec.control` says; graph g draws from child seed (2, g), which shuffles the
    names of all of them alike. A uniform graph has no replicates: sources after the first are NaN there."""
    wide = len(judging.weights[0].sources)
    graphs, sources = spec.control_graphs, wide if spec.control == "relabelled" else 1
    conditions = len(tested.changed)
    block = max(1, _CELLS // (graphs * sources * 2))
    pooled = np.zeros((graphs, 4, sources, 2))
    parts = []
    for start in range(0, conditions, block):
        rows = slice(start, min(start + block, conditions))
        part = ControlInput(tested.changed[rows], tested.tested[rows], tested.outcomes[rows])
        differences = np.empty((len(part.changed), sources, 2, graphs))
        for g, tables in enumerate(_tables(judging, spec)):
            sums = _sums(part, tables, judging.of[rows])
            differences[..., g] = _difference(sums)
            pooled[g] += sums.sum(axis=1)
        parts.append(_compared(differences, observed[rows, :sources], spec.level))
    together = _difference(pooled.transpose(1, 0, 2, 3)).transpose(1, 2, 0)[None]
    parts.append(_compared(together, observed[conditions:, :sources], spec.level))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    missing = np.full((conditions + 1, wide - sources, 2), np.nan)
    return ControlResult(*(np.concatenate([column, missing], axis=1) for column in columns))


def uniform_graph(graph: CausalGraph, rng: np.random.Generator) -> CausalGraph:
    """As many edges of every kind over the same values, on random pairs, arrows along a random order."""
    n = len(graph.names)
    i, j = np.triu_indices(n, k=1)
    edges = np.flatnonzero(graph.marks[i, j])
    order, pairs = rng.permutation(n), rng.permutation(len(i))[: len(edges)]
    first, second = order[i[pairs]], order[j[pairs]]  # `first` comes earlier in the random order
    at_first, at_second = graph.marks[j, i][edges], graph.marks[i, j][edges]
    # An arrowhead at one end only stands at the later value.
    turned = (at_first == Endpoint.ARROW) & (at_second != Endpoint.ARROW)
    marks = np.zeros((n, n), np.uint8)
    marks[first, second] = np.where(turned, at_first, at_second)
    marks[second, first] = np.where(turned, at_second, at_first)
    return CausalGraph(graph.names, marks, graph.kind)


def _tables(judging: Judging, spec: EffectsSpec) -> Iterator[list[FloatArray]]:
    """[sources, 2, n, n] per control graph and judge: the weights of expected and of unexpected."""
    ends = [weights.table[:, [0, 2]] for weights in judging.weights]
    for g in range(spec.control_graphs):
        seed = np.random.SeedSequence(spec.seed, spawn_key=(_STREAM, g))
        if spec.control == "relabelled":
            shuffled = np.random.default_rng(seed).permutation(len(judging.graphs[0].names))
            yield [table[:, :, shuffled[:, None], shuffled] for table in ends]
        else:
            yield [_uniform_weights(graph, np.random.default_rng(seed)) for graph in judging.graphs]


def _uniform_weights(graph: CausalGraph, rng: np.random.Generator) -> FloatArray:
    by_relation = relations(uniform_graph(graph, rng))
    ends = [by_relation[r] for r in (Relation.EXPECTED, Relation.UNEXPECTED)]
    return np.stack(ends).astype(np.float64)[None]


def _sums(tested: ControlInput, tables: Sequence[FloatArray], judge: IndexArray) -> FloatArray:
    """[4, conditions, sources, 2]: expected top, expected bottom, unexpected top, unexpected bottom; by
    tables[judge[c]] for condition c."""
    changed = tested.changed.astype(np.float64)
    # How much of each other is counted, over all targets.
    of = np.empty((len(changed), 2, tables[0].shape[0], changed.shape[1]))
    for k in np.unique(judge):
        rows = judge == k
        of[rows] = np.einsum("srcn->crsn", changed[rows] @ tables[k])
    top = np.einsum("crsn,cnm->rcsm", of, tested.outcomes)
    bottom = np.einsum("crsn,cn->rcs", of, tested.tested.astype(np.float64))
    return np.stack([top[0], *_twice(bottom[0]), top[1], *_twice(bottom[1])])


def _twice(bottom: FloatArray) -> list[FloatArray]:
    return [np.repeat(bottom[..., None], 2, axis=-1)]


def _difference(sums: FloatArray) -> FloatArray:
    """expected − unexpected of sums [4, …]; NaN where one of them is over nothing."""
    both = (sums[1] > 0) & (sums[3] > 0)
    lower = np.where(both, sums[1], 1.0), np.where(both, sums[3], 1.0)
    return np.where(both, sums[0] / lower[0] - sums[2] / lower[1], np.nan)


def _compared(
    differences: FloatArray, observed: FloatArray, level: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean, low, high, p and number of `differences` [conditions, sources, 2, graphs]."""
    count = np.isfinite(differences).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        above = (differences >= observed[..., None] - _TIE).sum(axis=-1)
    p = np.where(np.isfinite(observed) & (count > 0), (1 + above) / (1 + count), np.nan)
    low, high = percentile_range(differences, level)
    return mean_of_known(differences), low, high, p, count.astype(np.float64)

"""How far replicates of two runs differ, beside how far replicates of one run differ from each other.

Replicate r of one run against replicate r of the other (`same`) may rest on the same roles, where both runs
asked the same roles and drew with the same seed; then it is nearer to zero than two replicates of one run can
be. So the pairs that are held against a run's own (`graph`, `reference`: replicate r against r + 1) are
replicate r of one against r + 1 of the other (`other`): of the same roles as any two draws are.
Were the two runs the same, `other`, `graph` and `reference` would have one distribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from axiograph.discovery.comparison.agreement import SHARES, Counts, Stack, count, positions_of, shd
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray

_CELLS = 4_000_000  # marks of one run looked at at once
QUANTILES = (0.05, 0.5, 0.95)
NUMBERS = ("shd", "contradictions")


class Pairing(StrEnum):
    """Which two graphs are compared: see the module."""

    SAME = "same"
    OTHER = "other"
    GRAPH = "graph"
    REFERENCE = "reference"
    FIXED = "fixed"  # every replicate of the only run against the other side's one graph


@dataclass(frozen=True)
class Spread:
    """Counts (discovery.comparison.agreement.count) over pairs of graphs.

    `pairs` were counted; `failed` were not, since the search failed on a replicate, and `incomplete` neither,
    since a shared value was constant in a replicate, so that its edges are not known."""

    counts: Counts
    pairs: int
    failed: int
    incomplete: int

    def values(self, name: str) -> FloatArray:
        """[pairs]: `shd`, `contradictions` or a share by its name; NaN where a share has no whole."""
        if name == "shd":
            return np.asarray(shd(self.counts), dtype=np.float64)
        if name in self.counts:
            return self.counts[name].astype(np.float64)
        return next(share for share in SHARES if share.name == name).values(self.counts)

    def summary(self, name: str) -> dict[str, Any]:
        """`low`, `median`, `high` (5, 50, 95 %) over the pairs that have a value, None without any, and
        `pairs` that have one and those `undefined`."""
        values = self.values(name)
        defined = values[~np.isnan(values)]
        cuts: list[float | None] = [None] * len(QUANTILES)
        if len(defined):
            cuts = [float(q) for q in np.quantile(defined, QUANTILES)]
        low, median, high = cuts
        undefined = len(values) - len(defined)
        return {"low": low, "median": median, "high": high, "pairs": len(defined), "undefined": undefined}

    def document(self) -> dict[str, Any]:
        """As JSON types."""
        names = [*NUMBERS, *(share.name for share in SHARES)]
        numbers = {name: self.summary(name) for name in names}
        return {"pairs": self.pairs, "failed": self.failed, "incomplete": self.incomplete, **numbers}


def exceeds(between: Spread, within: Spread) -> float | None:
    """How often a pair of `between` is further apart in SHD than a pair of `within`; ties count half.

    0.5: two runs differ as much as one from itself. Over all combinations of pairs (the statistic of Mann &
    Whitney 1947 as a share); a description of these replicates, not a test. None without pairs."""
    ours, theirs = between.values("shd"), np.sort(within.values("shd"))
    if not len(ours) or not len(theirs):
        return None
    below, upto = (np.searchsorted(theirs, ours, side=side).mean() for side in ("left", "right"))
    return float((below + upto) / 2 / len(theirs))


def spread_of_runs(
    graph: PackedGraphs, reference: PackedGraphs, values: tuple[str, ...]
) -> dict[Pairing, Spread]:
    """The four pairings of two runs' replicates over `values`, which both name; of the run with more
    replicates only as many as the other has. Raises InputError where a run lacks a value."""
    number = min(len(graph), len(reference))
    gathered = {pairing: _Gathering() for pairing in Pairing if pairing is not Pairing.FIXED}
    step = _step(len(graph.names), len(reference.names))
    both = (_slices(run, values, number, step) for run in (graph, reference))
    for (ours, new), (theirs, _) in zip(*both, strict=True):
        gathered[Pairing.SAME].add(ours[:new], theirs[:new])
        gathered[Pairing.OTHER].add(ours[:-1], theirs[1:])
        gathered[Pairing.GRAPH].add(ours[:-1], ours[1:])
        gathered[Pairing.REFERENCE].add(theirs[:-1], theirs[1:])
    return {pairing: gathering.spread() for pairing, gathering in gathered.items()}


def spread_to_graph(
    graph: PackedGraphs | CausalGraph, reference: PackedGraphs | CausalGraph, values: tuple[str, ...]
) -> Spread:
    """Every replicate of the one run against the other side's graph. Raises as `spread_of_runs`."""
    gathering = _Gathering()
    if isinstance(graph, PackedGraphs) and isinstance(reference, CausalGraph):
        fixed = _Slice.of(reference, values)
        for part, new in _slices(graph, values, len(graph), _step(len(graph.names))):
            gathering.add(part[:new], fixed)
    elif isinstance(graph, CausalGraph) and isinstance(reference, PackedGraphs):
        fixed = _Slice.of(graph, values)
        for part, new in _slices(reference, values, len(reference), _step(len(reference.names))):
            gathering.add(fixed, part[:new])
    else:
        raise TypeError("one run's replicates and one graph")
    return gathering.spread()


@dataclass(frozen=True)
class _Slice:
    """Some replicates; `ok` [R]: the search did not fail, `whole` [R]: and every shared value varied."""

    stack: Stack
    ok: BoolArray
    whole: BoolArray

    def __getitem__(self, part: slice) -> _Slice:
        return _Slice(self.stack[part], self.ok[part], self.whole[part])

    def only(self, graphs: BoolArray) -> Stack:
        """Those where `graphs` [R] is true; all of them without a copy, and the only one of a fixed graph."""
        return self.stack if graphs.all() or len(self.ok) < len(graphs) else self.stack[graphs]

    @classmethod
    def of(cls, graph: CausalGraph, values: tuple[str, ...]) -> _Slice:
        yes = np.ones(1, dtype=bool)
        return cls(Stack.of(graph, values), yes, yes)


@dataclass
class _Gathering:
    """The counts of a pairing, chunk by chunk."""

    parts: list[Counts] = field(default_factory=list)
    pairs: int = 0
    failed: int = 0
    incomplete: int = 0

    def add(self, ours: _Slice, theirs: _Slice) -> None:
        ok, whole = ours.ok & theirs.ok, ours.whole & theirs.whole
        self.pairs += int(whole.sum())
        self.failed += int((~ok).sum())
        self.incomplete += int((ok & ~whole).sum())
        if whole.any():
            self.parts.append(count(ours.only(whole), theirs.only(whole)))

    def spread(self) -> Spread:
        none = np.zeros(0, np.int64)
        names = self.parts[0] if self.parts else _NAMES
        counts = {name: np.concatenate([none, *(part[name] for part in self.parts)]) for name in names}
        return Spread(counts, self.pairs, self.failed, self.incomplete)


def _step(*sizes: int) -> int:
    """How many replicates are looked at at once, by the numbers of values."""
    return max(1, _CELLS // max(1, *sizes) ** 2)


def _slices(
    graphs: PackedGraphs, values: tuple[str, ...], number: int, step: int
) -> Iterator[tuple[_Slice, int]]:
    """The first `number` replicates in parts of `step`, and how many of a part are new: each part but the
    last also holds the first replicate of the next."""
    order = positions_of(values, graphs.names)
    for start in range(0, number, step):
        stop = min(start + step + 1, number)
        yield _read(graphs, order, start, stop), min(step, stop - start)


def _read(graphs: PackedGraphs, order: list[int], start: int, stop: int) -> _Slice:
    from axiograph.discovery.graph.descendants import find_descendants

    marks = graphs.marks(start, stop)
    definite, possible = np.zeros((2, *marks.shape), np.uint8)
    find_descendants(marks, definite, possible)
    stack = Stack(marks, definite.astype(bool), possible.astype(bool))
    whole = np.asarray(graphs.presence(start, stop)[:, order].all(axis=1))
    return _Slice(stack[np.ix_(range(len(marks)), order, order)], graphs.used[start:stop], whole)


_NOTHING = np.zeros((0, 0, 0), dtype=bool)
_EMPTY = Stack(_NOTHING.astype(np.uint8), _NOTHING, _NOTHING)
_NAMES = tuple(count(_EMPTY, _EMPTY))

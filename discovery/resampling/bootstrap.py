"""How sure is every edge: PC on many resamples of the roles (DESIGN 12).

Half of the roles without replacement by default (Meinshausen & Bühlmann 2010, JRSS B 72, stability
selection); sampling with replacement is offered, and makes edges of its own, since copied roles look
like agreement: the inflation is measured and part of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.numerics.arrays import CountArray
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.discovery.resampling.replicates import (
    Jobs,
    NullEdges,
    Progress,
    Replicates,
    ReplicateTask,
    in_order,
)
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search, Strength


@dataclass(frozen=True)
class Inflation:
    """Mean edges a graph: of the data, of its replicates, and of a null with every column permuted.

    Where `replicates` lies far above `full`, or `null_replicates` above `null_full`, resampling itself
    makes edges. `runs` permuted tables give two graphs each, and as many tables with flipped signs one each;
    `failed` of all of these could not be found and are in no mean, which is None where none is left.

    `null`: of each permuted table, all of its rows; `flipped`: of each table in which the signs
    of the roles' deviations were drawn by chance (discovery.resampling.rows), empty where scores are not all
    that a search sees."""

    full: int
    replicates: float | None
    null_full: float | None
    null_replicates: float | None
    runs: int
    failed: int = 0
    null: tuple[Strength, ...] = ()
    flipped: tuple[Strength, ...] = ()


@dataclass(frozen=True)
class ReplicateCounts:
    """How many replicates were `asked` for and `used`; `rows`: what the tests of one count as independent,
    its roles; `failed`: reason → replicates; `constant`: value → replicates in which it was constant;
    `borderline`: tests in which rounding decides (DESIGN 10); `projected`: replicates whose corrected
    correlations had to be made positive definite."""

    asked: int
    used: int
    rows: int
    failed: dict[str, int]
    constant: dict[str, int]
    borderline: int
    projected: int


@dataclass(frozen=True)
class BootstrapResult:
    """`edges`: how often each edge is in the replicates; `graphs`: every replicate's graph, packed;
    `replicates`: how many there are and what became of them; `inflation`: whether resampling itself makes
    edges."""

    edges: EdgeCounts
    graphs: PackedGraphs
    replicates: ReplicateCounts
    inflation: Inflation

    @property
    def kind(self) -> GraphKind:
        """What the graphs of the replicates are."""
        return self.graphs.kind


def bootstrap(
    table: ScoreTable,
    search: Search,
    resampling: Resampling,
    *,
    full: CausalGraph,
    jobs: Jobs = 1,
    progress: Progress | None = None,
) -> BootstrapResult:
    """Run `search` on resamples of the roles of `table`, and on a null with permuted columns.

    `full`: the graph of all roles, for the inflation; the replicates are of its kind. Replicate r draws from
    child stream r of the seed, so the result is the same for any `jobs` and replicate r is the same whatever
    the number of replicates is. `progress` is called with (done, total).

    Roles are drawn with all their rows, and every test counts the roles drawn, never the rows (DESIGN 11):
    the search function gets that number as `n`. The correction of the table corrects the correlations of
    every replicate, which the search function gets as `correlation`.

    Raises InputError for data that PC cannot work with; a replicate that fails is counted.
    """
    task = ReplicateTask(table, search, resampling.resample, resampling.seed)
    task.check()
    count, runs = resampling.replicates, resampling.null_replicates
    report = _Report(progress, count + runs)
    tally, graphs = _replicates(task, count, jobs, report, full.kind)
    null = _null(task, runs, jobs, report.after(count))
    return BootstrapResult(
        edges=tally.edges,
        graphs=graphs,
        replicates=ReplicateCounts(
            asked=count,
            used=tally.used,
            rows=task.n,
            failed=dict(sorted(tally.failed.items())),
            constant={name: int(k) for name, k in zip(table.names, tally.constant, strict=True) if k},
            borderline=tally.borderline,
            projected=tally.projected,
        ),
        inflation=Inflation(
            full=full.n_edges,
            replicates=_mean(int(tally.edges.adjacent.sum()) // 2, tally.used),
            null_full=_mean(sum(one.edges for one in null.full), len(null.full)),
            null_replicates=_mean(sum(null.replicates), len(null.replicates)),
            runs=runs,
            failed=null.failed,
            null=tuple(null.full),
            flipped=tuple(null.flipped),
        ),
    )


@dataclass
class _Tally:
    """Counts over replicates; plain sums, so that the order in which workers finish cannot matter."""

    edges: EdgeCounts
    constant: CountArray
    used: int = 0
    borderline: int = 0
    projected: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @classmethod
    def zero(cls, names: Sequence[str], kind: GraphKind) -> _Tally:
        return cls(EdgeCounts.zero(names, kind), np.zeros(len(names), np.int64))

    def add(self, chunk: Replicates) -> None:
        self.edges.add(chunk.marks, chunk.present)
        self.constant += (chunk.used[:, None] & ~chunk.present).sum(axis=0)
        self.used += int(chunk.used.sum())
        self.borderline += chunk.borderline
        self.projected += chunk.projected
        self.failed.update(reason for reason in chunk.failed if reason is not None)


def _replicates(
    task: ReplicateTask, count: int, jobs: Jobs, report: Callable[[int], None], kind: GraphKind
) -> tuple[_Tally, PackedGraphs]:
    names = task.table.names
    tally, packed = _Tally.zero(names, kind), []
    for chunk in in_order(task.replicates, task.chunks(count), jobs, task.in_threads, report):
        tally.add(chunk)
        packed.append(PackedGraphs.pack(names, chunk.marks, chunk.present, chunk.used, kind))
    return tally, PackedGraphs.join(names, packed)


def _null(task: ReplicateTask, count: int, jobs: Jobs, report: Callable[[int], None]) -> NullEdges:
    edges = NullEdges()
    for chunk in in_order(task.null_edges, task.chunks(count), jobs, task.in_threads, report):
        edges.add(chunk)
    return edges


@dataclass(frozen=True)
class _Report:
    """Tells `progress` how many of `total` are done, `before` of them in an earlier part."""

    progress: Progress | None
    total: int
    before: int = 0

    def __call__(self, done: int) -> None:
        if self.progress is not None:
            self.progress(self.before + done, self.total)

    def after(self, count: int) -> _Report:
        return _Report(self.progress, self.total, count)


def _mean(total: int, count: int) -> float | None:
    return total / count if count else None

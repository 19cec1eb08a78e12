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
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.matrix.corrections import Correction
from axiograph.discovery.numerics.arrays import BoolArray, CountArray, FloatArray
from axiograph.discovery.numerics.intervals import share, wilson
from axiograph.discovery.pc.search import Engine, pc
from axiograph.discovery.resampling.frequencies import (
    CircleCounts,
    count_edges,
    count_together,
    data_driven_threshold,
    majority_graph,
)
from axiograph.discovery.resampling.replicates import Jobs, NullEdges, Progress, Replicates, Work, in_order
from axiograph.discovery.resampling.rows import IntArray, Resample, parse_resample
from axiograph.engine.errors import InputError

__all__ = [
    "BootstrapResult",
    "Correction",
    "Inflation",
    "Progress",
    "Resample",
    "bootstrap",
    "wilson",
]
NULL_REPLICATES = 20


@dataclass(frozen=True)
class Inflation:
    """Mean edges a graph: of the data, of its replicates, and of a null with every column permuted.

    Where `replicates` lies far above `full`, or `null_replicates` above `null_full`, resampling itself
    makes edges. `runs` permuted tables give two graphs each; `failed` of those 2 × runs could not be
    found and are in no mean, which is None where none is left."""

    full: int
    replicates: float | None
    null_full: float | None
    null_replicates: float | None
    runs: int
    failed: int = 0


@dataclass(frozen=True)
class BootstrapResult:
    """Edge counts over the replicates; `names` are the values, n of them, in column order.

    `forward` [n, n]: replicates with i → j; `undirected`, `bidirected` [n, n], symmetric; `together`
    [n, n]: replicates in which neither column was constant, which is what frequencies are taken over;
    `circles`: those of edges with a circle, None where the graphs are no PAGs;
    `constant`: value → replicates in which it was constant; `failed`: reason → replicates. A failed
    replicate says nothing about any edge and is in no count. `graphs`: every replicate's graph, packed;
    `borderline`: tests of the replicates in which rounding decides (DESIGN 10). `rows`: what the tests of a
    replicate count as independent, its roles. `projected`: replicates whose corrected correlations had to be
    made positive definite."""

    names: tuple[str, ...]
    resample: Resample
    seed: int
    alpha: float
    n_roles: int
    rows: int
    replicates: int
    used: int
    forward: CountArray
    undirected: CountArray
    bidirected: CountArray
    together: CountArray
    graphs: PackedGraphs
    constant: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    inflation: Inflation | None = None
    borderline: int = 0
    projected: int = 0
    circles: CircleCounts | None = None

    @property
    def kind(self) -> GraphKind:
        """What the graphs of the replicates are."""
        return self.graphs.kind

    def adjacent(self) -> CountArray:
        """[n, n], symmetric: replicates in which any edge joins i and j."""
        without = self.forward + self.forward.T + self.undirected + self.bidirected
        return without if self.circles is None else without + self.circles.adjacent()

    def edge_table(self) -> pl.DataFrame:
        """One row a pair a, b (a before b in column order): `replicates` it is counted over, and the
        frequencies of `adjacent`, `forward` (a → b), `backward`, `undirected`, `bidirected`, `absent`; of
        PAGs also `circle_forward` (a o→ b), `circle_backward`, `circle_circle`, `circle_tail` (a o– b) and
        `tail_circle`.

        `*_mc_low`, `*_mc_high`: 95 % Wilson interval of the Monte-Carlo error, that is of what infinitely
        many replicates of this same data would give; no statement about the truth of an edge. Null where
        the pair was never counted."""
        i, j = np.triu_indices(len(self.names), k=1)
        total = self.together[i, j]
        adjacent = self.adjacent()[i, j]
        counts = {
            "adjacent": adjacent,
            "forward": self.forward[i, j],
            "backward": self.forward[j, i],
            "undirected": self.undirected[i, j],
            "bidirected": self.bidirected[i, j],
        }
        if self.circles is not None:
            counts |= self.circles.by_mass(i, j)
        counts["absent"] = total - adjacent
        columns: dict[str, object] = {
            "a": [self.names[k] for k in i],
            "b": [self.names[k] for k in j],
            "replicates": total,
        }
        for name in counts:
            low, high = wilson(counts[name], total)
            columns |= {name: share(counts[name], total), f"{name}_mc_low": low, f"{name}_mc_high": high}
        schema = dict.fromkeys(columns, pl.Float64) | {"a": pl.String, "b": pl.String, "replicates": pl.Int64}
        return pl.DataFrame(columns, schema=schema, nan_to_null=True)

    def frequencies(self) -> FloatArray:
        """[n, n], symmetric: the share of its replicates in which a pair is adjacent; NaN without any."""
        return share(self.adjacent(), self.together)

    def consensus(self, threshold: float = 0.5) -> CausalGraph:
        """The graph of the pairs adjacent in at least `threshold` of their replicates.

        Its marks are those of most of the replicates that join it (`majority_graph`). InputError for a
        threshold outside (0, 1]."""
        if not 0 < threshold <= 1:
            raise InputError("threshold", "a share in (0, 1]", f"{threshold}", "0.5 is usual.")
        return self._averaged(self.adjacent() >= threshold * self.together)

    def data_driven_threshold(self) -> float:
        """See discovery.resampling.frequencies; over the pairs that were counted."""
        frequencies = self.frequencies()[np.triu_indices(len(self.names), k=1)]
        return data_driven_threshold(frequencies[~np.isnan(frequencies)])

    def averaged_network(self) -> CausalGraph:
        """The pairs more frequent than `data_driven_threshold`, directed as those of `consensus`."""
        return self._averaged(np.nan_to_num(self.frequencies()) > self.data_driven_threshold())

    def _averaged(self, kept: BoolArray) -> CausalGraph:
        return majority_graph(self.names, kept, self.adjacent(), self.forward, self.bidirected, self.circles)


def bootstrap(
    data: FloatArray,
    names: Sequence[str],
    *,
    full: CausalGraph,
    alpha: float = 0.05,
    replicates: int = 1000,
    resample: Resample | str = Resample.HALF_OF_ROLES,
    seed: int = 0,
    n_jobs: Jobs = 1,
    null_replicates: int = NULL_REPLICATES,
    progress: Progress | None = None,
    engine: Engine = pc,
    knowledge: Knowledge | None = None,
    groups: IntArray | None = None,
    indicators: Sequence[str] = (),
    correction: Correction | None = None,
) -> BootstrapResult:
    """Run PC on `replicates` resamples of the roles of `data` [n_rows, n_values].

    `full`: the graph of all roles, for the inflation; the replicates are of its kind. Replicate r draws from
    child stream r, so the result is the same for any `n_jobs` and replicate r is the same whatever
    `replicates` is. `progress` is called with (done, total). `null_replicates`: runs of the permuted null,
    two graphs each. `knowledge`: forbidden and required edges and tiers, for an engine that takes them.

    `groups` [n_rows]: the role of each row, 0 … n_roles − 1; None for one row a role. Roles are drawn with
    all their rows, and every test counts the roles drawn, never the rows (DESIGN 11): the engine gets that
    number as `n`. `indicators`: names of columns that say under which condition a row was taken; the null
    leaves them (discovery.resampling.rows). `correction`: corrects the correlations of every replicate, which
    the engine gets as `correlation`.

    Raises InputError for settings or data that PC cannot work with; a replicate that fails is counted.
    """
    resample = parse_resample(resample)
    if replicates < 1 or null_replicates < 0 or seed < 0:
        found = f"{replicates}, {null_replicates} and {seed}"
        raise InputError(
            "replicates, null replicates, seed",
            "at least 1, 0 and 0",
            found,
            "Correct the discovery settings.",
        )
    data = np.ascontiguousarray(data, dtype=np.float64)
    work = Work(
        data, tuple(names), alpha, resample, seed, engine, knowledge, groups, tuple(indicators), correction
    )
    work.check()
    tally, graphs = _replicates(work, replicates, n_jobs, progress, replicates + null_replicates, full.kind)
    null = _null(work, null_replicates, n_jobs, progress, replicates)
    return BootstrapResult(
        names=tuple(names),
        resample=resample,
        seed=seed,
        alpha=alpha,
        n_roles=work.units.n_roles,
        rows=work.n,
        replicates=replicates,
        used=tally.used,
        forward=tally.forward,
        undirected=tally.undirected,
        bidirected=tally.bidirected,
        together=tally.together,
        graphs=graphs,
        constant={name: int(k) for name, k in zip(names, tally.constant, strict=True) if k},
        failed=dict(sorted(tally.failed.items())),
        inflation=Inflation(
            full=full.n_edges,
            replicates=_mean(int(tally.adjacent().sum()) // 2, tally.used),
            null_full=_mean(sum(null.full), len(null.full)),
            null_replicates=_mean(sum(null.replicates), len(null.replicates)),
            runs=null_replicates,
            failed=null.failed,
        ),
        borderline=tally.borderline,
        projected=tally.projected,
        circles=tally.circles,
    )


@dataclass
class _Tally:
    """Counts over replicates; plain sums, so that the order in which workers finish cannot matter."""

    forward: CountArray
    undirected: CountArray
    bidirected: CountArray
    together: CountArray
    constant: CountArray
    circles: CircleCounts | None
    used: int = 0
    borderline: int = 0
    projected: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @classmethod
    def zero(cls, n: int, kind: GraphKind) -> _Tally:
        a, b, c, d = np.zeros((4, n, n), np.int64)
        circles = CircleCounts.zero(n) if kind is GraphKind.PAG else None
        return cls(a, b, c, d, constant=np.zeros(n, np.int64), circles=circles)

    def adjacent(self) -> CountArray:
        without = self.forward + self.forward.T + self.undirected + self.bidirected
        return without if self.circles is None else without + self.circles.adjacent()

    def add(self, made: Replicates) -> None:
        forward, undirected, bidirected = count_edges(made.marks)
        self.forward += forward
        self.undirected += undirected
        self.bidirected += bidirected
        if self.circles is not None:
            self.circles.add(made.marks)
        self.together += count_together(made.present)
        self.constant += (made.used[:, None] & ~made.present).sum(axis=0)
        self.used += int(made.used.sum())
        self.borderline += made.borderline
        self.projected += made.projected
        self.failed.update(reason for reason in made.failed if reason is not None)


def _replicates(
    work: Work, count: int, n_jobs: Jobs, progress: Progress | None, total: int, kind: GraphKind
) -> tuple[_Tally, PackedGraphs]:
    tally = _Tally.zero(len(work.names), kind)
    packed = []
    for made in in_order(
        work.make, work.chunks(count), n_jobs, work.in_threads, _reporter(progress, 0, total)
    ):
        tally.add(made)
        packed.append(PackedGraphs.pack(work.names, made.marks, made.present, made.used, kind))
    return tally, PackedGraphs.join(work.names, packed)


def _null(work: Work, count: int, n_jobs: Jobs, progress: Progress | None, offset: int) -> NullEdges:
    edges = NullEdges()
    report = _reporter(progress, offset, offset + count)
    for part in in_order(work.make_null, work.chunks(count), n_jobs, work.in_threads, report):
        edges.add(part)
    return edges


def _reporter(progress: Progress | None, offset: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(offset + done, total) if progress is not None else None


def _mean(total: int, count: int) -> float | None:
    return total / count if count else None

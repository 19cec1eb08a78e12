"""Graphs of numbered replicates: the same whoever computes them, in parallel or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.matrix.corrections import Correction
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, FloatArray
from axiograph.discovery.pc.search import Engine, PCResult, check_input, pc
from axiograph.discovery.resampling.rows import (
    IntArray,
    Resample,
    Units,
    child_rng,
    draw_many,
    null_sources,
    rows_in_replicate,
)
from axiograph.engine.errors import AxiographError, InputError

if TYPE_CHECKING:
    from axiograph.discovery.resampling.weighted import Products

Progress = Callable[[int, int], None]
Part = TypeVar("Part")


class Spread(Protocol):
    """Computes chunks in another place, a cluster for example; `size`: how many at the same time."""

    @property
    def size(self) -> int: ...

    def __call__(self, task: Callable[[range], Part], chunks: Sequence[range]) -> Iterator[Part]:
        """The results of `task`, in the order of `chunks`; `task` travels once."""


Jobs = int | Spread  # a number as in joblib
_CHUNK = 8  # replicates a task: small enough for progress, large enough to hide the dispatch
_FAST_CHUNK = 125
_BLOCK = 64  # tasks given to a backend that returns lists


@dataclass
class Replicates:
    """Of a chunk of R replicates: `marks` [R, n, n], zero where a column was constant or PC failed;
    `present` [R, n]: columns that varied; `failed`: reason or None, each; `borderline` tests; `projected`:
    replicates whose corrected correlations had to be made positive definite."""

    marks: ByteArray
    present: BoolArray
    failed: list[str | None]
    borderline: int = 0
    projected: int = 0

    @property
    def used(self) -> BoolArray:
        """[R]: true where PC found a graph."""
        return np.array([reason is None for reason in self.failed], dtype=bool)

    def put(self, k: int, result: PCResult, names: tuple[str, ...]) -> None:
        """Replicate k has this result."""
        index = {name: i for i, name in enumerate(names)}
        kept = np.array([index[name] for name in result.graph.names], dtype=np.int64)
        self.marks[k][np.ix_(kept, kept)] = result.graph.marks
        self.present[k] = False
        self.present[k, kept] = True
        self.borderline += result.borderline

    def fail(self, k: int, reason: str) -> None:
        """Replicate k has no graph."""
        self.failed[k] = reason
        self.present[k] = False


@dataclass
class NullEdges:
    """Edges in permuted tables: of all rows, and of a replicate of each; `failed` of both."""

    full: list[int] = field(default_factory=list)
    replicates: list[int] = field(default_factory=list)
    failed: int = 0

    def add(self, other: NullEdges) -> None:
        """Join the runs of `other`."""
        self.full += other.full
        self.replicates += other.replicates
        self.failed += other.failed


@dataclass(frozen=True)
class Work:
    """What a worker needs to make any replicate from its number alone.

    `groups` [n_rows]: the role of each row, 0 … n_roles − 1, None for one row a role; `indicators`: columns
    that say under which condition a row was taken; `correction`: corrects the correlations of its rows."""

    data: FloatArray
    names: tuple[str, ...]
    alpha: float
    resample: Resample
    seed: int
    engine: Engine
    knowledge: Knowledge | None = None
    groups: IntArray | None = None
    indicators: tuple[str, ...] = ()
    correction: Correction | None = None

    def check(self) -> None:
        """InputError where PC cannot be asked this at all."""
        check_input(self.data, self.names, self.alpha, self.units.n_roles)
        rows_in_replicate(self.units.n_roles, self.resample)
        unknown = sorted(set(self.indicators) - set(self.names))
        if unknown:
            raise InputError("indicators", "names of columns", f"{unknown}", "Correct the names.")

    @cached_property
    def units(self) -> Units:
        """What is drawn."""
        return Units.of(len(self.data), self.groups, self.resample)

    @cached_property
    def n(self) -> int:
        """How many rows the tests of a replicate count as independent."""
        return rows_in_replicate(self.units.n_roles, self.resample)

    def run(
        self, data: FloatArray, rows: IntArray, n: int, correction: Correction | None
    ) -> tuple[PCResult, bool]:
        """PC on these rows of `data`, n of them independent; and whether the correlations were projected.

        An engine is only told what differs from its defaults: it need not know all of it."""
        chosen: dict[str, Any] = {}
        projected = False
        if self.knowledge is not None:
            chosen["knowledge"] = self.knowledge
        if correction is not None:
            corrected = correction.correlation(rows)
            chosen["correlation"], projected = corrected.matrix, corrected.projected
            n = corrected.rows(n)
        if n != len(rows):
            chosen["n"] = n
        return self.engine(data[rows], self.names, self.alpha, **chosen), projected

    @cached_property
    def _products(self) -> Products | None:
        """The scores as discovery.resampling.weighted takes them; None where rows are copied for each
        replicate."""
        if self.engine is not pc or self.correction is not None:
            return None
        from axiograph.discovery.resampling.weighted import products

        return products(self.data, self.units)

    @property
    def in_threads(self) -> bool:
        """Whether threads can work side by side: the kernel does not hold the interpreter's lock."""
        return self.engine is pc

    def chunks(self, count: int) -> list[range]:
        """The numbers up to `count` in tasks."""
        size = _CHUNK if self._products is None else _FAST_CHUNK
        return [range(k, min(k + size, count)) for k in range(0, count, size)]

    def make(self, numbers: range) -> Replicates:
        """The replicates of these numbers."""
        drawn = draw_many(len(self.units), self.resample, self.seed, numbers)
        n = len(self.names)
        made = Replicates(
            np.zeros((len(drawn), n, n), np.uint8), np.ones((len(drawn), n), dtype=bool), [None] * len(drawn)
        )
        for k in np.flatnonzero(~self._from_weights(drawn, made.marks)):
            made.marks[k] = 0
            try:
                result, projected = self.run(self.data, self.units.rows_of(drawn[k]), self.n, self.correction)
            except AxiographError as error:
                made.fail(int(k), error.found)
            else:
                made.put(int(k), result, self.names)
                made.projected += projected
        return made

    def _from_weights(self, drawn: IntArray, marks: ByteArray) -> BoolArray:
        """Fill the marks of the replicates that need no copied rows; which those are."""
        if self._products is None:
            return np.zeros(len(drawn), dtype=bool)
        from axiograph.discovery.resampling.weighted import graphs

        known = None if self.knowledge is None else self.knowledge.matrices(self.names)
        return graphs(self._products, drawn, self.n, self.alpha, marks, known)

    def make_null(self, numbers: range) -> NullEdges:
        """Edges of permuted tables (discovery.resampling.rows), one a number, and of one replicate of
        each."""
        edges = NullEdges()
        columns = np.array([self.names.index(name) for name in self.indicators], dtype=np.int64)
        drawn = draw_many(len(self.units), self.resample, self.seed, numbers)
        for r, units in zip(numbers, drawn, strict=True):
            sources = null_sources(self.data, self.groups, columns, child_rng(self.seed, r))
            data = np.take_along_axis(self.data, sources, axis=0)
            correction = None if self.correction is None else self.correction.permuted(sources)
            for counts, rows, n in (
                (edges.full, np.arange(len(data)), self.units.n_roles),
                (edges.replicates, self.units.rows_of(units), self.n),
            ):
                try:
                    counts.append(self.run(data, rows, n, correction)[0].graph.n_edges)
                except AxiographError:
                    edges.failed += 1
        return edges


def in_order(
    task: Callable[[range], Part],
    chunks: list[range],
    n_jobs: Jobs,
    in_threads: bool,
    report: Callable[[int], None],
) -> Iterator[Part]:
    """The results of `task` over chunks, in order; `report` is told how many numbers are done.

    `n_jobs` as in joblib, threads or processes, or another place; a joblib backend chosen around the call
    (for example that of `ray.util.joblib`) takes the place of threads and processes."""
    for chunk, part in zip(chunks, _parallel(task, chunks, n_jobs, in_threads), strict=True):
        yield part
        report(chunk.stop)


def _parallel(
    task: Callable[[range], Part], chunks: list[range], n_jobs: Jobs, in_threads: bool
) -> Iterator[Part]:
    if not isinstance(n_jobs, int):
        return n_jobs(task, chunks)
    if n_jobs == 1 or len(chunks) < 2:
        return map(task, chunks)
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.parallel import ThreadingBackend, get_active_backend

    prefer = "threads" if in_threads else None
    if isinstance(get_active_backend(prefer=prefer)[0], ThreadingBackend):
        return _in_threads(task, chunks, effective_n_jobs(n_jobs))
    calls = [delayed(task)(chunk) for chunk in chunks]
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator")(calls)
    except ValueError:  # a backend that only returns lists, as Ray's
        return _in_blocks(Parallel(n_jobs=n_jobs), calls)


def _in_threads(task: Callable[[range], Part], chunks: list[range], n_threads: int) -> Iterator[Part]:
    """As joblib's threads, which need 11 ms to start and stop: as long as a thousand small replicates
    take."""
    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[Future[Part]] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(task, chunk))
                if len(waiting) > 2 * n_threads:  # more would only fill memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _in_blocks(parallel: Callable[[list[Any]], list[Part]], calls: list[Any]) -> Iterator[Part]:
    """A bounded number of results at a time, so that there is progress and memory does not fill."""
    for start in range(0, len(calls), _BLOCK):
        yield from parallel(calls[start : start + _BLOCK])

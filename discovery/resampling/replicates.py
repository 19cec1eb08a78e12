"""Graphs of numbered replicates: the same whoever computes them, in parallel or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, FloatArray, IndexArray
from axiograph.discovery.numerics.streams import child_rng
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.inputs import check_input
from axiograph.discovery.pc.search import ColumnSearch, LearnedGraph, pc
from axiograph.discovery.resampling.rows import (
    Resample,
    Units,
    draw_many,
    null_signs,
    null_sources,
    rows_in_replicate,
)
from axiograph.discovery.resampling.score_table import ScoreTable, Search, Strength, relatedness
from axiograph.engine.errors import AxiographError

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
    replicates whose corrected correlations had to be made positive definite; `weights` [R, n, n]: the
    coefficients of their DAGs, None where the search fits none."""

    marks: ByteArray
    present: BoolArray
    failed: list[str | None]
    borderline: int = 0
    projected: int = 0
    weights: FloatArray | None = None

    @classmethod
    def empty(cls, count: int, columns: int) -> Replicates:
        """None that failed, no edge yet."""
        marks = np.zeros((count, columns, columns), np.uint8)
        return cls(marks, np.ones((count, columns), dtype=bool), [None] * count)

    @property
    def used(self) -> BoolArray:
        """[R]: true where PC found a graph."""
        return np.array([reason is None for reason in self.failed], dtype=bool)

    def put(self, k: int, result: LearnedGraph, names: Sequence[str]) -> None:
        """Replicate k has this result."""
        index = {name: i for i, name in enumerate(names)}
        columns = np.array([index[name] for name in result.graph.names], dtype=np.int64)
        self.marks[k][np.ix_(columns, columns)] = result.graph.marks
        self.present[k] = False
        self.present[k, columns] = True
        self.borderline += result.borderline
        if result.weights is not None:
            if self.weights is None:
                self.weights = np.zeros(self.marks.shape)
            self.weights[k][np.ix_(columns, columns)] = result.weights

    def fail(self, k: int, reason: str) -> None:
        """Replicate k has no graph."""
        self.failed[k] = reason
        self.present[k] = False


@dataclass
class NullEdges:
    """What was found in permuted tables: in all rows, and the edges in a replicate of each; in tables with
    flipped signs: `flipped`, in all rows; `failed` of all of these."""

    full: list[Strength] = field(default_factory=list)
    replicates: list[int] = field(default_factory=list)
    flipped: list[Strength] = field(default_factory=list)
    failed: int = 0

    def add(self, other: NullEdges) -> None:
        """Join the runs of `other`."""
        self.full += other.full
        self.replicates += other.replicates
        self.flipped += other.flipped
        self.failed += other.failed


@dataclass(frozen=True)
class ReplicateTask:
    """What a worker needs to make any replicate from its number alone."""

    table: ScoreTable
    search: Search = Search()
    resample: Resample = Resample.HALF_OF_ROLES
    seed: int = 0

    def check(self) -> None:
        """InputError where PC cannot be asked this at all."""
        check_input(self.table.data, self.table.names, self.search.alpha, self.units.n_roles)
        rows_in_replicate(self.units.n_roles, self.resample)

    @cached_property
    def units(self) -> Units:
        """What is drawn."""
        return Units.of(len(self.table.data), self.table.groups, self.resample)

    @cached_property
    def n(self) -> int:
        """How many rows the tests of a replicate count as independent."""
        return rows_in_replicate(self.units.n_roles, self.resample)

    @cached_property
    def asked(self) -> Search:
        """What replicates ask of the roles that they draw."""
        return self.search.on_half() if self.resample is Resample.HALF_OF_ROLES else self.search

    @property
    def in_threads(self) -> bool:
        """Whether threads can work side by side: the kernel does not hold the interpreter's lock."""
        function = self.search.function
        return function is pc or (isinstance(function, ColumnSearch) and function.in_threads)

    def chunks(self, count: int) -> list[range]:
        """The numbers up to `count` in tasks."""
        size = _CHUNK if self._products is None else _FAST_CHUNK
        return [range(k, min(k + size, count)) for k in range(0, count, size)]

    def replicates(self, numbers: range) -> Replicates:
        """The replicates of these numbers."""
        drawn = draw_many(len(self.units), self.resample, self.seed, numbers)
        chunk = Replicates.empty(len(drawn), len(self.table.names))
        for k in np.flatnonzero(~self._from_weights(drawn, chunk.marks)):
            chunk.marks[k] = 0
            try:
                asked = self.asked.of_replicate(self.seed, numbers[k])
                answer = asked.run(self.table, self.units.rows_of(drawn[k]), self.n)
            except AxiographError as error:
                chunk.fail(int(k), error.found)
            else:
                chunk.put(int(k), answer.result, self.table.names)
                chunk.projected += answer.projected
        return chunk

    def null_edges(self, numbers: range) -> NullEdges:
        """Edges of permuted tables (discovery.resampling.rows), one a number, and of one replicate of each;
        and of the table with flipped signs, where scores are all that the search sees."""
        edges = NullEdges()
        table, indicators = self.table, self.table.indicator_columns
        drawn = draw_many(len(self.units), self.resample, self.seed, numbers)
        for r, units in zip(numbers, drawn, strict=True):
            permuted = table.permuted(
                null_sources(table.data, table.groups, indicators, child_rng(self.seed, r))
            )
            signs = null_signs(self.units.n_roles, len(table.names), indicators, child_rng(self.seed, r, 1))
            flipped = table.flipped(signs)
            rows = self.units.rows_of(units)
            whole, asked = (search.of_null(self.seed, r) for search in (self.search, self.asked))
            searches: list[tuple[list[Any], Callable[[], Any]]] = [
                (edges.full, partial(self._strength, whole, permuted)),
                (
                    edges.replicates,
                    partial(self._edges, asked.of_replicate(self.seed, r), permuted, rows, self.n),
                ),
            ]
            if flipped is not None:
                whole = self.search.of_null(self.seed, r, signs=True)
                searches.append((edges.flipped, partial(self._strength, whole, flipped)))
            for results, find in searches:
                try:
                    results.append(find())
                except AxiographError:
                    edges.failed += 1
        return edges

    def _edges(self, search: Search, table: ScoreTable, rows: IndexArray, n: int) -> int:
        return search.run(table, rows, n).result.graph.n_edges

    def _strength(self, search: Search, table: ScoreTable) -> Strength:
        """What a search finds in all rows of a table."""
        everyone = np.arange(len(table.data))
        result = search.run(table, everyone, self.units.n_roles).result
        return Strength(result.graph.n_edges, relatedness(table), result.gain)

    @cached_property
    def _products(self) -> Products | None:
        """The scores as discovery.resampling.weighted takes them; None where rows are copied for each
        replicate."""
        from_sums = self.search.function is pc or isinstance(self.search.function, BestOrder)
        if not from_sums or self.table.correction is not None:
            return None
        from axiograph.discovery.resampling.weighted import products

        return products(self.table.data, self.units)

    def _from_weights(self, drawn: IndexArray, marks: ByteArray) -> BoolArray:
        """Fill the marks of the replicates that need no copied rows; which those are."""
        if self._products is None:
            return np.zeros(len(drawn), dtype=bool)
        from axiograph.discovery.resampling.weighted import graphs, orders

        knowledge, function = self.search.knowledge, self.asked.function
        if isinstance(function, BestOrder):
            told = constraints(knowledge, self.table.names)
            return orders(self._products, drawn, self.n, function, marks, told)
        matrices = None if knowledge is None else knowledge.matrices(self.table.names)
        return graphs(self._products, drawn, self.n, self.search.alpha, marks, matrices)


def in_order(
    task: Callable[[range], Part],
    chunks: list[range],
    jobs: Jobs,
    in_threads: bool,
    report: Callable[[int], None],
) -> Iterator[Part]:
    """The results of `task` over chunks, in order; `report` is told how many numbers are done.

    `jobs` as in joblib, threads or processes, or another place; a joblib backend chosen around the call
    (for example that of `ray.util.joblib`) takes the place of threads and processes."""
    for chunk, part in zip(chunks, _parallel(task, chunks, jobs, in_threads), strict=True):
        yield part
        report(chunk.stop)


def _parallel(
    task: Callable[[range], Part], chunks: list[range], jobs: Jobs, in_threads: bool
) -> Iterator[Part]:
    if not isinstance(jobs, int):
        return jobs(task, chunks)
    if jobs == 1 or len(chunks) < 2:
        return map(task, chunks)
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.parallel import ThreadingBackend, get_active_backend

    prefer = "threads" if in_threads else None
    if isinstance(get_active_backend(prefer=prefer)[0], ThreadingBackend):
        return _in_threads(task, chunks, effective_n_jobs(jobs))
    calls = [delayed(task)(chunk) for chunk in chunks]
    try:
        return Parallel(n_jobs=jobs, return_as="generator")(calls)
    except ValueError:  # a backend that only returns lists, as Ray's
        return _in_blocks(Parallel(n_jobs=jobs), calls)


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

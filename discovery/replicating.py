"""Graphs of numbered replicates: the same whoever computes them, in parallel or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from discovery.graph import BoolArray
from discovery.knowledge import Knowledge
from discovery.packed import ByteArray
from discovery.pc import Engine, FloatArray, PCResult, pc
from discovery.resample import Resample, child_rng, draw_rows
from engine.errors import AxiographError

Progress = Callable[[int, int], None]
Part = TypeVar("Part")
_CHUNK = 8  # replicates a task: small enough for progress, large enough to hide the dispatch
_FAST_CHUNK = 40
_BLOCK = 64  # tasks given to a backend that returns lists


@dataclass
class Replicates:
    """Of a chunk of R replicates: `marks` [R, n, n], zero where a column was constant or PC failed;
    `present` [R, n]: columns that varied; `failed`: reason or None, each; `borderline` tests."""

    marks: ByteArray
    present: BoolArray
    failed: list[str | None]
    borderline: int = 0

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
    """What a worker needs to make any replicate from its number alone."""

    data: FloatArray
    names: tuple[str, ...]
    alpha: float
    resample: Resample
    seed: int
    engine: Engine
    knowledge: Knowledge | None = None

    def run(self, sample: FloatArray) -> PCResult:
        """PC on these rows."""
        if self.knowledge is None:
            return self.engine(sample, self.names, self.alpha)
        return self.engine(sample, self.names, self.alpha, knowledge=self.knowledge)

    @cached_property
    def _standardised(self) -> FloatArray | None:
        """The scores as discovery.weighted takes them; None where rows are copied for each replicate."""
        if self.engine is not pc:
            return None
        from discovery.weighted import standardised

        return standardised(self.data)

    @property
    def in_threads(self) -> bool:
        """Whether threads can work side by side: the kernel does not hold the interpreter's lock."""
        return self.engine is pc

    def chunks(self, count: int) -> list[range]:
        """The numbers up to `count` in tasks."""
        size = _CHUNK if self._standardised is None else _FAST_CHUNK
        return [range(k, min(k + size, count)) for k in range(0, count, size)]

    def make(self, numbers: range) -> Replicates:
        """The replicates of these numbers."""
        rows = self._draw(numbers)
        n = len(self.names)
        made = Replicates(
            np.zeros((len(rows), n, n), np.uint8), np.ones((len(rows), n), dtype=bool), [None] * len(rows)
        )
        for k in np.flatnonzero(~self._from_weights(rows, made.marks)):
            made.marks[k] = 0
            try:
                made.put(int(k), self.run(self.data[rows[k]]), self.names)
            except AxiographError as error:
                made.fail(int(k), error.found)
        return made

    def _draw(self, numbers: range) -> NDArray[np.int64]:
        return np.stack([draw_rows(len(self.data), self.resample, child_rng(self.seed, r)) for r in numbers])

    def _from_weights(self, rows: NDArray[np.int64], marks: ByteArray) -> BoolArray:
        """Fill the marks of the replicates that need no copied rows; which those are."""
        if self._standardised is None:
            return np.zeros(len(rows), dtype=bool)
        from discovery.weighted import graphs

        known = None if self.knowledge is None else self.knowledge.matrices(self.names)
        return graphs(self._standardised, rows, self.alpha, marks, known)

    def make_null(self, numbers: range) -> NullEdges:
        """Edges of permuted tables, one a number, and of one replicate of each."""
        edges = NullEdges()
        for r in numbers:
            # A grandchild: no replicate of the data shares its stream.
            rng = child_rng(self.seed, r, 0)
            permuted = rng.permuted(self.data, axis=0)
            rows = draw_rows(len(permuted), self.resample, rng)
            for counts, sample in ((edges.full, permuted), (edges.replicates, permuted[rows])):
                try:
                    counts.append(self.run(sample).graph.n_edges)
                except AxiographError:
                    edges.failed += 1
        return edges


def in_order(
    task: Callable[[range], Part],
    chunks: list[range],
    n_jobs: int,
    in_threads: bool,
    report: Callable[[int], None],
) -> Iterator[Part]:
    """The results of `task` over chunks, in order; `report` is told how many numbers are done.

    `n_jobs` as in joblib, threads or processes; a joblib backend chosen around the call (for example that
    of `ray.util.joblib`) takes the place of either."""
    for chunk, part in zip(chunks, _parallel(task, chunks, n_jobs, in_threads), strict=True):
        yield part
        report(chunk.stop)


def _parallel(
    task: Callable[[range], Part], chunks: list[range], n_jobs: int, in_threads: bool
) -> Iterator[Part]:
    if n_jobs == 1 or len(chunks) < 2:
        return map(task, chunks)
    from joblib import Parallel, delayed

    prefer = "threads" if in_threads else None
    calls = [delayed(task)(chunk) for chunk in chunks]
    try:
        return Parallel(n_jobs=n_jobs, prefer=prefer, return_as="generator")(calls)
    except ValueError:  # a backend that only returns lists, as Ray's
        return _in_blocks(Parallel(n_jobs=n_jobs, prefer=prefer), calls)


def _in_blocks(parallel: Callable[[list[Any]], list[Part]], calls: list[Any]) -> Iterator[Part]:
    """A bounded number of results at a time, so that there is progress and memory does not fill."""
    for start in range(0, len(calls), _BLOCK):
        yield from parallel(calls[start : start + _BLOCK])

"""Timing: how long a kind of workers takes for its requests, measured on blocks that a run asks as well."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.executor import answers, closed_behind
from cluster.recipe import Kind
from engine.worker import Worker

FIRST_PIECE = 2
PIECE_GROWTH = 4
CONFIDENCE = 0.9
DRIFT = 0.1  # a share: what a machine's speed was seen to differ between the plan and the run (docs/plan.md)

Tokenise = Callable[[pa.RecordBatch], pa.Table]


@dataclass(frozen=True)
class Timing:
    """`requests`: those of this kind that are left; `answered`: how many were, in `blocks` whole blocks (0
    where not even one fits into the time that was given); `start_s`: until the worker was ready.

    `seconds`: for all requests, from then on. `error_s`: half the width of its interval, from how the blocks
    differ (at CONFIDENCE) and from DRIFT; None where the blocks are too few to tell.
    `bytes_each`: what an answer takes in the store before parts are merged.
    """

    name: str
    backend: str
    requests: int
    answered: int
    blocks: int
    start_s: float
    seconds: float
    error_s: float | None
    bytes_each: float


def timed(
    kind: Kind, tokenise: Tokenise, blocks: Sequence[pa.RecordBatch], left: int, budget_s: float
) -> Timing:
    """Make the worker of `kind` and let it answer `blocks` (a random choice of those that make up its `left`
    requests) one behind the other, for about `budget_s` seconds; the answers are thrown away.

    The last block is what it is warmed up with, in growing pieces. Where these foretell that a whole block
    takes longer than the budget, the last piece is all there is to go by: too slow for a whole batch.
    """
    began = time.perf_counter()
    with closed_behind(kind.recipe.make()) as worker:
        ready = time.perf_counter()
        too_slow = _warm_up(worker, tokenise(blocks[-1]), budget_s)
        if too_slow is not None:
            rows, seconds, size = too_slow
            return _timing(kind, left, (rows, 0), ready - began, seconds / rows * left, None, size)
        course = _Course(ready + budget_s)
        course.run(worker, tokenise, blocks)
    rate, error = course.rate()
    more = left - course.rows
    seconds = course.seconds + more * rate
    if not more:
        error = 0.0
    error_s = None if error is None else math.hypot(more * error, DRIFT * seconds)
    counts = (course.rows, course.blocks)
    return _timing(kind, left, counts, ready - began, seconds, error_s, course.bytes / course.rows)


def _timing(
    kind: Kind,
    left: int,
    answered: tuple[int, int],
    start_s: float,
    seconds: float,
    error_s: float | None,
    bytes_each: float,
) -> Timing:
    return Timing(kind.name, kind.recipe.backend, left, *answered, start_s, seconds, error_s, bytes_each)


def _warm_up(worker: Worker, table: pa.Table, budget_s: float) -> tuple[int, float, float] | None:
    """None once a piece of nearly the size of `table` was answered; (rows, seconds, bytes per row) of the
    last piece where the next would take longer than the budget, by the speed of that piece."""
    rows = FIRST_PIECE
    while rows < table.num_rows:
        began = time.perf_counter()
        responses = worker(table.slice(0, rows))
        took = time.perf_counter() - began
        following = min(PIECE_GROWTH * rows, table.num_rows)
        if took * following / rows > budget_s:
            return rows, took, _stored_size(responses) / rows
        rows = following
    return None


@dataclass
class _Course:
    """Blocks answered one behind the other. `ends`: when and with how many rows each was done, the start
    first; `dry`: when there was nothing more to ask; `streams`: whether the worker takes the next block
    before the last one is done."""

    deadline: float
    ends: list[tuple[float, int]] = field(default_factory=list)
    dry: float = math.inf
    streams: bool = False
    bytes: int = 0

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.ends)

    @property
    def blocks(self) -> int:
        return len(self.ends) - 1

    @property
    def seconds(self) -> float:
        return self.ends[-1][0] - self.ends[0][0]

    def run(self, worker: Worker, tokenise: Tokenise, blocks: Sequence[pa.RecordBatch]) -> None:
        self.streams = hasattr(worker, "stream")
        self.ends = [(time.perf_counter(), 0)]
        for responses in answers(worker, self._tables(tokenise, blocks)):
            # As a run stores them: a part for each block.
            self.bytes += _stored_size(responses)
            self.ends.append((time.perf_counter(), responses.num_rows))

    def _tables(self, tokenise: Tokenise, blocks: Sequence[pa.RecordBatch]) -> Iterator[pa.Table]:
        for block in blocks:
            if self.blocks and time.perf_counter() > self.deadline:
                break
            yield tokenise(block)
        self.dry = time.perf_counter()

    def rate(self) -> tuple[float, float | None]:
        """Seconds per request in the midst of a long run, and half the width of its interval.

        Of a worker that streams, what lies between the first block's end and the last one with others
        behind it: before and after that its engine is not full. Where too little does, the whole course.
        """
        full = [end for end in self.ends[int(self.streams) :] if end[0] <= self.dry]
        if len(full) < 2:
            return self.seconds / self.rows, None
        times = [after[0] - before[0] for before, after in pairwise(full)]
        return ratio(times, [rows for _, rows in full[1:]])


def ratio(times: Sequence[float], rows: Sequence[int]) -> tuple[float, float | None]:
    """Seconds per row over blocks, and half the width of its interval of CONFIDENCE: that of a ratio of sums
    over a random choice of blocks (Cochran, Sampling Techniques, 1977, eq. 6.13). None for one block."""
    from scipy.stats import t

    rate, n = sum(times) / sum(rows), len(times)
    if n < 2:
        return rate, None
    squares = sum((time - rate * own) ** 2 for time, own in zip(times, rows, strict=True))
    error = math.sqrt(squares / (n * (n - 1))) * n / sum(rows)
    return rate, float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error


def _stored_size(responses: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(responses, sink, compression="zstd")
    return int(sink.tell())

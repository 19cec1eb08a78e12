"""What a study would cost: requests, prompt tokens, disk and hours.

Disk and hours are measured: every kind of workers answers some of the blocks that a run would ask it.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from axiograph.cluster.sampling.executors import Kind, answers, closing_worker
from axiograph.cluster.sampling.loop import rows_per_table
from axiograph.cluster.sampling.preparation import Prepared
from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.plan.rows import PLAN_SCHEMA
from axiograph.engine.runs.id_set import IdSet, halves
from axiograph.engine.runs.pending import FirstRows
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.model import PricesSpec
from axiograph.engine.study.schema import Study
from axiograph.engine.workers.worker import REQUEST_SCHEMA, Worker

TOKEN_SAMPLE = 512
CHARACTERS = 4  # of a token of English, as tokenizers go
MAX_BLOCKS = 24  # of a kind: what its timing may ask
FIRST_PIECE = 2  # rows: what a worker is warmed up with at first
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


@dataclass(frozen=True)
class ServerCost:
    """What a server is asked: `concurrency` requests at once, `new_tokens` at most; `prices`: what a million
    tokens cost, and `cost` of all, at most (None where the study gives no prices); `thinks`: whether thoughts
    are among the new tokens."""

    concurrency: int
    new_tokens: int
    prices: PricesSpec | None
    cost: float | None
    thinks: bool = False


@dataclass(frozen=True)
class Estimate:
    """`requests`: different ones of the plan; `left`: those that are not stored; `orphans`: stored answers
    that the plan does not ask for, which the run would refuse. What follows is of what is left.

    `prompt_tokens` is exact for up to TOKEN_SAMPLE requests, otherwise scaled from a sample of that size; of
    a server's model it is characters / CHARACTERS, and `server` is what asking it comes to. `timings`: one
    for each kind of workers that has something to do; none where nothing was timed.
    """

    roles: int
    conditions: int
    items: int
    repeats: int
    rows: int
    requests: int
    left: int
    orphans: int
    prompt_tokens: int
    timings: tuple[Timing, ...] = ()
    server: ServerCost | None = None

    @property
    def bytes_on_disk(self) -> int:
        return int(sum(timing.bytes_each * timing.requests for timing in self.timings))

    @property
    def seconds(self) -> float:
        """For one worker of each kind, one behind the other as in a run in one process, starts included."""
        return sum(timing.start_s + timing.seconds for timing in self.timings)

    @property
    def error_s(self) -> float | None:
        """Half the width of the interval of `seconds`, as if the kinds erred together; None where one has
        none."""
        errors = [timing.error_s for timing in self.timings]
        return None if None in errors else sum(error for error in errors if error is not None)


def stored_ids(run: RunDir) -> IdSet | None:
    """What the run holds already; None, and nothing is made there, where there is no run."""
    return IdSet(run.store().ids()) if run.manifest_file.is_file() else None


def estimate(prepared: Prepared, calibrate_s: float, stored: IdSet | None = None) -> Estimate:
    """Go through the whole plan once; let each kind of workers answer some of its blocks for about
    `calibrate_s` seconds (0: not at all).

    `stored`: ids that need not be asked again. A server is not timed: its answers are paid for.
    """
    stored = stored or IdSet(pa.array([], PLAN_SCHEMA.field("request_id").type))
    walk = _walk(prepared, stored)
    table = REQUEST_SCHEMA.empty_table()
    if walk.left:
        table = prepared.request_builder(walk.sample)
    served = prepared.study.model.served
    tokens = _characters(table) / CHARACTERS if served else sum(map(len, table["prompt_ids"].to_pylist()))
    prompt_tokens = int(tokens * walk.left / max(1, table.num_rows))
    timings = [
        measure_kind(kind.kind, prepared.request_builder, kind.blocks(), kind.left, calibrate_s)
        for kind in walk.kinds
        if calibrate_s > 0 and kind.left and not served
    ]
    inputs = prepared.inputs
    return Estimate(
        roles=len(inputs.roles),
        conditions=len(inputs.conditions),
        items=len(inputs.items),
        repeats=prepared.study.askings,
        rows=walk.rows,
        requests=walk.requests,
        left=walk.left,
        orphans=len(stored) - (walk.requests - walk.left),
        prompt_tokens=prompt_tokens,
        timings=tuple(timings),
        server=_server_cost(prepared.study, prompt_tokens, walk.left) if served else None,
    )


def _characters(requests: pa.Table) -> int:
    messages = (message for row in requests["messages"].to_pylist() for message in row)
    return sum(len(message["content"]) for message in messages)


def _server_cost(study: Study, prompt_tokens: int, left: int) -> ServerCost:
    spec, new_tokens = study.model, left * study.sampling.most_tokens
    cost = None
    if spec.prices is not None:
        cost = (prompt_tokens * spec.prices.input + new_tokens * spec.prices.output) / 1e6
    return ServerCost(spec.concurrency, new_tokens, spec.prices, cost, study.prompt.thinks)


@dataclass
class _KindBlocks:
    """What is left for one kind of workers: how many requests, and a random choice of the blocks in which a
    run asks them. Ids are hashes: the blocks whose first ids are the smallest are a random choice."""

    kind: Kind
    left: int = 0
    _chosen: list[tuple[int, int, pa.RecordBatch]] = field(default_factory=list)

    def add(self, block: pa.RecordBatch) -> None:
        first = int(halves(block["request_id"].slice(0, 1))[0][0])
        # A heap has its smallest entry on top, and the largest id is the one to go.
        heapq.heappush(self._chosen, (-first, self.left, block))
        if len(self._chosen) > MAX_BLOCKS:
            heapq.heappop(self._chosen)
        self.left += block.num_rows

    def blocks(self) -> list[pa.RecordBatch]:
        """In the order of their first ids: however many are taken, they are a random choice."""
        return [block for _, _, block in sorted(self._chosen, reverse=True)]


@dataclass
class _Walk:
    """`rows`, different `requests` and those that are `left`; `sample`: at most TOKEN_SAMPLE of these."""

    kinds: list[_KindBlocks]
    rows: int = 0
    requests: int = 0
    left: int = 0
    sample: pa.Table = field(default_factory=PLAN_SCHEMA.empty_table)

    def add(self, chosen: pa.RecordBatch) -> None:
        self.left += chosen.num_rows
        sample = pa.concat_tables([self.sample, pa.Table.from_batches([chosen])])
        if sample.num_rows > TOKEN_SAMPLE:
            smallest = np.argpartition(halves(sample["request_id"])[0], TOKEN_SAMPLE)[:TOKEN_SAMPLE]
            sample = sample.take(pa.array(np.sort(smallest)))
        self.sample = sample


def _walk(prepared: Prepared, stored: IdSet) -> _Walk:
    """Through the plan, one batch in memory at a time, cut into blocks as a run cuts it."""
    walk = _Walk([_KindBlocks(kind) for kind in prepared.kinds()])
    firsts, size = FirstRows(), rows_per_table(prepared)
    for batch in prepared.plan.batches():
        first = firsts.of(batch)
        asked = first & ~stored.has(batch["request_id"])
        walk.rows, walk.requests = walk.rows + len(first), walk.requests + int(first.sum())
        chosen = batch.filter(pa.array(asked))
        walk.add(chosen)
        for kind in walk.kinds:
            for block in (
                Requests(prepared.request_builder, [chosen], size).of_roles(kind.kind.answers).blocks()
            ):
                kind.add(block)
    walk.sample = walk.sample.unify_dictionaries().combine_chunks()
    return walk


def measure_kind(
    kind: Kind, tokenise: Tokenise, blocks: Sequence[pa.RecordBatch], left: int, budget_s: float
) -> Timing:
    """Make the worker of `kind` and let it answer `blocks` (a random choice of those that make up its `left`
    requests) one behind the other, for about `budget_s` seconds; the answers are thrown away.

    The last block is what it is warmed up with, in growing pieces. Where these foretell that a whole block
    takes longer than the budget, the last piece is all there is to go by: too slow for a whole batch.
    """
    began = time.perf_counter()
    with closing_worker(kind.recipe.make()) as worker:
        ready = time.perf_counter()
        timing = partial(Timing, kind.name, kind.recipe.backend, left, start_s=ready - began)
        too_slow = _warm_up(worker, tokenise(blocks[-1]), budget_s)
        if too_slow is not None:
            rows, seconds, size = too_slow
            return timing(
                answered=rows, blocks=0, seconds=seconds / rows * left, error_s=None, bytes_each=size
            )
        course = _Course(ready + budget_s)
        course.run(worker, tokenise, blocks)
    rate, error = course.rate()
    more = left - course.rows
    seconds = course.seconds + more * rate
    if not more:
        error = 0.0
    return timing(
        answered=course.rows,
        blocks=course.blocks,
        seconds=seconds,
        error_s=None if error is None else math.hypot(more * error, DRIFT * seconds),
        bytes_each=course.bytes / course.rows,
    )


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
    squares = sum((time - rate * count) ** 2 for time, count in zip(times, rows, strict=True))
    error = math.sqrt(squares / (n * (n - 1))) * n / sum(rows)
    return rate, float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error


def _stored_size(responses: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(responses, sink, compression="zstd")
    return int(sink.tell())

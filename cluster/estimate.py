"""What a study would cost: requests, prompt tokens, disk and hours, the last two measured on a sample."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from cluster.asking import Requests
from cluster.preparation import Prepared
from cluster.recipe import Kind
from cluster.sampling import rows_per_table
from cluster.timing import Timing, timed
from engine.idset import IdSet, halves
from engine.pending import Firsts
from engine.plan import PLAN_SCHEMA
from engine.run_dir import RunDir
from engine.worker import REQUEST_SCHEMA

TOKEN_SAMPLE = 512
MAX_BLOCKS = 24


@dataclass(frozen=True)
class Estimate:
    """`requests`: different ones of the plan; `left`: those that are not stored; `orphans`: stored answers
    that the plan does not ask for, which the run would refuse. What follows is of what is left.

    `prompt_tokens` is exact for up to TOKEN_SAMPLE requests, otherwise scaled from a sample of that size.
    `timings`: one for each kind of workers that has something to do; none where nothing was timed.
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

    @property
    def bytes_on_disk(self) -> int:
        return int(sum(own.bytes_each * own.requests for own in self.timings))

    @property
    def seconds(self) -> float:
        """For one worker of each kind, one behind the other as in a run in one process, starts included."""
        return sum(own.start_s + own.seconds for own in self.timings)

    @property
    def error_s(self) -> float | None:
        """Half the width of the interval of `seconds`, as if the kinds erred together; None where one has
        none."""
        errors = [own.error_s for own in self.timings]
        return None if None in errors else sum(error for error in errors if error is not None)


def stored_ids(run: RunDir) -> IdSet | None:
    """What the run holds already; None, and nothing is made there, where there is no run."""
    return IdSet(run.store().ids()) if run.manifest_file.is_file() else None


def estimate(prepared: Prepared, calibrate_s: float, stored: IdSet | None = None) -> Estimate:
    """Go through the whole plan once; let each kind of workers answer some of its blocks for about
    `calibrate_s` seconds (0: not at all).

    `stored`: ids that need not be asked again.
    """
    stored = stored or IdSet(pa.array([], PLAN_SCHEMA.field("request_id").type))
    walk = _walk(prepared, stored)
    table = REQUEST_SCHEMA.empty_table()
    if walk.left:
        table = prepared.asking(walk.sample)
    tokens = sum(len(ids) for ids in table["prompt_ids"].to_pylist())
    timings = [
        timed(own.kind, prepared.asking, own.blocks(), own.left, calibrate_s)
        for own in walk.kinds
        if calibrate_s > 0 and own.left
    ]
    inputs = prepared.inputs
    return Estimate(
        roles=len(inputs.roles),
        conditions=len(inputs.conditions),
        items=len(inputs.items),
        repeats=prepared.study.sampling.repeats,
        rows=walk.rows,
        requests=walk.requests,
        left=walk.left,
        orphans=len(stored) - (walk.requests - walk.left),
        prompt_tokens=int(tokens * walk.left / max(1, table.num_rows)),
        timings=tuple(timings),
    )


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
    firsts, size = Firsts(), rows_per_table(prepared)
    for batch in prepared.plan.batches():
        first = firsts.of(batch)
        asked = first & ~stored.has(batch["request_id"])
        walk.rows, walk.requests = walk.rows + len(first), walk.requests + int(first.sum())
        chosen = batch.filter(pa.array(asked))
        walk.add(chosen)
        for own in walk.kinds:
            for block in Requests(prepared.asking, [chosen], size).of_roles(own.kind.answers).blocks():
                own.add(block)
    walk.sample = walk.sample.unify_dictionaries().combine_chunks()
    return walk

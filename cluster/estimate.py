"""What a study would cost: requests, prompt tokens, disk and hours, the last measured on a small batch."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.executor import closed_behind
from cluster.preparation import Prepared, request_tables
from engine.idset import IdSet, halves
from engine.pending import Firsts
from engine.plan import PLAN_BATCH_ROWS, PLAN_SCHEMA
from engine.run_dir import RunDir
from engine.worker import REQUEST_SCHEMA

TOKEN_SAMPLE = 512


@dataclass(frozen=True)
class Estimate:
    """`requests`: different ones of the plan; `left`: those that are not stored; `orphans`: stored answers
    that the plan does not ask for, which the run would refuse. What follows is of what is left.

    `prompt_tokens` is exact for up to TOKEN_SAMPLE requests, otherwise scaled from a sample of that size.
    bytes_on_disk and seconds are None where nothing was sampled to measure them.
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
    sampled: int
    bytes_on_disk: int | None
    seconds: float | None


def stored_ids(run: RunDir) -> IdSet | None:
    """What the run holds already; None, and nothing is made there, where there is no run."""
    return IdSet(run.store().ids()) if run.manifest_file.is_file() else None


def estimate(prepared: Prepared, calibrate: int, stored: IdSet | None = None) -> Estimate:
    """Go through the whole plan once; answer `calibrate` of its requests (0: none) to measure speed.

    `stored`: ids that need not be asked again. The sample is random, so that it holds the mix of roles and
    conditions of what is left. Loading the model is not in the time; its answers are thrown away.
    """
    stored = stored or IdSet(pa.array([], PLAN_SCHEMA.field("request_id").type))
    rows, requests, left, sample = _walk(prepared, stored, max(TOKEN_SAMPLE, calibrate))
    table = REQUEST_SCHEMA.empty_table()
    if left:
        table = pa.concat_tables(request_tables(prepared, iter(sample.to_batches()), PLAN_BATCH_ROWS))
    tokens = sum(len(ids) for ids in table["prompt_ids"].to_pylist())
    seconds, size = _calibrated(prepared, table, calibrate) if calibrate and left else (None, None)
    inputs = prepared.inputs
    return Estimate(
        roles=len(inputs.roles),
        conditions=len(inputs.conditions),
        items=len(inputs.items),
        repeats=prepared.study.sampling.repeats,
        rows=rows,
        requests=requests,
        left=left,
        orphans=len(stored) - (requests - left),
        prompt_tokens=int(tokens * left / max(1, table.num_rows)),
        sampled=min(calibrate, table.num_rows),
        bytes_on_disk=None if size is None else int(size * left),
        seconds=None if seconds is None else seconds * left,
    )


def _walk(prepared: Prepared, stored: IdSet, wanted: int) -> tuple[int, int, int, pa.Table]:
    """(rows, different requests, those of them that are left, at most `wanted` of the rows that are left),
    one batch in memory at a time. Ids are hashes: the rows with the smallest are a random sample."""
    rows = requests = left = 0
    firsts, sample = Firsts(), PLAN_SCHEMA.empty_table()
    for batch in prepared.plan.batches():
        first = firsts.of(batch)
        asked = first & ~stored.has(batch["request_id"])
        rows, requests, left = rows + len(first), requests + int(first.sum()), left + int(asked.sum())
        sample = pa.concat_tables([sample, pa.Table.from_batches([batch.filter(pa.array(asked))])])
        if sample.num_rows > wanted:
            smallest = np.argpartition(halves(sample["request_id"])[0], wanted)[:wanted]
            sample = sample.take(pa.array(np.sort(smallest)))  # in plan order: roles stand together
    return rows, requests, left, sample.unify_dictionaries().combine_chunks()


def _calibrated(prepared: Prepared, table: pa.Table, count: int) -> tuple[float, float]:
    """(seconds, bytes) per request, by answering `count` rows spread over `table` after a warm-up."""
    places = np.unique(np.linspace(0, table.num_rows - 1, min(count, table.num_rows)).astype(np.int64))
    chosen = table.take(pa.array(places))
    with closed_behind(prepared.make_worker()) as worker:
        worker(chosen.slice(0, 2))
        started = time.perf_counter()
        responses = worker(chosen)
        seconds = (time.perf_counter() - started) / chosen.num_rows
    sink = pa.BufferOutputStream()
    pq.write_table(responses, sink, compression="zstd")
    # Footer and dictionaries weigh on a small file as they do not on a large one: an upper bound.
    return seconds, sink.tell() / chosen.num_rows

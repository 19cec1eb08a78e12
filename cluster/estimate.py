"""What a study would cost: requests, prompt tokens, disk and hours, the last measured on a small batch."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.executor import closed_behind
from cluster.preparation import Prepared, request_tables
from engine.plan import PLAN_BATCH_ROWS

TOKEN_SAMPLE = 512


@dataclass(frozen=True)
class Estimate:
    """`prompt_tokens` is exact for up to TOKEN_SAMPLE requests, otherwise scaled from a sample of that size.

    bytes_on_disk and seconds are None where nothing was sampled to measure them.
    """

    roles: int
    conditions: int
    items: int
    repeats: int
    rows: int
    requests: int
    prompt_tokens: int
    sampled: int
    bytes_on_disk: int | None
    seconds: float | None


def estimate(prepared: Prepared, calibrate: int) -> Estimate:
    """Go through the whole plan once; answer `calibrate` of its requests (0: none) to measure speed.

    The sample is spread evenly over the plan, so that it holds its mix of roles and conditions. Loading
    the model is not in the time; the calibrating answers are thrown away.
    """
    wanted = max(TOKEN_SAMPLE, calibrate)
    rows, requests, sample = _walk(prepared, wanted)
    table = pa.concat_tables(request_tables(prepared, iter([sample]), PLAN_BATCH_ROWS))
    tokens = np.array([len(ids) for ids in table["prompt_ids"].to_pylist()])
    seconds, size = _calibrated(prepared, table, calibrate) if calibrate else (None, None)
    inputs = prepared.inputs
    return Estimate(
        roles=len(inputs.roles),
        conditions=len(inputs.conditions),
        items=len(inputs.items),
        repeats=prepared.study.sampling.repeats,
        rows=rows,
        requests=requests,
        prompt_tokens=int(tokens.sum() * requests / len(tokens)),
        sampled=min(calibrate, table.num_rows),
        bytes_on_disk=None if size is None else int(size * requests),
        seconds=None if seconds is None else seconds * requests,
    )


def _walk(prepared: Prepared, wanted: int) -> tuple[int, int, pa.RecordBatch]:
    """(rows, distinct requests, an even sample of at most `wanted` rows), one batch in memory at a time."""
    total = len(prepared.plan)
    places = np.unique(np.linspace(0, total - 1, min(wanted, total)).astype(np.int64))
    rows = requests = 0
    chosen = []
    for batch in prepared.plan.batches():
        inside = places[(places >= rows) & (places < rows + batch.num_rows)] - rows
        chosen.append(batch.take(pa.array(inside)))
        rows += batch.num_rows
        # Equal ids stand in one role × condition: only at a batch's edge could one be counted twice.
        requests += len(batch["request_id"].unique())
    table = pa.Table.from_batches(chosen).combine_chunks()
    return rows, requests, table.to_batches()[0]


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

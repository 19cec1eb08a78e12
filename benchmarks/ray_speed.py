"""What Ray costs a request, and what a second worker is worth.

Two workers, both from this file, stand in for a model: one that costs nothing, and one that only computes.
Plan rows go through the executors of axiograph as they are, in this process and through Ray Data, and their
answers are put together in this process; nothing is tokenised and nothing is stored.

    python benchmarks/ray_speed.py [--requests 200000] [--rows 1024 512 256] [--seconds 60]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from axiograph.cluster.ray.executor import RayExecutor, RayOptions
from axiograph.cluster.sampling.executors import InProcessExecutor, Kind
from axiograph.cluster.sampling.loop import library_versions
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.plan.rows import PLAN_BATCH_ROWS, PLAN_SCHEMA
from axiograph.engine.runs.store import RESPONSE_SCHEMA

ASKED = ("request_id", "role", "condition", "item_id", "repeat")


@dataclass(frozen=True)
class Recipe:
    """A worker that computes for `seconds` of CPU time for each request, or only waits for as long (as for a
    GPU), and then says yes."""

    seconds: float = 0.0
    waits: bool = False
    backend: str = "hf"
    gpus: int = 1
    config: Any = field(default_factory=lambda: SimpleNamespace(source=SimpleNamespace(folder=Path("none"))))

    def make(self) -> Worker:
        return Worker(self.seconds, self.waits)


class Worker:
    def __init__(self, seconds: float, waits: bool) -> None:
        self._seconds, self._waits = seconds, waits

    def __call__(self, requests: pa.Table) -> pa.Table:
        n = requests.num_rows
        end = time.thread_time() + self._seconds * n
        if self._waits:
            time.sleep(self._seconds * n)
        while not self._waits and time.thread_time() < end:
            np.dot(_SQUARE, _SQUARE)
        same = {"state": "yes", "finish": "eos", "mode": "generate", "backend": "hf", "device": "cpu"}
        columns = {name: requests[name] for name in ASKED} | {
            name: _repeated(v, n) for name, v in same.items()
        }
        columns["text"] = _repeated(" some thought about it.\nAnswer: yes", n)
        columns["prompt_tokens"], columns["new_tokens"] = _repeated(180, n), _repeated(12, n)
        made = [
            _cast(columns[f.name], f) if f.name in columns else pa.nulls(n, f.type) for f in RESPONSE_SCHEMA
        ]
        return pa.Table.from_arrays(made, schema=RESPONSE_SCHEMA)


_SQUARE = np.random.default_rng(0).random((64, 64))


def _repeated(value: Any, n: int) -> pa.Array:
    return pa.repeat(value, n)


def _cast(column: Any, wanted: pa.Field) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(wanted.type) and not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array.cast(wanted.type)


@dataclass(frozen=True)
class Job:
    """What RayWorker opens in place of a model."""

    recipe: Recipe
    ledger: Any
    stall_s: float
    shared: bool = False

    def open(self) -> tuple[Any, Worker]:
        return (lambda rows: rows), self.recipe.make()


class Executor(RayExecutor):
    def _job(self, kind: Kind) -> Any:
        return Job(kind.recipe, self._ledger, self.options.stall_s)


def plan(count: int) -> list[pa.RecordBatch]:
    """Batches as a plan has them: 800 items for each role and condition."""
    batches = []
    for start in range(0, count, PLAN_BATCH_ROWS):
        n = min(PLAN_BATCH_ROWS, count - start)
        numbers = range(start, start + n)
        columns = {
            "request_id": [i.to_bytes(16, "big") for i in numbers],
            "role": [f"a careful person number {i // 8000}" for i in numbers],
            "condition": [f"f{i // 800 % 10}:+2" for i in numbers],
            "item_id": [f"NEO-PI-R {i % 800}" for i in numbers],
            "repeat": [0] * n,
            "split": ["train"] * n,
        }
        arrays = [_cast(pa.array(columns[wanted.name]), wanted) for wanted in PLAN_SCHEMA]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=PLAN_SCHEMA))
    return batches


class _Rows:
    """Requests without tokens: tables of `rows` plan rows."""

    def __init__(self, batches: list[pa.RecordBatch], rows: int) -> None:
        self.plan, self.rows_per_table, self.request_builder = batches, rows, lambda table: table

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(Requests(self.request_builder, self.plan, self.rows_per_table))


@dataclass(frozen=True)
class Timing:
    """`first_s`: until the first answers; `seconds`, `requests`: from there to the last; `cpu_s`: in all, of
    this process."""

    first_s: float
    seconds: float
    requests: int
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.requests / max(self.seconds, 1e-9)


def timed(executor: Any, batches: list[pa.RecordBatch], rows: int) -> Timing:
    count = sum(batch.num_rows for batch in batches)
    started, cpu = time.perf_counter(), time.process_time()
    first, before, got = 0.0, 0, 0
    for table in executor.run(_Rows(batches, rows)):
        got += table.num_rows
        if not first:
            first, before = time.perf_counter(), got
    assert got == count, f"{got} of {count}"
    ended = time.perf_counter()
    return Timing(first - started, ended - first, got - before, time.process_time() - cpu)


def ray_executor(recipe: Recipe, workers: int) -> Executor:
    return Executor([Kind("plain", recipe)], Meter(), RayOptions(workers=workers))


def costless(requests: int, sizes: list[int], workers: int) -> None:
    batches = plan(requests)
    print(f"\n{requests:,} requests, a worker that costs nothing, {workers} workers on Ray")
    print("rows a block  where       first  requests/s  µs a request  CPU s here")
    for rows in sizes:
        here = timed(InProcessExecutor(Recipe().make), batches, rows)
        there = timed(ray_executor(Recipe(), workers), batches, rows)
        for name, found in (("in process", here), ("Ray", there)):
            print(
                f"{rows:12d}  {name:10s} {found.first_s:5.1f} s {found.rate:10,.0f} {1e6 / found.rate:13.1f}"
                f" {found.cpu_s:10.1f}"
            )


def scaling(seconds: float, waits: bool) -> None:
    """1 worker and 2 on the same work: alternately, twice."""
    each = 0.005
    count = int(seconds / each / 64) * 64
    batches = plan(count)
    kind = "waiting (as for a GPU)" if waits else "of CPU"
    print(f"\n{count:,} requests of {1000 * each:.0f} ms {kind} each, blocks of 64")
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(2):
        for workers in (1, 2):
            found = timed(ray_executor(Recipe(each, waits), workers), batches, 64)
            rates[workers].append(found.rate)
            print(
                f"{workers} workers: {found.rate:7.1f} requests/s, load {os.getloadavg()[0]:.0f}", flush=True
            )
    print(f"2 workers against 1: {max(rates[2]) / max(rates[1]):.2f} × (best of two each)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--rows", type=int, nargs="*", default=[1024, 512, 256])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0, help="of work for one worker; 0: none")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from axiograph.cluster.ray.connection import joined

    print(f"{platform.machine()}, {os.cpu_count()} cores; {library_versions()}")
    with joined("local"):
        if given.rows:
            costless(given.requests, given.rows, given.workers)
        for waits in (True, False) if given.seconds else ():
            scaling(given.seconds, waits)


if __name__ == "__main__":
    main()

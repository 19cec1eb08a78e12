"""Sampling on a Ray cluster: Ray Data's streaming executor over pools of workers, into one stream of answers.

The plan travels in blocks through the object store, answers come back as they are done, and Ray Data holds
blocks back while the driver is busy storing. What dies is started and asked again by Ray. What is left here
is policy: a block that was lost more often than its retries allow is asked again in smaller ones, until a
request that ends its worker every time stands alone and is stored as failed.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from axiograph.cluster.ray.connection import beside_driver, nodes
from axiograph.cluster.ray.monitor import LOST_S, Ledger, Monitor
from axiograph.cluster.ray.pool import Pool, size_pool, worker_memory
from axiograph.cluster.ray.tasks import transferable
from axiograph.cluster.ray.wave import WAVE_ROWS, Chunk, Feed, Wave, waves
from axiograph.cluster.ray.worker import POSITION, RayWorker, WorkerJob, decode_table
from axiograph.cluster.sampling.executors import Kind
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.errors import RunError
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.workers.worker import failed_columns

log = logging.getLogger("axiograph.sampling")
STALL_S = 600.0
BLOCKS_PER_WORKER = 8  # at least, so that the last ones do not wait for a single worker
MIN_BLOCK_ROWS = 16
FEW = 64  # requests that are asked one by one at once
STORE_ROWS, STORE_S = 20_000, 2.0  # what is handed on at once: rows, and seconds at most
MOST_FAILED = 0.01  # of the rows asked; more of them mean that something else is wrong
NO_NODES_S = 1800.0


@dataclass(frozen=True)
class Level:
    """How a pass asks: `share` of the usual rows in a block, how often a block is asked again after the death
    of its worker, and how many blocks a worker has at once."""

    share: float
    retries: int
    at_once: int


# From the usual blocks to single requests, which nothing else can be blamed for the death of.
LEVELS = (Level(1, 2, 4), Level(1 / 16, 1, 1), Level(0, 2, 1))


@dataclass(frozen=True)
class RayOptions:
    """`stall_s`: a worker without progress for so long is killed and its work done again; `workers`: at most
    so many of a kind; `wave_rows`, `lost_s`: of cluster.ray.wave and cluster.ray.monitor."""

    stall_s: float = STALL_S
    workers: int | None = None
    wave_rows: int = WAVE_ROWS
    lost_s: float = LOST_S


@dataclass
class RayExecutor:
    """Answers requests with workers of some `kinds` on the cluster that this process has joined."""

    kinds: Sequence[Kind]
    meter: Meter = field(default_factory=Meter)
    options: RayOptions = RayOptions()

    def run(self, requests: Requests) -> Iterator[pa.Table]:
        """Responses as they come, each row once. RunError for what a person has to mend; requests that end
        their worker every time come as failed rows, if they are few."""
        import ray

        self._requests = requests
        self._about: dict[str, dict[str, Any]] = {}
        ledger: Any = ray.remote(Ledger)
        self._ledger = ledger.options(**beside_driver()).remote()
        self._jobs = {kind.name: ray.put(self._job(kind)) for kind in self.kinds}
        for wave in waves(requests.plan, self.kinds, self.options.wave_rows):
            yield from _gather(self._answer_wave(wave))

    def _job(self, kind: Kind) -> WorkerJob:
        builder = self._requests.request_builder
        spread = self._sized_pool(kind).spread
        return WorkerJob(
            recipe=kind.recipe.across_nodes() if spread else kind.recipe,
            inputs=builder.inputs,
            prompt_digest=builder.builder.digest,
            model=transferable(kind.recipe.config.source),
            ledger=self._ledger,
            stall_s=self.options.stall_s,
        )

    def _answer_wave(self, wave: Wave) -> Iterator[pa.Table]:
        _move_to_store(wave)
        levels = list(LEVELS)
        while levels and not wave.is_done:
            complete = yield from self._pass(wave, levels[0])
            # Requests of a worker that was given up are not to blame: they are asked again as before.
            if complete:
                levels = levels[1:] if np.count_nonzero(~wave.answered) > FEW else levels[1:][-1:]
        if not wave.is_done:
            yield self._failed_rows(wave)

    def _pass(self, wave: Wave, level: Level) -> Generator[pa.Table, None, bool]:
        """Ask what is missing once; returns whether no worker was given up meanwhile."""
        import ray

        chunks = wave.missing()
        pools = self._pools(chunks, level)
        ray.get(self._ledger.clear.remote())
        try:
            with Monitor(self._ledger, list(pools.values()), self.options.lost_s) as monitor:
                for envelope in self._envelopes(chunks, pools, level, monitor):
                    monitor.blocks += 1
                    if responses := self._open_envelope(envelope, wave):
                        yield responses
        finally:
            for pool in pools.values():
                pool.close()
        if error := monitor.error or monitor.read().error:
            raise error
        return not monitor.gave_up

    def _envelopes(
        self, chunks: Sequence[Chunk], pools: dict[str, Pool], level: Level, monitor: Monitor
    ) -> Iterator[dict[str, Any]]:
        import ray

        data = self._dataset(chunks, pools, level)
        try:
            with Feed(data.iter_internal_ref_bundles) as feed:
                for block in feed.blocks(lambda: monitor.is_over):
                    try:
                        yield from ray.get(block).to_pylist()
                    except ray.exceptions.RayError as error:
                        log.warning("a block was lost on its way and is asked again: %s", error)
        except (ray.exceptions.RayError, RuntimeError) as error:
            reason = monitor.error or monitor.read().error
            raise reason or _no_workers(error) from error

    def _dataset(self, chunks: Sequence[Chunk], pools: dict[str, Pool], level: Level) -> Any:
        """A branch for each kind of worker: cut into blocks, answer with a pool."""
        import ray.data

        with ray.data.DataContext.current(_context()):
            branches = []
            for kind in self.kinds:
                tables = [chunk.rows for chunk in chunks if chunk.kind is kind]
                if tables:
                    rows = self._block_rows(sum(map(len, tables)), pools[kind.name], level)
                    cut = ray.data.from_arrow(tables).repartition(target_num_rows_per_block=rows)
                    branches.append(self._answer_branch(cut, rows, kind, pools[kind.name], level))
            return branches[0] if len(branches) == 1 else branches[0].union(*branches[1:])

    def _answer_branch(self, data: Any, rows: int, kind: Kind, pool: Pool, level: Level) -> Any:
        import ray
        from ray.data import ActorPoolStrategy

        # vLLM fills its engine from several blocks; elsewhere one is tokenised while another is answered.
        threads = 1 if level.at_once == 1 else (4 if kind.recipe.backend == "vllm" else 2)
        with warnings.catch_warnings():
            # Named actors and retries for each task: Ray 2.60 has no other way to ask for them.
            warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
            actors = ActorPoolStrategy(
                min_size=pool.initial if len(self.kinds) == 1 else 1,
                max_size=pool.size,
                initial_size=pool.initial,
                max_tasks_in_flight_per_actor=max(level.at_once, threads),
                max_concurrent_calls_per_actor=threads,
                enable_true_multi_threading=True,
            )
            return data.map_batches(
                RayWorker,
                fn_constructor_args=(self._jobs[kind.name],),
                batch_size=rows,
                batch_format="pyarrow",
                zero_copy_batch=True,
                compute=actors,
                ray_remote_args_fn=pool.actor_options,
                max_restarts=-1,
                max_task_retries=level.retries,
                **pool.resources(),
            )

    def _pools(self, chunks: Sequence[Chunk], level: Level) -> dict[str, Pool]:
        """The cluster as it is now, shared among the kinds by their rows; never more workers than blocks."""
        rows = {kind.name: sum(len(c.rows) for c in chunks if c.kind is kind) for kind in self.kinds}
        pools = {}
        for kind in self.kinds:
            if not rows[kind.name]:
                continue
            pool = self._sized_pool(kind)
            share = rows[kind.name] / sum(rows.values())
            blocks = math.ceil(rows[kind.name] / self._block_rows(rows[kind.name], pool, level))
            pool.size = min(pool.size, blocks)
            pool.initial = min(pool.size, max(1, round(pool.size * share)))
            pools[kind.name] = pool
        return pools

    def _sized_pool(self, kind: Kind) -> Pool:
        """RunError when no node that could hold a worker has been there for NO_NODES_S seconds."""
        until = time.monotonic() + NO_NODES_S
        while True:
            try:
                return size_pool(nodes(), kind.recipe, self.options.workers, worker_memory(kind.recipe))
            except RunError:
                if time.monotonic() > until:
                    raise
                time.sleep(2.0)

    def _block_rows(self, rows: int, pool: Pool, level: Level) -> int:
        most = self._requests.rows_per_table
        fair = max(MIN_BLOCK_ROWS, math.ceil(rows / (pool.size * BLOCKS_PER_WORKER)))
        return max(1, math.floor(min(most, fair) * level.share))

    def _open_envelope(self, envelope: dict[str, Any], wave: Wave) -> pa.Table | None:
        positions = np.frombuffer(envelope["positions"], np.uint32)
        responses = decode_table(envelope["responses"])
        share = envelope["busy_s"] / max(envelope["ready_s"], 1e-9)
        self.meter.worker(envelope["worker"], len(positions), share)
        self._remember(responses)
        new = wave.take(positions)
        if not new.all():  # a block that came twice, since its worker died between answer and receipt
            responses = responses.filter(pa.array(new))
        return responses if responses.num_rows else None

    def _remember(self, responses: pa.Table) -> None:
        """What rows of a kind of worker say of themselves, for those that it cannot answer."""
        row = responses.slice(0, 1).select(["backend", "device", "dtype", "versions", "mode"]).to_pylist()[0]
        self._about.setdefault(row["backend"], row)

    def _failed_rows(self, wave: Wave) -> pa.Table:
        import ray

        chunks = wave.missing()
        count = sum(len(chunk.rows) for chunk in chunks)
        entries = ray.get(self._ledger.read.remote())
        reasons = entries.reasons
        asked = [kind.recipe.backend for kind in self.kinds]
        if count > max(10, MOST_FAILED * len(wave)) or not all(name in self._about for name in asked):
            raise RunError(
                "workers",
                f"answers to all but {max(10, MOST_FAILED * len(wave)):.0f} of {len(wave):,} requests",
                f"{count:,} that ended their worker every time ({entries.last_reason or 'it died'})",
                "Mend the cause: what was answered is stored, and the same command continues.",
            )
        log.warning("%d requests ended their worker every time and are stored as failed", count)
        return pa.concat_tables([self._failed_chunk(chunk, reasons) for chunk in chunks])

    def _failed_chunk(self, chunk: Chunk, reasons: dict[int, str]) -> pa.Table:
        died = f"its worker died or stood still {1 + LEVELS[-1].retries} times"
        requests = self._requests.request_builder(chunk.rows)
        positions = chunk.rows[POSITION].to_pylist()
        rows = [
            {name: row[name] for name in ("request_id", "role", "condition", "item_id", "repeat")}
            | {"prompt_tokens": len(row["prompt_ids"]), "steered_tokens": 0, "seconds": 0.0}
            | self._about[chunk.kind.recipe.backend]
            | failed_columns(reasons.get(position, died))
            for row, position in zip(requests.to_pylist(), positions, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=RESPONSE_SCHEMA)


def _move_to_store(wave: Wave) -> None:
    """Move the wave's rows into the object store; what stays here is a view of them."""
    import ray

    wave.chunks = [Chunk(chunk.kind, ray.get(ray.put(chunk.rows))) for chunk in wave.chunks]


def _gather(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Fewer, larger tables where they come fast: each becomes a file."""
    held: list[pa.Table] = []
    rows, since = 0, time.monotonic()
    for table in tables:
        held.append(table)
        rows += table.num_rows
        if rows >= STORE_ROWS or time.monotonic() - since >= STORE_S:
            yield pa.concat_tables(held).unify_dictionaries()
            held, rows, since = [], 0, time.monotonic()
    if held:
        yield pa.concat_tables(held).unify_dictionaries()


def _context() -> Any:
    """Ray Data's settings for a pass: quiet, in any order, and going on without blocks that failed."""
    import ray.data

    for handler in logging.getLogger("ray.data").handlers:
        if type(handler) is not logging.FileHandler:
            handler.setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = 3
    return context


def _no_workers(error: Exception) -> RunError:
    return RunError(
        "Ray",
        "workers that start and a cluster that stays",
        " ".join(f"{type(error).__name__}: {error}".split())[-400:],
        "What was answered is stored: the same command continues.",
    )

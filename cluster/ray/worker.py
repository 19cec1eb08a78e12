"""The actor of a pool: makes a worker where it runs, and answers blocks of plan rows with it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from axiograph.cluster.ray.model_transfer import TransferableModel
from axiograph.cluster.ray.watchdog import Watchdog
from axiograph.cluster.sampling.executors import WorkerRecipe
from axiograph.cluster.sampling.requests import RequestBuilder
from axiograph.engine.errors import AxiographError, BrokenEngineError, RunError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.prompting.prompts import PromptBuilder
from axiograph.engine.workers.models import load_tokenizer
from axiograph.engine.workers.worker import Worker

log = logging.getLogger("axiograph.sampling")
POSITION = "position"  # the column that says which of the driver's rows a row is
START_LIMIT_S = 3600.0  # loading a large model over a network takes long
ENVELOPE = pa.schema(
    [
        ("positions", pa.binary()),  # uint32 each, in the order of the responses
        ("responses", pa.binary()),  # an Arrow stream of RESPONSE_SCHEMA
        ("worker", pa.string()),  # node and process
        ("busy_s", pa.float64()),  # since the process was ready: seconds in which it had something to do
        ("ready_s", pa.float64()),  # and seconds altogether
    ]
)


@dataclass(frozen=True)
class WorkerJob:
    """All that an actor needs, put into the object store once. `ledger`: an actor handle of Ledger;
    `prompt_digest`: what the driver's prompts are made of, which must come out the same here."""

    recipe: WorkerRecipe
    inputs: Inputs
    prompt_digest: bytes
    model: TransferableModel
    ledger: Any
    stall_s: float

    @property
    def shared(self) -> bool:
        """Whether calls of several threads share the worker: vLLM's engine, but not a model."""
        return self.recipe.backend == "vllm"

    def open(self) -> tuple[RequestBuilder, Worker]:
        """What this node asks and answers with. RunError unless its tokenizer is the driver's."""
        source = self.model.local()
        builder = PromptBuilder(self.inputs.template, load_tokenizer(source))
        if builder.digest != self.prompt_digest:
            raise RunError(
                "worker",
                "the tokenizer and the template of the driver",
                "others",
                "Install the same versions on all nodes.",
            )
        return RequestBuilder(self.inputs, builder), self.recipe.at(source).make()


class RayWorker:
    """What Ray Data calls with blocks of plan rows (with their POSITION): one row of ENVELOPE for each block.

    An error that a person has to mend ends the run. Any other ends this process: Ray starts another one and
    asks again, as after a crash."""

    def __init__(self, job: Any) -> None:
        import ray

        self._job: WorkerJob = ray.get(job)
        context = ray.get_runtime_context()
        node = context.get_node_id()
        self._where = f"{node[:6]}/{os.getpid()}"
        ray.get(self._job.ledger.started.remote(context.get_actor_name(), node))
        dog = Watchdog(self._job.stall_s, START_LIMIT_S)
        with dog.busy(starting=True):
            try:
                self._request_builder, self._worker = self._job.open()
            except AxiographError as error:
                self._end_run(error)
                raise
        show_progress(self._worker, dog)
        self._tokenising = threading.Lock()
        self._turn: AbstractContextManager[Any] = nullcontext() if self._job.shared else threading.Lock()
        self._clock = Clock(dog)

    def __call__(self, block: pa.Table) -> pa.Table:
        with self._clock.running():
            try:
                with self._tokenising:
                    requests = self._request_builder(block)
                with self._turn:
                    responses = self._worker(requests)
            except BrokenEngineError as error:
                self._give_up(block, error.found)
            except AxiographError as error:
                self._end_run(error)
                raise
            except Exception as error:
                self._give_up(block, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return _envelope(block, responses, self._where, self._clock)

    def _end_run(self, error: AxiographError) -> None:
        import ray

        ray.get(self._job.ledger.failed.remote(error))

    def _give_up(self, block: pa.Table, reason: str) -> NoReturn:
        """Leave word, and end this process: what has failed once may be broken."""
        import ray

        log.exception("worker %s ends: %s", self._where, reason)
        ray.get(self._job.ledger.broke.remote(block[POSITION].to_pylist(), reason))
        os._exit(1)


class Clock:
    """How long a worker had something to do. Its watchdog is on guard in the meantime."""

    def __init__(self, dog: Watchdog) -> None:
        self._dog, self._lock = dog, threading.Lock()
        self._ready = time.perf_counter()
        self._running, self._since, self._busy = 0, 0.0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around one call; calls may overlap."""
        with self._lock:
            self._since = self._since if self._running else time.perf_counter()
            self._running += 1
        try:
            with self._dog.busy():
                yield
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self._busy += time.perf_counter() - self._since

    def read(self) -> tuple[float, float]:
        """(seconds with something to do, seconds altogether)"""
        with self._lock:
            now = time.perf_counter()
            return self._busy + (now - self._since if self._running else 0.0), now - self._ready


def show_progress(worker: Worker, dog: Watchdog) -> None:
    """Tell the watchdog of every pass through a worker's model and every step of its engine: a block of
    requests may take long, a single pass does not."""
    model, engine = getattr(worker, "model", None), getattr(worker, "engine", None)
    if model is not None:
        model.register_forward_pre_hook(lambda *_: dog.beat())
    if engine is not None:
        step = engine.step

        def watched() -> Any:
            dog.beat()
            return step()

        engine.step = watched


def _envelope(block: pa.Table, responses: pa.Table, where: str, clock: Clock) -> pa.Table:
    positions = block[POSITION].to_numpy().astype(np.uint32).tobytes()
    busy, ready = clock.read()
    row = [positions, encode_table(responses), where, busy, ready]
    return pa.Table.from_arrays(
        [pa.array([v], f.type) for v, f in zip(row, ENVELOPE, strict=True)], schema=ENVELOPE
    )


def encode_table(table: pa.Table) -> bytes:
    """An Arrow stream; Ray Data would take the table apart and look at every column."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def decode_table(data: bytes) -> pa.Table:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()

"""Executors: request tables in, response tables out, wherever the workers run (DESIGN 1).

What travels to where a worker runs is the recipe by which it is made; workers, which hold models, do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from axiograph.cluster.sampling.requests import Requests
from axiograph.engine.openai.worker import ServedWorker
from axiograph.engine.study.engine_args import parallel_size
from axiograph.engine.vllm.worker import VllmWorker
from axiograph.engine.workers.models import ModelSource
from axiograph.engine.workers.worker import Worker, WorkerConfig
from axiograph.steering.directions.operations import Operation
from axiograph.steering.hf.worker import HookWorker
from axiograph.steering.vllm.worker import SteeredVllmWorker


@dataclass(frozen=True)
class WorkerRecipe:
    """`backend`: hf, vllm or openai; `operations`: by steered condition; `conditions`: the names of
    all conditions of the study, steered or not."""

    backend: str
    config: WorkerConfig
    engine_args: Mapping[str, Any]
    operations: Mapping[str, tuple[Operation, ...]]
    conditions: frozenset[str]

    def make(self) -> Worker:
        """The worker, with its model loaded; RunError or InputError when it refuses to start."""
        if self.backend == "openai":
            return ServedWorker(self.config)
        if self.backend == "hf":
            return HookWorker(self.config, self.operations, self.conditions)
        if not self.operations:
            return VllmWorker(self.config, self.engine_args)
        return SteeredVllmWorker(self.config, self.engine_args, self.operations, self.conditions)

    def at(self, source: ModelSource) -> WorkerRecipe:
        """The same with the model where this machine has it."""
        return replace(self, config=replace(self.config, source=source))

    def across_nodes(self) -> WorkerRecipe:
        """The same for an engine that no node can hold: vLLM puts its parts where Ray has reserved room."""
        return replace(self, engine_args={**self.engine_args, "distributed_executor_backend": "ray"})

    @property
    def gpus(self) -> int:
        """How many GPUs one engine spreads over."""
        return parallel_size(self.engine_args) if self.backend == "vllm" else 1


@dataclass(frozen=True)
class Kind:
    """Workers of one kind: all that is asked of a role is asked of one kind (DESIGN 3). `roles`: whose
    requests they answer, None for all."""

    name: str
    recipe: WorkerRecipe
    roles: frozenset[str] | None = None

    def answers(self, role: str) -> bool:
        return self.roles is None or role in self.roles


class Executor(Protocol):
    """Runs requests through workers and yields response tables, in any order."""

    def run(self, requests: Requests) -> Iterator[pa.Table]: ...


class InProcessExecutor:
    """One worker in this process; it is made when the first table comes, and closed behind the last."""

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._make_worker = make_worker

    def run(self, requests: Iterable[pa.Table]) -> Iterator[pa.Table]:
        tables = iter(requests)
        first = next(tables, None)
        if first is None:
            return
        with closing_worker(self._make_worker()) as worker:
            yield from answers(worker, itertools.chain([first], tables))


class InTurn:
    """Several kinds of workers in this process, one behind the other, so that each has the memory alone."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds

    def run(self, requests: Requests) -> Iterator[pa.Table]:
        """Responses kind by kind: the plan rows are gone through once for each."""
        for kind in self._kinds:
            yield from InProcessExecutor(kind.recipe.make).run(requests.of_roles(kind.answers))


def answers(worker: Worker, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """What `worker` answers to `tables`; one with `stream` takes the next table before the last is done."""
    stream = getattr(worker, "stream", None)
    yield from stream(tables) if stream is not None else map(worker, tables)


@contextmanager
def closing_worker(worker: Worker) -> Iterator[Worker]:
    """Let a worker that holds an engine give its memory back, however the work ends."""
    try:
        yield worker
    finally:
        close = getattr(worker, "close", None)
        if close is not None:
            close()

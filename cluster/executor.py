"""The execution seam: request tables in, response tables out, wherever the workers run (DESIGN 1)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from cluster.asking import Requests
from cluster.recipe import Kind
from engine.worker import Worker


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
        with closed_behind(self._make_worker()) as worker:
            yield from answers(worker, itertools.chain([first], tables))


class InTurn:
    """Several kinds of workers in this process, one behind the other, so that each has the memory alone."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds

    def run(self, requests: Requests) -> Iterator[pa.Table]:
        """Responses kind by kind: the plan rows are gone through once for each."""
        for kind in self._kinds:
            own = requests.of_roles(kind.answers)
            yield from InProcessExecutor(kind.recipe.make).run(own)


def answers(worker: Worker, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """What `worker` answers to `tables`; one with `stream` takes the next table before the last is done."""
    stream = getattr(worker, "stream", None)
    yield from stream(tables) if stream is not None else map(worker, tables)


@contextmanager
def closed_behind(worker: Worker) -> Iterator[Worker]:
    """Let a worker that holds an engine give its memory back, however the work ends."""
    try:
        yield worker
    finally:
        close = getattr(worker, "close", None)
        if close is not None:
            close()

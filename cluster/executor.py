"""The execution seam: request tables in, response tables out, wherever the workers run (DESIGN 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import pyarrow as pa

from engine.worker import Worker


class Executor(Protocol):
    """Runs request tables through workers and yields response tables, in any order."""

    def run(self, requests: Iterable[pa.Table]) -> Iterator[pa.Table]: ...


class InProcessExecutor:
    """One worker in this process; it is made when the first table comes."""

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._make_worker = make_worker

    def run(self, requests: Iterable[pa.Table]) -> Iterator[pa.Table]:
        worker: Worker | None = None
        for table in requests:
            worker = worker or self._make_worker()
            yield worker(table)

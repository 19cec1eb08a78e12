"""The meter of a sampling run: how much is done, how fast, and who does it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

WINDOW_S = 120.0  # rates are those of the last two minutes
WORKER_GONE_S = 600.0  # a worker that answered nothing for so long is listed no more


@dataclass(frozen=True)
class WorkerShare:
    """`busy`: the share of its time in which a worker had something to do; `rows`: that it answered."""

    name: str
    busy: float
    rows: int


@dataclass(frozen=True)
class Reading:
    """A meter at one moment. `failed`: rows that could not be had, which are among the `done`;
    `tokens_per_s`: read and written; `eta_s`: None where nothing came yet."""

    total: int
    done: int
    failed: int
    rows_per_s: float
    tokens_per_s: float
    eta_s: float | None
    workers: tuple[WorkerShare, ...] = ()


@dataclass
class _Worker:
    rows: int = 0
    busy: float = 0.0
    seen: float = 0.0


@dataclass
class Meter:
    """Told of answers by whoever stores them, and of workers by an executor that has several."""

    total: int = 0
    done: int = 0
    failed: int = 0
    tokens: int = 0
    _marks: deque[tuple[float, int, int]] = field(default_factory=deque)
    _workers: dict[str, _Worker] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, total: int) -> None:
        """`total` rows are to be answered."""
        with self._lock:
            self.total, self.done, self.failed, self.tokens = total, 0, 0, 0
            self._marks = deque([(time.monotonic(), 0, 0)])

    def add(self, responses: pa.Table) -> None:
        """These answers were stored."""
        read = pc.sum(responses["prompt_tokens"]).as_py() or 0
        written = pc.sum(responses["new_tokens"]).as_py() or 0
        finish = responses["finish"].cast(pa.string())
        failed = pc.sum(pc.equal(finish, "failed")).as_py() or 0
        with self._lock:
            self.done += responses.num_rows
            self.failed += failed
            self.tokens += read + written
            now = time.monotonic()
            self._marks.append((now, self.done, self.tokens))
            while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW_S:
                self._marks.popleft()

    def worker(self, name: str, rows: int, busy: float) -> None:
        """This worker answered so many rows more; `busy` is its share up to now."""
        with self._lock:
            worker = self._workers.setdefault(name, _Worker())
            worker.rows, worker.busy, worker.seen = worker.rows + rows, busy, time.monotonic()

    def read(self) -> Reading:
        with self._lock:
            now = time.monotonic()
            began, rows, tokens = self._marks[0] if self._marks else (now, 0, 0)
            seconds = max(now - began, 1e-9)
            rate = (self.done - rows) / seconds
            left = self.total - self.done
            workers = tuple(
                WorkerShare(name, worker.busy, worker.rows)
                for name, worker in sorted(self._workers.items())
                if now - worker.seen < WORKER_GONE_S
            )
            return Reading(
                total=self.total,
                done=self.done,
                failed=self.failed,
                rows_per_s=rate,
                tokens_per_s=(self.tokens - tokens) / seconds,
                eta_s=left / rate if rate else (None if left else 0.0),
                workers=workers,
            )

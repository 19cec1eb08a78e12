"""Progress of long work: a bar with rate and time left on a terminal, one plain line a minute elsewhere.

The meter of a sampling run: how much is done, how fast, and who does it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from rich.console import RenderableType

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
            known = self._workers.setdefault(name, _Worker())
            known.rows, known.busy, known.seen = known.rows + rows, busy, time.monotonic()

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


PLAIN_EVERY_S = 60.0
LISTED_WORKERS = 16
Advance = Callable[[int], None]


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Advance]:
    """Yields a function that is told how many units were done since it was last called."""
    if sys.stderr.isatty():
        with _bar(title, total, unit) as advance:
            yield advance
    else:
        lines = _Lines(title, total, unit)
        yield lines.advance
        lines.end()


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f} {unit}/s" if speed else "")

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.update(task, advance=count)


class _Lines:
    """Plain lines for logs: at the start, once a minute, and at the end."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done = 0
        self._started = self._last = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._last >= PLAIN_EVERY_S:
            self._last = time.monotonic()
            self._print()

    def end(self) -> None:
        self._print()

    def _print(self) -> None:
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self._done / seconds
        left = (self._total - self._done) / rate if rate else float("nan")
        rest = "" if self._done >= self._total else f", {duration(left)} left"
        print(
            f"{self._title}: {self._done:,} of {self._total:,} {self._unit}, {rate:.1f}/s{rest}",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def metered(meter: Meter) -> Iterator[None]:
    """The progress of sampling as its meter tells it: on a terminal a board that is drawn anew, elsewhere a
    line a minute, also while no answers come."""
    if not sys.stderr.isatty():
        with _ticking(meter):
            yield
        return
    from rich.console import Console
    from rich.live import Live

    with Live(_Board(meter), console=Console(stderr=True), refresh_per_second=2):
        yield


@contextmanager
def _ticking(meter: Meter) -> Iterator[None]:
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(PLAIN_EVERY_S):
            _say(meter)

    thread = threading.Thread(target=tick, name="axiograph-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _say(meter)


def _say(meter: Meter) -> None:
    print(f"sampling: {reading_text(meter.read())}", file=sys.stderr, flush=True)


class _Board:
    """A bar, the figures, and the workers."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        reading = self._meter.read()
        bar = ProgressBar(total=max(1, reading.total), completed=reading.done, width=60)
        lines: list[Any] = [Text(line) for line in (reading_text(reading), *worker_lines(reading))]
        return Group(bar, *lines)


def reading_text(reading: Reading) -> str:
    """One line: how far, how fast, how long still, and what failed."""
    parts = [
        f"{reading.done:,} of {reading.total:,} answers",
        f"{reading.rows_per_s:.1f}/s",
        f"{reading.tokens_per_s:,.0f} tokens/s",
    ]
    if reading.done < reading.total:
        parts.append(f"{duration(float('nan') if reading.eta_s is None else reading.eta_s)} left")
    if reading.failed:
        parts.append(f"{reading.failed:,} failed")
    if reading.workers:
        busy = sum(worker.busy for worker in reading.workers) / len(reading.workers)
        count = len(reading.workers)
        parts.append(f"{count} worker{'s' if count > 1 else ''} {100 * busy:.0f} % busy")
    return ", ".join(parts)


def worker_lines(reading: Reading) -> list[str]:
    """Every worker with its share of busy time; of many the least busy ones."""
    chosen = sorted(reading.workers, key=lambda worker: worker.busy)[:LISTED_WORKERS]
    lines = [
        f"  {worker.name}  {100 * worker.busy:3.0f} % busy  {worker.rows:,} answers" for worker in chosen
    ]
    more = len(reading.workers) - len(chosen)
    return [*lines, f"  … and {more} busier workers"] if more else lines


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3.5 h."""
    if seconds != seconds:
        return "unknown time"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

"""Progress on the terminal: a bar with rate and time left, or, elsewhere, one plain line a minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from axiograph.cluster.sampling.progress import Advance, duration, reporting_to
from axiograph.texts.progress import reading_text, worker_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from axiograph.cluster.sampling.meter import Meter

PLAIN_EVERY_S = 60.0


@contextmanager
def progress() -> Iterator[None]:
    """What happens inside shows its progress on stderr: `with ax.progress(): ax.run(study)`.

    A bar on a terminal, elsewhere (in a notebook, in a log) one plain line a minute. Without it functions
    of `axiograph` show nothing."""
    with reporting_to(TerminalReporter()):
        yield


class TerminalReporter:
    """A Reporter (cluster.sampling.progress) that writes to stderr."""

    def counting(self, title: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        show = _bar if sys.stderr.isatty() else _lines
        return show(title, total, unit)

    def sampling(self, meter: Meter) -> AbstractContextManager[None]:
        """On a terminal a board that is drawn anew, elsewhere a line a minute, also while no answers come."""
        return _board(meter) if sys.stderr.isatty() else _ticking(meter)


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


@contextmanager
def _lines(title: str, total: int, unit: str) -> Iterator[Advance]:
    lines = _Lines(title, total, unit)
    yield lines.advance
    lines.end()


class _Lines:
    """Plain lines for logs: once a minute, and at the end."""

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
def _board(meter: Meter) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    with Live(_Board(meter), console=Console(stderr=True), refresh_per_second=2):
        yield


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


@contextmanager
def _ticking(meter: Meter) -> Iterator[None]:
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(PLAIN_EVERY_S):
            _print_reading(meter)

    thread = threading.Thread(target=tick, name="axiograph-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _print_reading(meter)


def _print_reading(meter: Meter) -> None:
    print(f"sampling: {reading_text(meter.read())}", file=sys.stderr, flush=True)

"""Progress of long work, told to a reporter: nobody by default; the command line hands one in that prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from axiograph.cluster.sampling.meter import Meter

Advance = Callable[[int], None]


class Reporter(Protocol):
    """Shows progress to a person."""

    def counting(self, title: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """While work of `total` units goes on. Yields a function that is told how many units were done since
        it was last called."""
        ...

    def sampling(self, meter: Meter) -> AbstractContextManager[None]:
        """While answers come, as `meter` tells."""
        ...


class Silent:
    """Shows nothing."""

    def counting(self, title: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        return nullcontext(_nothing)

    def sampling(self, meter: Meter) -> AbstractContextManager[None]:
        return nullcontext()


def _nothing(count: int) -> None:
    pass


SILENT = Silent()
_reporter: ContextVar[Reporter] = ContextVar("reporter", default=SILENT)


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Everything inside reports to `reporter`, however deep it is called: no stage has to hand it on."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


def progress(title: str, total: int, unit: str) -> AbstractContextManager[Advance]:
    """`Reporter.counting` of the reporter in charge."""
    return _reporter.get().counting(title, total, unit)


@contextmanager
def counted(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """As `progress`, for work that itself says how much is done, of how much: (done, total). Nothing is shown
    before it does so first."""
    before = 0
    advance: Advance | None = None
    with ExitStack() as shown:

        def report(done: int, total: int) -> None:
            nonlocal before, advance
            if advance is None:
                advance = shown.enter_context(progress(title, total, unit))
            advance(done - before)
            before = done

        yield report


def metered(meter: Meter) -> AbstractContextManager[None]:
    """`Reporter.sampling` of the reporter in charge."""
    return _reporter.get().sampling(meter)


def duration(seconds: float) -> str:
    """For people: 40 s, 12 min, 3.5 h."""
    if seconds != seconds:
        return "unknown time"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

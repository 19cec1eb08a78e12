"""A process beside a worker: it ends the worker when that stands still, and ends what a dead one left behind.

A thread could not do it: an engine that hangs may hold the interpreter's lock, and a stopped process runs no
threads. The lower half of this file is that process; it imports nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

BEAT_S = 1.0  # a worker tells of its progress at most that often
IDLE, STARTING, WORKING = b"i", b"s", b"w"


class Watchdog:
    """Watches this process: between `busy` calls it may stand still, inside for at most the given seconds."""

    def __init__(self, limit_s: float, start_limit_s: float) -> None:
        command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(limit_s), str(start_limit_s)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self._pause = min(BEAT_S, limit_s / 4)
        self._lock = threading.Lock()
        self._busy = 0
        self._last = 0.0

    @contextlib.contextmanager
    def busy(self, starting: bool = False) -> Iterator[None]:
        """Inside, progress is expected; calls from several threads may overlap."""
        # Told under the lock: a late word of rest from one thread would hide another one that stands still.
        with self._lock:
            self._busy += 1
            self._tell(STARTING if starting else WORKING)
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                self._tell(WORKING if self._busy else IDLE)

    def beat(self) -> None:
        """There was progress: a pass through the model, a step of the engine."""
        now = time.monotonic()
        if now - self._last >= self._pause:
            with self._lock:
                self._last = now
                if self._busy:
                    self._tell(WORKING)

    def _tell(self, state: bytes) -> None:
        assert self._process.stdin is not None
        # Without its watchdog a worker is not worse than any other program.
        with contextlib.suppress(OSError):
            os.write(self._process.stdin.fileno(), state)


def watch(pid: int, limits: dict[bytes, float]) -> None:
    """Kill `pid` when it stands still for longer than its state allows; kill its children when it is gone.

    A process that was stopped (SIGSTOP) may have said just before that it rests, and would let wait for ever
    what it is sent next: it counts as working."""
    family: dict[int, str] = {}
    deadline: float | None = None
    stopped: float | None = None
    pause = min(BEAT_S, min(limits.values()) / 4)
    while True:
        if select.select([0], [], [], pause)[0]:
            told = os.read(0, 4096)
            if not told:  # the worker ended: its end of the pipe is closed
                break
            limit = limits.get(told[-1:])
            deadline = None if limit is None else time.monotonic() + limit
        family.update(_descendants(pid))
        now = time.monotonic()
        stopped = (stopped or now) if _is_stopped(pid) else None
        late = deadline is not None and now > deadline
        if late or (stopped is not None and now - stopped > limits[WORKING]):
            _kill(pid)
            break
    for child, born in family.items():
        if _born(child) == born:
            _kill(child)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> dict[int, str]:
    """Children and theirs, each with its time of birth, without this process; none where /proc is missing."""
    family: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for word in (task / "children").read_text().split():
                child = int(word)
                if child != os.getpid() and (born := _born(child)):
                    family |= {child: born, **_descendants(child)}
    return family


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks: its number alone may be used again."""
    return _status(pid, 19)


def _is_stopped(pid: int) -> bool:
    return _status(pid, 0) == "T"


def _status(pid: int, field: int) -> str:
    """A field of what the kernel says of a process, behind its name; empty where it says nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[field]
    except (OSError, IndexError):
        return ""


if __name__ == "__main__":
    watch(int(sys.argv[1]), {WORKING: float(sys.argv[2]), STARTING: float(sys.argv[3])})

"""The heartbeat of a run: a small file in its directory that says how far sampling is."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from axiograph.cluster.sampling.meter import Meter, Reading, WorkerShare
from axiograph.engine.errors import RunError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.storage.files import write_json

FILE = "heartbeat.json"
BEAT_S = 10.0
OLD_S = 60.0  # without a beat for so long the process is probably dead
State = Literal["sampling", "done", "stopped"]


@dataclass(frozen=True)
class Heartbeat:
    """`at`, `started`: seconds since 1970 by the clock of `host`; `executor`: where the workers are."""

    state: State
    at: float
    started: float
    host: str
    pid: int
    executor: str
    reading: Reading

    @property
    def age_s(self) -> float:
        """Seconds since it was written, if the clocks of both machines agree."""
        return max(0.0, time.time() - self.at)

    @property
    def is_old(self) -> bool:
        """Whether it promised another one that did not come."""
        return self.state == "sampling" and self.age_s > OLD_S


@contextmanager
def beating(run: RunDir, meter: Meter, executor: str) -> Iterator[None]:
    """Write the heartbeat at once, every BEAT_S seconds and at the end, from a thread of its own."""
    started, ended = time.time(), threading.Event()

    def write(state: State) -> None:
        beat = Heartbeat(state, time.time(), started, platform.node(), os.getpid(), executor, meter.read())
        # A disk that is full stops the run where answers are stored, with a message of its own.
        with contextlib.suppress(RunError, OSError):
            _write(run, beat)

    def go_on() -> None:
        while not ended.wait(BEAT_S):
            write("sampling")

    thread = threading.Thread(target=go_on, name="axiograph-heartbeat", daemon=True)
    write("sampling")
    thread.start()
    state: State = "stopped"
    try:
        yield
        state = "done"
    finally:
        ended.set()
        thread.join()
        write(state)


def _write(run: RunDir, beat: Heartbeat) -> None:
    write_json(run.path / FILE, asdict(beat))
    if run.mirror is not None:
        (run.mirror.remote / FILE).put((run.path / FILE).read_bytes())


def read_heartbeat(run: RunDir) -> Heartbeat | None:
    """The last heartbeat; None where none was written, or not by this version."""
    try:
        beat: dict[str, Any] = json.loads((run.path / FILE).read_text(encoding="utf-8"))
        reading = beat.pop("reading")
        workers = tuple(WorkerShare(**worker) for worker in reading.pop("workers"))
        return Heartbeat(**beat, reading=Reading(**reading, workers=workers))
    except (OSError, ValueError, KeyError, TypeError):
        return None

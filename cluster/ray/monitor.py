"""Watching a pass, by what workers tell the driver beside their answers.

It ends when nobody is left to answer, or when workers do nothing but die: Ray alone would wait for ever.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from axiograph.cluster.ray.connection import nodes
from axiograph.cluster.ray.pool import Pool
from axiograph.engine.errors import AxiographError, RunError


@dataclass
class Entries:
    """`nodes`: where every worker (by name) last started; `starts`: of all of them, also again after a death;
    `reasons`: by position of a request, what went wrong when it was asked last; `error`: what ends the
    run."""

    nodes: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    last_reason: str = ""
    error: AxiographError | None = None


class Ledger:
    """Holds the entries of a run. An actor on the driver's node: every method is called from afar."""

    def __init__(self) -> None:
        self._entries = Entries()

    def started(self, worker: str, node: str) -> None:
        self._entries.nodes[worker] = node
        self._entries.starts += 1

    def broke(self, positions: list[int], reason: str) -> None:
        """A worker gives up on these requests and on itself."""
        self._entries.reasons.update(dict.fromkeys(positions, reason))
        self._entries.last_reason = reason

    def failed(self, error: AxiographError) -> None:
        """An error that a person has to mend: the run ends with it."""
        self._entries.error = self._entries.error or error

    def read(self) -> Entries:
        return self._entries

    def clear(self) -> None:
        """Before other workers are started: the reasons stay."""
        self._entries.nodes, self._entries.starts = {}, 0


LOOK_S = 2.0
LOST_S = 60.0  # a worker whose node is gone for so long is given up: its requests go to the others
DEATHS = 20  # so many deaths, and more than blocks answered, mean that something is wrong with all workers


class Monitor:
    """A thread that looks at the ledger and at the nodes while Ray Data works. Used as a context manager.

    Ray starts a dead worker again wherever there is room. Where there is none any more, what it had in hand
    would wait for ever: then the worker is killed for good, and Ray Data counts its requests as failed. A
    pool of which nobody is left would wait for ever too: then the pass is over.
    """

    def __init__(self, ledger: Any, pools: Sequence[Pool], lost_s: float = LOST_S) -> None:
        self._ledger, self._pools, self._lost_s = ledger, pools, lost_s
        self._lost_since: dict[str, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="axiograph-monitor", daemon=True)
        self._given_up: set[str] = set()
        self.blocks = 0
        self.is_over = False
        self.error: AxiographError | None = None

    @property
    def gave_up(self) -> bool:
        """Whether some worker was given up: what it had in hand is not to blame."""
        return bool(self._given_up)

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(LOOK_S):
            with contextlib.suppress(Exception):  # the cluster is busy or going down: the pass will say so
                self._look()

    def _look(self) -> None:
        entries = self.read()
        self.error = self.error or entries.error or self._hopeless(entries)
        if self.error is not None:
            self.is_over = True
            for pool in self._pools:
                for name in list(pool.names):
                    _kill(name)
            return
        for name in self._lost(entries):
            self._given_up.add(name)
            _kill(name)
        started = [set(pool.names) & set(entries.nodes) for pool in self._pools]
        self.is_over = any(names and names <= self._given_up for names in started)

    def read(self) -> Entries:
        """The ledger as it is now."""
        import ray

        entries: Entries = ray.get(self._ledger.read.remote(), timeout=60)
        return entries

    def _lost(self, entries: Entries) -> list[str]:
        """Workers whose last node has been gone for too long, each once."""
        alive, now = {node.name for node in nodes()}, time.monotonic()
        lost = {name for name, node in entries.nodes.items() if node not in alive}
        self._lost_since = {name: self._lost_since.get(name, now) for name in lost}
        late = {name for name, since in self._lost_since.items() if now - since > self._lost_s}
        return sorted(late - self._given_up)

    def _hopeless(self, entries: Entries) -> RunError | None:
        deaths = entries.starts - len(entries.nodes)
        if deaths < DEATHS or deaths <= self.blocks:
            return None
        reason = entries.last_reason or "no word from them; Ray's logs of the workers have more"
        return RunError(
            "workers",
            "ones that answer",
            f"{deaths} deaths and {self.blocks} answered blocks ({reason})",
            "Mend the cause: what was answered is stored, and the same command continues.",
        )


def _kill(name: str) -> None:
    """End an actor for good; what it had in hand fails."""
    import ray

    with contextlib.suppress(ValueError):  # gone already
        ray.kill(ray.get_actor(name), no_restart=True)

"""The ledger: what workers tell the driver beside their answers. An actor on the driver's node."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.errors import AxiographError


@dataclass
class Entries:
    """`nodes`: where every worker (by name) last started; `starts`: of all of them, also again after a death;
    `reasons`: by place of a request, what went wrong when it was asked last; `error`: what ends the run."""

    nodes: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    last_reason: str = ""
    error: AxiographError | None = None


class Ledger:
    """Holds the entries of a run; every method is called from afar."""

    def __init__(self) -> None:
        self._entries = Entries()

    def started(self, worker: str, node: str) -> None:
        self._entries.nodes[worker] = node
        self._entries.starts += 1

    def broke(self, places: list[int], reason: str) -> None:
        """A worker gives up on these requests and on itself."""
        self._entries.reasons.update(dict.fromkeys(places, reason))
        self._entries.last_reason = reason

    def failed(self, error: AxiographError) -> None:
        """An error that a person has to mend: the run ends with it."""
        self._entries.error = self._entries.error or error

    def read(self) -> Entries:
        return self._entries

    def clear(self) -> None:
        """Before other workers are started: the reasons stay."""
        self._entries.nodes, self._entries.starts = {}, 0

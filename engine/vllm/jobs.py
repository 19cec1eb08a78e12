"""Jobs: the tables that a vLLM worker has under way, what of them is finished, and what of that is proven."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from axiograph.engine.errors import RunError
from axiograph.engine.vllm.exchange import EngineReply, Exchange
from axiograph.engine.workers.worker import Request, responses_table


@dataclass(eq=False)
class Job:
    """One table. `results` by row number, in the order in which rows finished; `proven`: the rows of them
    that may be stored whatever happens next; `fault`: what a check found wrong with one of the others."""

    rows: list[Request]
    started: float
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    proven: set[int] = field(default_factory=set)
    unproven: list[int] = field(default_factory=list)
    fault: RunError | None = None

    @property
    def is_done(self) -> bool:
        """Whether every row has its response."""
        return len(self.results) == len(self.rows)

    def finish(self, number: int, result: dict[str, Any]) -> None:
        """The response of row `number` is known, and not yet proven."""
        self.results[number] = result
        self.unproven.append(number)

    def table(self, numbers: Sequence[int], since: float) -> pa.Table:
        """The responses of the rows `numbers`; `since`: when the engine began to work on nothing but them.

        Tables overlap: each has the time since the one before it was done.
        """
        seconds = (time.perf_counter() - max(self.started, since)) / max(1, len(numbers))
        results = [self.results[number] | {"seconds": seconds} for number in numbers]
        return responses_table(results, [self.rows[number] for number in numbers])


@dataclass(eq=False)
class OpenRow:
    """Row `number` of a job, in exchange with the engine: how many calls are out, and what came back of them.

    computed: by vLLM's names of its requests, how many of their tokens passed through the model.
    """

    job: Job
    number: int
    exchange: Exchange
    waiting: int = 0
    replies: list[EngineReply | None] = field(default_factory=list)
    computed: dict[str, int] = field(default_factory=dict)

"""Jobs: the tables that a vLLM worker has under way, what of them is finished, and what of that is proven."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from engine.errors import RunError
from engine.vllm_courses import Course, Said
from engine.worker import Request, responses_table


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
        return len(self.results) == len(self.rows)

    def finish(self, place: int, result: dict[str, Any]) -> None:
        """The response of row `place` is known, and not yet proven."""
        self.results[place] = result
        self.unproven.append(place)

    def table(self, places: Sequence[int], since: float) -> pa.Table:
        """The responses of these rows; `since`: when the engine began to work on nothing but them.

        Tables overlap: each has the time since the one before it was done.
        """
        seconds = (time.perf_counter() - max(self.started, since)) / max(1, len(places))
        results = [self.results[place] | {"seconds": seconds} for place in places]
        return responses_table(results, [self.rows[place] for place in places])


@dataclass(eq=False)
class Walk:
    """A row on its course: the asks that are out, and what came back so far.

    computed: by vLLM's names of its requests, how many of their tokens passed through the model.
    """

    job: Job
    place: int
    course: Course
    waiting: int = 0
    said: list[Said | None] = field(default_factory=list)
    computed: dict[str, int] = field(default_factory=dict)

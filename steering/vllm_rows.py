"""Requests as vLLM's workers see them: which of their tokens are steered, and what of them is proven."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from steering.operations import Operation


@dataclass(eq=False)
class Row:
    """One request while it runs and as long as its keys may be read by others.

    state: vLLM's own record of its tokens; prompt: length of the request's prompt, behind which a cue, a
    thought or the answer stands; span: positions of the steered words. next: the position that the next
    pass begins at; blocks: vLLM's list of its blocks, another one after a preemption; proven: up to where
    every pass, or the passes that wrote the cached keys, was checked; error: the largest
    |observed − expected| so far; failure: what was wrong, if anything.
    """

    state: Any
    condition: int
    operations: tuple[Operation, ...]
    numbers: tuple[int, ...]
    prompt: int
    span: tuple[int, ...]
    next: int = -1
    blocks: Any = None
    proven: int = 0
    error: float = 0.0
    failure: str | None = None
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.last = max((_last(op, self) for op in self.operations), default=0.0)

    def tokens(self, start: int, stop: int) -> list[int]:
        """Its tokens at positions [start, stop)."""
        known = self.state.prompt_token_ids
        if stop <= len(known):
            return list(known[start:stop])
        behind = self.state.output_token_ids[max(0, start - len(known)) : stop - len(known)]
        return [*known[start:], *behind]

    def prompt_steered(self) -> int:
        """How many tokens of what was sent as prompt are steered."""
        length = len(self.state.prompt_token_ids)
        return len({p for op in self.operations for p in acted_on(op, self, 0, length)})

    def fail(self, reason: str) -> None:
        self.failure = self.failure or reason

    def same_steering(self, other: Row, stop: int) -> bool:
        """Whether both are steered alike at all positions before `stop`."""
        if self.condition != other.condition:
            return False
        spans = {op.span for op in self.operations}
        if "prompt_span" in spans and _before(self.span, stop) != _before(other.span, stop):
            return False
        return not spans & {"prompt", "generated"} or min(self.prompt, stop) == min(other.prompt, stop)


def _before(span: Sequence[int], stop: int) -> tuple[int, ...]:
    return tuple(position for position in span if position < stop)


def _last(op: Operation, row: Row) -> float:
    """The position from which on `op` leaves the request alone."""
    return {"prompt_span": max(row.span, default=-1) + 1, "prompt": row.prompt}.get(op.span, math.inf)


def acted_on(op: Operation, row: Row, start: int, stop: int) -> Sequence[int]:
    """The positions in [start, stop) of the request at which `op` acts."""
    if op.span == "prompt_span":
        return [position for position in row.span if start <= position < stop]
    if op.span == "prompt":
        return range(start, min(stop, row.prompt))
    if op.span == "generated":
        return range(max(start, row.prompt), stop)
    return range(start, stop)


@dataclass(frozen=True)
class Part:
    """The tokens of a row in one pass: positions [start, start + count), at `offset` in the batch."""

    row: Row
    offset: int
    start: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.count

"""Requests as vLLM's workers see them: which of their tokens are steered, and what of them is proven.

The steered conditions travel to the workers once, as plain data; a request then carries the number of its
condition, so that its operations need not travel with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from axiograph.engine.study.steering import HookPointSpec
from axiograph.steering.directions.operations import Operation, steering_digests

if TYPE_CHECKING:
    import torch


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
        prompt = self.state.prompt_token_ids
        if stop <= len(prompt):
            return list(prompt[start:stop])
        written = self.state.output_token_ids[max(0, start - len(prompt)) : stop - len(prompt)]
        return [*prompt[start:], *written]

    def prompt_steered(self) -> int:
        """How many tokens of what was sent as prompt are steered."""
        length = len(self.state.prompt_token_ids)
        return len({p for op in self.operations for p in acting_positions(op, self, 0, length)})

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


def acting_positions(op: Operation, row: Row, start: int, stop: int) -> Sequence[int]:
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

    @property
    def tokens(self) -> slice:
        """Its tokens in the batch."""
        return slice(self.offset, self.offset + self.count)


EXTRA = "axiograph"  # the key of a request's extra_args: [condition number, prompt length, *span] or [−1, 0]
UNSTEERED = -1


def pack_conditions(conditions: Mapping[str, Sequence[Operation]]) -> list[dict[str, Any]]:
    """Plain data for `unpack_conditions`; conditions are numbered in their order."""
    digests = steering_digests(conditions)
    return [
        {"name": name, "digest": digests[name].hex(), "operations": [_plain(op) for op in operations]}
        for name, operations in conditions.items()
    ]


def _plain(op: Operation) -> dict[str, Any]:
    def raw(tensor: torch.Tensor | None) -> bytes | None:
        return None if tensor is None else tensor.contiguous().numpy().tobytes()

    return {
        "kind": op.kind,
        "span": op.span,
        "layer": op.hook_point.layer,
        "place": op.hook_point.place,
        "vector": raw(op.vector),
        "axis": raw(op.axis),
        "target": op.target,
    }


def unpack_conditions(plain: Sequence[Mapping[str, Any]]) -> list[tuple[Operation, ...]]:
    """The operations by condition number; ValueError where they are not those that were packed."""
    named = {entry["name"]: tuple(map(_operation, entry["operations"])) for entry in plain}
    digests = steering_digests(named)
    for entry in plain:
        if digests[entry["name"]].hex() != entry["digest"]:
            raise ValueError(f"the operations of condition '{entry['name']}' changed on their way to vLLM")
    return list(named.values())


def _operation(plain: Mapping[str, Any]) -> Operation:
    import numpy as np
    import torch

    def tensor(raw: bytes | None) -> torch.Tensor | None:
        return None if raw is None else torch.from_numpy(np.frombuffer(raw, np.float32).copy())

    point = HookPointSpec(layer=plain["layer"], place=plain["place"])
    vector, axis = tensor(plain["vector"]), tensor(plain["axis"])
    return Operation(plain["kind"], plain["span"], point, vector, axis, plain["target"])


@dataclass(frozen=True)
class Stacked:
    """All operations of all conditions as matrices on the model's device: vectors and axes [n, d_model]
    (zero where an operation has none), targets [n]; `numbers[c][k]` is the row of condition c's k-th."""

    vectors: torch.Tensor
    axes: torch.Tensor
    targets: torch.Tensor
    numbers: list[list[int]]


def stack_operations(conditions: Sequence[Sequence[Operation]], device: Any) -> Stacked:
    import torch

    every = [op for operations in conditions for op in operations]
    width = next(len(t) for op in every for t in (op.vector, op.axis) if t is not None)
    zero = torch.zeros(width)
    vectors = torch.stack([zero if op.vector is None else op.vector for op in every])
    axes = torch.stack([zero if op.axis is None else op.axis for op in every])
    targets = torch.tensor([op.target for op in every], dtype=torch.float32)
    counter = iter(range(len(every)))
    numbers = [[next(counter) for _ in operations] for operations in conditions]
    return Stacked(vectors.to(device), axes.to(device), targets.to(device), numbers)

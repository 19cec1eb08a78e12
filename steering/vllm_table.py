"""The table of steered conditions as it travels to vLLM's workers: once, as plain data.

A request then carries the number of its condition, so that its operations need not travel with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.study import HookPointSpec
from steering.operations import Operation, steering_digests

if TYPE_CHECKING:
    import torch

EXTRA = "axiograph"  # the key of a request's extra_args: [condition number, prompt length, *span] or [−1, 0]
UNSTEERED = -1


def packed(conditions: Mapping[str, Sequence[Operation]]) -> list[dict[str, Any]]:
    """Plain data for `unpacked`; conditions are numbered in their order."""
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


def unpacked(plain: Sequence[Mapping[str, Any]]) -> list[tuple[Operation, ...]]:
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


def stacked(conditions: Sequence[Sequence[Operation]], device: Any) -> Stacked:
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

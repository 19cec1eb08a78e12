"""What is done to the stream in one pass of vLLM: the places, and the hooks that change it there.

Nothing here proves anything: see steering.vllm_proof, which works the places out again from what the model
itself received.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.study import HookPointSpec
from steering.vllm_rows import Part, acted_on
from steering.vllm_stream import Streamed, receiver, returned
from steering.vllm_table import Stacked

if TYPE_CHECKING:
    import torch

Round = tuple[np.ndarray, np.ndarray]  # places in the batch, and which operation acts there


def rounds_of(parts: Iterable[Part]) -> dict[HookPointSpec, list[Round]]:
    """Per hook point the k-th operation of every row: within a round, no place comes twice."""
    gathered: dict[HookPointSpec, list[tuple[list[int], list[int]]]] = {}
    for part in parts:
        depth: dict[HookPointSpec, int] = {}
        for op, number in zip(part.row.operations, part.row.numbers, strict=True):
            k = depth[op.hook_point] = depth.get(op.hook_point, -1) + 1
            shift = part.offset - part.start
            places = [position + shift for position in acted_on(op, part.row, part.start, part.stop)]
            if not places:
                continue
            rounds = gathered.setdefault(op.hook_point, [])
            rounds += [([], []) for _ in range(k + 1 - len(rounds))]
            rounds[k][0].extend(places)
            rounds[k][1].extend([number] * len(places))
    return {
        point: [(np.array(places), np.array(numbers)) for places, numbers in rounds if places]
        for point, rounds in gathered.items()
    }


class Steerer:
    """Changes the stream of the pass under way; `set` says where, and nothing happens in any other pass."""

    def __init__(self, table: Stacked) -> None:
        self._table = table
        self._rounds: dict[HookPointSpec, list[Round]] = {}
        self.acted: set[HookPointSpec] = set()

    def set(self, parts: Sequence[Part]) -> None:
        self._rounds, self.acted = (rounds_of(parts) if parts else {}), set()

    def hook(self, layer: Any, point: HookPointSpec) -> None:
        """Let `layer` of the model be changed at `point` from now on."""
        if point.place == "resid_post":

            def after(module: Any, args: Any, output: Any) -> None:
                self._act(point, returned(output))

            layer.register_forward_hook(after)
        else:
            received = receiver(layer)

            def before(module: Any, args: Any, kwargs: Any) -> None:
                self._act(point, received(args, kwargs))

            layer.register_forward_pre_hook(before, with_kwargs=True)

    def _act(self, point: HookPointSpec, stream: Streamed) -> None:
        rounds = self._rounds.get(point)
        if rounds:
            self.acted.add(point)
            change(stream, rounds, self._table)


def change(stream: Streamed, rounds: Sequence[Round], table: Stacked) -> None:
    """Do the rounds one after the other, in float32, in place; rows that none names stay as they are."""
    import torch

    device = stream.hidden.device
    touched = np.unique(np.concatenate([places for places, _ in rounds]))
    index = torch.from_numpy(touched).to(device)
    old = stream.rows(index)
    new = old.clone()
    for places, numbers in rounds:
        at = torch.from_numpy(np.searchsorted(touched, places)).to(device)
        new[at] = operated(new[at], table, torch.from_numpy(numbers).to(device))
    stream.change(index, old, new)


def operated(rows: torch.Tensor, table: Stacked, numbers: torch.Tensor) -> torch.Tensor:
    """Every stream row [n, d_model] changed by its own operation (steering.operations' formulas)."""
    axis = table.axes[numbers]
    component = (rows * axis).sum(-1)
    # For `add` the axis is zero and so is the second term; for the others the vector is.
    return rows + table.vectors[numbers] + (table.targets[numbers] - component).unsqueeze(-1) * axis

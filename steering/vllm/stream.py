"""The residual stream inside vLLM, and the hooks that change it in a pass.

Llama-like layers of vLLM hand (hidden, residual) to the next layer, which adds them; GPT-2, OPT and Falcon
hand on the stream itself. Which it is is seen at every layer, from what it receives and returns.

Nothing here proves anything: steering.vllm.proof works out again, from what the model itself received, which
tokens should have changed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.engine.study.steering import HookPointSpec
from axiograph.steering.vllm.rows import Part, Stacked, acting_positions

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Streamed:
    """The stream of a pass at one point: `hidden` [tokens, d_model], and `residual`, where it is a pair."""

    hidden: torch.Tensor
    residual: torch.Tensor | None

    @property
    def carrier(self) -> torch.Tensor:
        """The tensor that a change of the stream is written to."""
        return self.hidden if self.residual is None else self.residual

    def whole(self) -> torch.Tensor:
        """The stream [tokens, d_model], a new float32 tensor."""
        if self.residual is None:
            return self.hidden.float().clone()
        return self.hidden.float() + self.residual.float()

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """Its rows at `index`, in float32."""
        rows = self.hidden[index].float()
        return rows if self.residual is None else rows + self.residual[index].float()

    def change(self, index: torch.Tensor, old: torch.Tensor, new: torch.Tensor) -> None:
        """In place: rows that were `old` become `new` (float32), rounded to the model's dtype once."""
        if self.residual is None:
            self.hidden[index] = new.to(self.hidden.dtype)
        else:
            moved = self.residual[index].float() + (new - old)
            self.residual[index] = moved.to(self.residual.dtype)


def returned_stream(output: Any) -> Streamed:
    """What a layer returned; TypeError for anything but one tensor or a pair of the same shape."""
    import torch

    if isinstance(output, torch.Tensor):
        return Streamed(output, None)
    if isinstance(output, tuple) and len(output) == 2 and all(isinstance(t, torch.Tensor) for t in output):
        hidden, residual = output
        if hidden.shape == residual.shape:
            return Streamed(hidden, residual)
    raise TypeError("a decoder layer that returns neither one tensor nor a (hidden, residual) pair")


def stream_receiver(module: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], Streamed]:
    """A function from the arguments of `module` (a decoder layer or a final norm) to the stream in them."""
    names = list(inspect.signature(module.forward).parameters)
    if "hidden_states" not in names:
        names = ["hidden_states", "residual"]  # norms: the stream first, the residual behind it

    def received(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streamed:
        named = dict(zip(names, args, strict=False)) | kwargs
        return Streamed(named["hidden_states"], named.get("residual"))

    return received


Round = tuple[np.ndarray, np.ndarray]  # tokens of the batch, and which operation acts on each


def steering_rounds(parts: Iterable[Part]) -> dict[HookPointSpec, list[Round]]:
    """Per hook point the k-th operation of every row: within a round, no token comes twice."""
    gathered: dict[HookPointSpec, list[tuple[list[int], list[int]]]] = {}
    for part in parts:
        depth: dict[HookPointSpec, int] = {}
        for op, number in zip(part.row.operations, part.row.numbers, strict=True):
            k = depth[op.hook_point] = depth.get(op.hook_point, -1) + 1
            shift = part.offset - part.start
            tokens = [position + shift for position in acting_positions(op, part.row, part.start, part.stop)]
            if not tokens:
                continue
            rounds = gathered.setdefault(op.hook_point, [])
            rounds += [([], []) for _ in range(k + 1 - len(rounds))]
            rounds[k][0].extend(tokens)
            rounds[k][1].extend([number] * len(tokens))
    return {
        point: [(np.array(tokens), np.array(numbers)) for tokens, numbers in rounds if tokens]
        for point, rounds in gathered.items()
    }


class Steerer:
    """Changes the stream of the pass under way; `set` says where, and nothing happens in any other pass."""

    def __init__(self, table: Stacked) -> None:
        self._table = table
        self._rounds: dict[HookPointSpec, list[Round]] = {}
        self.acted: set[HookPointSpec] = set()

    def set(self, parts: Sequence[Part]) -> None:
        self._rounds, self.acted = (steering_rounds(parts) if parts else {}), set()

    def hook(self, layer: Any, point: HookPointSpec) -> None:
        """Let `layer` of the model be changed at `point` from now on."""
        if point.place == "resid_post":

            def after(module: Any, args: Any, output: Any) -> None:
                self._act(point, returned_stream(output))

            layer.register_forward_hook(after)
        else:
            received = stream_receiver(layer)

            def before(module: Any, args: Any, kwargs: Any) -> None:
                self._act(point, received(args, kwargs))

            layer.register_forward_pre_hook(before, with_kwargs=True)

    def _act(self, point: HookPointSpec, stream: Streamed) -> None:
        rounds = self._rounds.get(point)
        if rounds:
            self.acted.add(point)
            apply_rounds(stream, rounds, self._table)


def apply_rounds(stream: Streamed, rounds: Sequence[Round], table: Stacked) -> None:
    """Do the rounds one after the other, in float32, in place; rows that none names stay as they are."""
    import torch

    device = stream.hidden.device
    touched = np.unique(np.concatenate([tokens for tokens, _ in rounds]))
    index = torch.from_numpy(touched).to(device)
    old = stream.rows(index)
    new = old.clone()
    for tokens, numbers in rounds:
        at = torch.from_numpy(np.searchsorted(touched, tokens)).to(device)
        new[at] = apply_operations(new[at], table, torch.from_numpy(numbers).to(device))
    stream.change(index, old, new)


def apply_operations(rows: torch.Tensor, table: Stacked, numbers: torch.Tensor) -> torch.Tensor:
    """Every stream row [n, d_model] changed by its own operation (steering.directions.operations'
    formulas)."""
    axis = table.axes[numbers]
    component = (rows * axis).sum(-1)
    # For `add` the axis is zero and so is the second term; for the others the vector is.
    return rows + table.vectors[numbers] + (table.targets[numbers] - component).unsqueeze(-1) * axis

"""The residual stream inside vLLM, whatever a layer passes on: one tensor, or a pair whose sum it is.

Llama-like layers of vLLM hand (hidden, residual) to the next layer, which adds them; GPT-2, OPT and Falcon
hand on the stream itself. Which it is is seen at every layer, from what it receives and returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Streamed:
    """The stream of a pass at one place: `hidden` [tokens, d_model], and `residual`, where it is a pair."""

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


def returned(output: Any) -> Streamed:
    """What a layer returned; TypeError for anything but one tensor or a pair of the same shape."""
    import torch

    if isinstance(output, torch.Tensor):
        return Streamed(output, None)
    if isinstance(output, tuple) and len(output) == 2 and all(isinstance(t, torch.Tensor) for t in output):
        hidden, residual = output
        if hidden.shape == residual.shape:
            return Streamed(hidden, residual)
    raise TypeError("a decoder layer that returns neither one tensor nor a (hidden, residual) pair")


def receiver(module: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], Streamed]:
    """A function from the arguments of `module` (a decoder layer or a final norm) to the stream in them."""
    names = list(inspect.signature(module.forward).parameters)
    if "hidden_states" not in names:
        names = ["hidden_states", "residual"]  # norms: the stream first, the residual behind it

    def received(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streamed:
        given = dict(zip(names, args, strict=False)) | kwargs
        return Streamed(given["hidden_states"], given.get("residual"))

    return received

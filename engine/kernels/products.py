"""Matrix products of packed passes on the CPU: by oneDNN, with the weights laid out for it once.

`torch.nn.functional.linear` hands float32 products to MKL, which on processors that are not Intel's reaches
less than half of their rate; oneDNN is as fast on both, if it need not lay out the weights again for every
product. In half precision PyTorch takes oneDNN by itself.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.workers.machine import available
from axiograph.engine.workers.models import exchanged

if TYPE_CHECKING:
    import torch

# The weights are held a second time: only where that leaves the memory to others.
MOST_OF_MEMORY = 0.25
# Fewer tokens gain nothing.
FEW_TOKENS = 8


@dataclass
class _LaidOutWeight:
    """A layer's weight as it was, and as oneDNN wants it; `version` tells whether it has changed since."""

    weight: torch.Tensor
    version: int
    packed: torch.Tensor


class Products:
    """The linear layers of a model; within `used`, those in float32 on the CPU multiply by oneDNN."""

    def __init__(self, model: Any) -> None:
        self._layers = _layers(model)
        self._laid: dict[Any, _LaidOutWeight] = {}

    def used(self) -> AbstractContextManager[None]:
        """Within, the layers multiply by oneDNN; weights that have changed are laid out again."""
        for layer in self._layers:
            laid = self._laid.get(layer)
            if laid is None or laid.weight is not layer.weight or laid.version != layer.weight._version:
                self._laid[layer] = _lay_out(layer.weight)
        return exchanged({layer: _forward(layer, laid.packed) for layer, laid in self._laid.items()})


def _layers(model: Any) -> list[Any]:
    """Plain linear layers whose weights may be held twice; none where oneDNN or the memory is missing."""
    import torch

    if not torch.backends.mkldnn.is_available():
        return []
    layers = [
        module
        for module in model.modules()
        # What others have put instead of `forward` is left alone.
        if type(module) is torch.nn.Linear and "forward" not in module.__dict__ and _fits(module.weight)
    ]
    size = sum(layer.weight.numel() * layer.weight.itemsize for layer in layers)
    return layers if size <= MOST_OF_MEMORY * available() else []


def _fits(weight: torch.Tensor) -> bool:
    import torch

    return weight.device.type == "cpu" and weight.dtype == torch.float32


def _lay_out(weight: torch.Tensor) -> _LaidOutWeight:
    import torch

    with torch.no_grad():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
    return _LaidOutWeight(weight, weight._version, packed)


def _forward(layer: Any, packed: torch.Tensor) -> Any:
    import torch

    multiply = torch.ops.mkldnn._linear_pointwise

    def forward(x: torch.Tensor) -> torch.Tensor:
        if x.numel() < FEW_TOKENS * x.shape[-1]:
            return torch.nn.functional.linear(x, layer.weight, layer.bias)
        product: torch.Tensor = multiply(x, packed, layer.bias, "none", [], "")
        return product

    return forward

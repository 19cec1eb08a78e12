"""Norms and gates of packed passes on the CPU, in float32: in one pass over memory instead of five.

RMS norms and gated MLPs are much the same in all models, but each model writes them out in PyTorch's single
operations. Which formula a module follows is found by its parts and proven by trying; others are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import cache_folder, compiled
from engine.forwards import exchanged
from engine.threads import in_threads
from engine.vectors import (
    LANES,
    added,
    divided,
    exponential,
    larger,
    load,
    multiplied,
    multiplied_added,
    repeated,
    smaller,
    store,
    summed,
    zeros,
)

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Forward = Callable[["torch.Tensor"], "torch.Tensor"]

_CACHE = cache_folder(Path(__file__).parent, ("compiled", "vectors", "fused"))
_ONE = np.float32(1.0)
# e to no more than that is a float32; gates of numbers beyond ± 100 are open or shut.
_LARGEST, _SATURATED = np.float32(88.0), np.float32(100.0)
# As many numbers are worth another thread.
_PER_THREAD = 1 << 16
_TRIED_ROWS = 4
_ROUNDING = 1e-5
# gate(x) = x / (1 + e ** −(a · x + b · x³)): SiLU, and GELU in the form with tanh.
_GELU = float(np.sqrt(8 / np.pi))
_GATES = {"silu": (1.0, 0.0), "gelu": (_GELU, 0.044715 * _GELU)}


class Fused:
    """The modules of a model that are computed here while `used`."""

    def __init__(self, model: Any) -> None:
        self._forwards: dict[Any, Forward] = {}
        for module in model.modules():
            found = None if "forward" in module.__dict__ else _norm(module) or _gated(module)
            if found is not None:
                self._forwards[module] = found

    def used(self) -> AbstractContextManager[None]:
        return exchanged(self._forwards)


def _is_fit(weight: Any) -> bool:
    import torch

    plain = isinstance(weight, torch.Tensor) and weight.device.type == "cpu" and weight.dtype == torch.float32
    return plain and weight.shape[-1] % LANES == 0


def _norm(module: Any) -> Forward | None:
    """x / sqrt(mean(x²) + eps) · (offset + weight); Gemma's weights stand beside 1."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight = getattr(module, "weight", None)
    if not type(module).__name__.endswith("RMSNorm") or not isinstance(eps, float) or not _is_fit(weight):
        return None
    for offset in (0.0, 1.0):

        def forward(x: torch.Tensor, offset: float = offset) -> torch.Tensor:
            return normalised(x, module.weight, offset, eps)

        if _is_proven(module, forward, module.weight.shape[0]):
            return forward
    return None


def _gated(module: Any) -> Forward | None:
    """down(gate(gate_proj(x)) · up_proj(x)), as Llama, Gemma, Qwen and Mistral have it."""
    import torch

    parts = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    if not all(isinstance(part, torch.nn.Linear) and _is_fit(part.weight) for part in parts):
        return None
    if not hasattr(module, "act_fn") or parts[0].out_features % LANES:  # type: ignore[union-attr]
        return None
    for a, b in _GATES.values():

        def forward(x: torch.Tensor, a: float = a, b: float = b) -> torch.Tensor:
            gate, up = module.gate_proj(x), module.up_proj(x)
            found: torch.Tensor = module.down_proj(gated(gate, up, a, b))
            return found

        if _is_proven(module, forward, parts[0].in_features):  # type: ignore[union-attr]
            return forward
    return None


def _is_proven(module: Any, forward: Forward, width: int) -> bool:
    """Whether `forward` gives what `module` does, for large and for tiny numbers, in which an eps shows."""
    import torch

    random = torch.Generator().manual_seed(0)
    x = torch.randn(1, _TRIED_ROWS, width, generator=random) * torch.tensor([[30.0], [1.0], [1e-2], [1e-4]])
    with torch.inference_mode():
        wanted, found = module(x), forward(x)
    size = wanted.abs().amax(-1, keepdim=True)
    return bool(((wanted - found).abs() <= _ROUNDING * size).all())


def normalised(x: torch.Tensor, weight: torch.Tensor, offset: float, eps: float) -> torch.Tensor:
    """RMS norm of `x` [..., width] (Zhang and Sennrich 2019, arXiv 1910.07467)."""
    import torch

    x = x.contiguous()
    out = torch.empty_like(x)
    width = x.shape[-1]
    rows = x.numel() // width
    factors = weight if offset == 0 else weight + offset
    arrays: list[Any] = [t.detach().numpy().reshape(-1) for t in (x, factors, out)]

    def part(i: int, n: int) -> None:
        _normalise(*arrays, np.float32(eps), width, rows * i // n, rows * (i + 1) // n)  # type: ignore[call-arg]

    in_threads(part, x.numel() // _PER_THREAD)
    return out


def gated(gate: torch.Tensor, up: torch.Tensor, a: float, b: float) -> torch.Tensor:
    """gate / (1 + e ** −(a · gate + b · gate³)) · up, written over `gate`."""
    gate, up = gate.contiguous(), up.contiguous()
    arrays: list[Any] = [t.detach().numpy().reshape(-1) for t in (gate, up)]
    vectors = gate.numel() // LANES

    def part(i: int, n: int) -> None:
        lo, hi = (vectors * i // n) * LANES, (vectors * (i + 1) // n) * LANES
        _gate(*arrays, np.float32(-a), np.float32(-b), lo, hi)  # type: ignore[call-arg]

    in_threads(part, gate.numel() // _PER_THREAD)
    return gate


def _normalise(
    x: Floats, factors: Floats, out: Floats, eps: np.float32, width: int, lo: int, hi: int
) -> None:
    for row in range(lo, hi):
        start = row * width
        squares = zeros()
        for d in range(0, width, LANES):
            own = load(x, start + d)
            squares = multiplied_added(own, own, squares)
        scale = repeated(_ONE / np.sqrt(summed(squares) / np.float32(width) + eps))
        for d in range(0, width, LANES):
            scaled = multiplied(load(x, start + d), scale)
            store(out, start + d, multiplied(scaled, load(factors, d)))


def _gate(gate: Floats, up: Floats, a: np.float32, b: np.float32, lo: int, hi: int) -> None:
    slope, cube, one = repeated(a), repeated(b), repeated(_ONE)
    largest, most, least = repeated(_LARGEST), repeated(_SATURATED), repeated(-_SATURATED)
    for i in range(lo, hi, LANES):
        x = load(gate, i)
        # Cubes of larger ones would not end in float32.
        small = larger(smaller(x, most), least)
        square = multiplied(small, small)
        power = multiplied(multiplied_added(square, cube, slope), small)
        below = added(one, exponential(smaller(power, largest)))
        store(gate, i, divided(multiplied(x, load(up, i)), below))


# Without counting references to their arguments, which is atomic.
_normalise = compiled(_normalise, _CACHE, _nrt=False)
_gate = compiled(_gate, _CACHE, _nrt=False)

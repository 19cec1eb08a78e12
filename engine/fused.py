"""Norms and gates of packed passes on the CPU, in float32: in one pass over memory instead of five.

RMS norms and gated MLPs are much the same in all models, but each model writes them out in PyTorch's single
operations. Which formula a module follows is found by its parts and proven by trying; others are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import cache_folder, compiled, memory_of
from engine.forwards import exchanged
from engine.threads import PER_THREAD, in_threads
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
Compute = Callable[["torch.Tensor"], "torch.Tensor"]

_CACHE = cache_folder(Path(__file__).parent, ("compiled", "vectors", "fused"))
_ONE = np.float32(1.0)
# e to the power of more would be no float32; gates of numbers beyond ± 100 are open or shut.
_LARGEST, _SATURATED = np.float32(88.0), np.float32(100.0)
_TRIED = (1e6, 1e3, 30.0, 1.0, 1e-2, 1e-4)
_ROUNDING = 1e-5
# gate(x) = x / (1 + e ** −(a · x + b · x³)): SiLU, and GELU in the form with tanh.
_GELU = float(np.sqrt(8 / np.pi))
_GATES = ((1.0, 0.0), (_GELU, 0.044715 * _GELU))


class Fused:
    """The modules of a model that are computed here while `used`."""

    def __init__(self, model: Any) -> None:
        self._forwards: dict[Any, Callable[..., Any]] = {}
        for module in model.modules():
            found = None if "forward" in module.__dict__ else _norm(module) or _gated(module)
            if found is not None:
                self._forwards[module] = found

    def used(self) -> AbstractContextManager[None]:
        return exchanged(self._forwards)


def _is_fit(tensor: Any) -> bool:
    import torch

    if not isinstance(tensor, torch.Tensor) or tensor.ndim == 0:
        return False
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and tensor.shape[-1] % LANES == 0


def _norm(module: Any) -> Callable[..., Any] | None:
    """x / sqrt(mean(x²) + eps) · (offset + weight); Gemma's weights stand beside 1."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight = getattr(module, "weight", None)
    if not type(module).__name__.endswith("RMSNorm") or not isinstance(eps, float):
        return None
    if not _is_fit(weight) or module.weight.ndim != 1:
        return None
    for offset in (0.0, 1.0):
        compute = partial(_normalised_by, module, offset, eps)
        if _is_proven(module, compute, module.weight.shape[0]):
            return _where_fit(compute, module.forward)
    return None


def _normalised_by(module: Any, offset: float, eps: float, x: torch.Tensor) -> torch.Tensor:
    return normalised(x, module.weight, offset, eps)


def _gated(module: Any) -> Callable[..., Any] | None:
    """down(gate(gate_proj(x)) · up_proj(x)), as Llama, Gemma, Qwen and Mistral have it."""
    import torch

    parts: list[Any] = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    if not all(isinstance(part, torch.nn.Linear) and _is_fit(part.weight) for part in parts):
        return None
    gate, up, _ = parts
    if not hasattr(module, "act_fn") or gate.out_features % LANES or gate.out_features != up.out_features:
        return None
    for a, b in _GATES:
        compute = partial(_gated_by, module, a, b)
        if _is_gate(module.act_fn, a, b) and _is_proven(module, compute, gate.in_features):
            passed_over = [module.act_fn] if isinstance(module.act_fn, torch.nn.Module) else []
            return _where_fit(compute, module.forward, passed_over)
    return None


def _gated_by(module: Any, a: float, b: float, x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = module.down_proj(gated(module.gate_proj(x), module.up_proj(x), a, b))
    return found


def _where_fit(
    compute: Compute, own: Callable[..., Any], passed_over: Sequence[Any] = ()
) -> Callable[..., Any]:
    """`compute` for what it was proven for; else the module's own way: in models of mixed precision, and
    where hooks wait in modules that `compute` passes over."""

    def forward(*given: Any, **named: Any) -> Any:
        hooked = any(module._forward_hooks or module._forward_pre_hooks for module in passed_over)
        if len(given) != 1 or named or hooked or not _is_fit(given[0]):
            return own(*given, **named)
        return compute(given[0])

    return forward


def _is_gate(act_fn: Any, a: float, b: float) -> bool:
    """Whether `act_fn` is that gate, from where it is shut to where it is open."""
    import torch

    x = torch.cat([torch.linspace(-30, 30, 4096), torch.tensor([-1e6, -1e3, 1e3, 1e6]).repeat(LANES)])

    def gate(x: torch.Tensor) -> torch.Tensor:
        return gated(x, torch.ones_like(x), a, b)

    return _agree(act_fn, gate, x, x.abs().clamp(min=0.1))


def _is_proven(module: Any, compute: Compute, width: int) -> bool:
    """Whether `compute` gives what `module` does: for huge numbers, of which some formulas cut something off,
    and for tiny ones, in which an eps shows."""
    import torch

    random = torch.Generator().manual_seed(0)
    x = torch.randn(1, len(_TRIED), width, generator=random) * torch.tensor(_TRIED)[:, None]
    return _agree(module, compute, x, None)


def _agree(own: Any, compute: Compute, x: torch.Tensor, size: torch.Tensor | None) -> bool:
    """Whether both give the same, up to rounding of numbers of that `size`; None: of the largest in a row."""
    import torch

    with torch.inference_mode():
        try:
            wanted = own(x)
        except Exception:
            # Something else under the same name raises whatever it does when it is given this.
            return False
        off = (wanted - compute(x)).abs()
        return bool(
            (off <= _ROUNDING * (wanted.abs().amax(-1, keepdim=True) if size is None else size)).all()
        )


def normalised(x: torch.Tensor, weight: torch.Tensor, offset: float, eps: float) -> torch.Tensor:
    """RMS norm of `x` [..., width] (Zhang and Sennrich 2019, arXiv 1910.07467)."""
    import torch

    x = x.contiguous()
    out = torch.empty_like(x)
    width = x.shape[-1]
    rows = x.numel() // width
    factors = weight if offset == 0 else weight + offset
    arrays: list[Any] = [memory_of(t) for t in (x, factors, out)]

    def part(i: int, n: int) -> None:
        _normalise(*arrays, np.float32(eps), width, rows * i // n, rows * (i + 1) // n)  # type: ignore[call-arg]

    in_threads(part, x.numel() // PER_THREAD)
    return out


def gated(gate: torch.Tensor, up: torch.Tensor, a: float, b: float) -> torch.Tensor:
    """gate / (1 + e ** −(a · gate + b · gate³)) · up"""
    import torch

    gate, up = gate.contiguous(), up.contiguous()
    out = torch.empty_like(gate)
    arrays: list[Any] = [memory_of(t) for t in (gate, up, out)]
    vectors = gate.numel() // LANES

    def part(i: int, n: int) -> None:
        lo, hi = (vectors * i // n) * LANES, (vectors * (i + 1) // n) * LANES
        _gate(*arrays, np.float32(-a), np.float32(-b), lo, hi)  # type: ignore[call-arg]

    in_threads(part, gate.numel() // PER_THREAD)
    return out


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


def _gate(gate: Floats, up: Floats, out: Floats, a: np.float32, b: np.float32, lo: int, hi: int) -> None:
    slope, cube, one = repeated(a), repeated(b), repeated(_ONE)
    largest, most, least = repeated(_LARGEST), repeated(_SATURATED), repeated(-_SATURATED)
    for i in range(lo, hi, LANES):
        x = load(gate, i)
        # Cubes of larger ones would not end in float32.
        small = larger(smaller(x, most), least)
        square = multiplied(small, small)
        power = multiplied(multiplied_added(square, cube, slope), small)
        below = added(one, exponential(smaller(power, largest)))
        store(out, i, multiplied(divided(x, below), load(up, i)))


# Without counting references to their arguments, which is atomic.
_normalise = compiled(_normalise, _CACHE, _nrt=False)
_gate = compiled(_gate, _CACHE, _nrt=False)

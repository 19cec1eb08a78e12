"""Rotary embeddings of packed passes on the CPU, in float32: in one pass over memory instead of ten.

Every attention of transformers turns its queries and keys by the function `apply_rotary_pos_emb` of the
module that it is written in. Within `used` that function is one which does the same, where trying proves that
it does; whatever is not float32 on the CPU still goes to the model's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import cache_folder, compiled, memory_of
from engine.threads import PER_THREAD, in_threads
from engine.vectors import LANES, added, load, multiplied, store, subtracted

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

NAME = "apply_rotary_pos_emb"
_CACHE = cache_folder(Path(__file__).parent, ("compiled", "vectors", "rotary"))
_ROUNDING = 1e-6


class Rotary:
    """The modules of code by which a model turns its queries and keys, as far as they turn halves."""

    def __init__(self, model: Any) -> None:
        import torch

        fit = any(p.device.type == "cpu" and p.dtype == torch.float32 for p in model.parameters())
        names = sorted({type(module).__module__ for module in model.modules()} if fit else ())
        found = {
            sys.modules[name]: getattr(sys.modules[name], NAME, None)
            for name in names
            if name.startswith("transformers.")
        }
        self._proven = {source: own for source, own in found.items() if _is_proven(own)}

    @contextmanager
    def used(self) -> Iterator[None]:
        # Somebody may have put another one there, as this does for another model of the same kind in another
        # thread; then it stays.
        mine = {source: own for source, own in self._proven.items() if getattr(source, NAME) is own}
        for source, own in mine.items():
            setattr(source, NAME, _Turning(own))
        try:
            yield
        finally:
            for source, own in mine.items():
                setattr(source, NAME, own)


@dataclass(frozen=True)
class _Turning:
    """Stands for the function `own` of a model's code."""

    own: Callable[..., Any]

    def __call__(
        self, q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *more: Any, **named: Any
    ) -> Any:
        if more or named or not _is_fit(q, k, cos, sin):
            return self.own(q, k, cos, sin, *more, **named)
        return turned(q, cos, sin), turned(k, cos, sin)


def _is_fit(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> bool:
    """One row of tokens, heads whose halves fill registers, no gradients, as packed passes have them."""
    import torch

    given = (q, k, cos, sin)
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        return False
    one_row = q.ndim == k.ndim == 4 and len(q) == len(k) == 1
    plain = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in given)
    alike = q.shape[2:] == k.shape[2:] == cos.shape[1:] == sin.shape[1:] and len(cos) == len(sin) == 1
    return one_row and plain and alike and q.shape[3] % (2 * LANES) == 0 and q.stride(3) == k.stride(3) == 1


def _is_proven(own: Callable[..., Any] | None) -> bool:
    import torch

    if own is None:
        return False
    random = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, heads, 5, 64, generator=random) for heads in (4, 2))
    cos, sin = (torch.randn(1, 5, 64, generator=random) for _ in "cs")
    try:
        pairs = list(zip(own(q, k, cos, sin), (turned(q, cos, sin), turned(k, cos, sin)), strict=True))
        return all(bool(((a - b).abs() <= _ROUNDING * 64).all()) for a, b in pairs)
    except Exception:
        # Another function under the same name raises whatever it does when it is given this.
        return False


def turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """`x` [1, heads, tokens, size] turned by the angles of its tokens, `cos` and `sin` [1, tokens, size]:
    each number with that of the other half (Su et al. 2021, arXiv 2104.09864, as GPT-NeoX pairs them)."""
    _, heads, tokens, size = x.shape
    out = x.new_empty(1, tokens, heads, size)
    given: Floats = memory_of(x)
    angles: list[Any] = [memory_of(t.contiguous()) for t in (cos, sin)]
    results = memory_of(out)

    def part(i: int, n: int) -> None:
        lo, hi = tokens * i // n, tokens * (i + 1) // n
        _turn(given, x.stride(1), x.stride(2), *angles, results, heads, size, lo, hi)  # type: ignore[call-arg]

    in_threads(part, x.numel() // PER_THREAD)
    return out.transpose(1, 2)


def _turn(
    x: Floats,
    head_stride: int,
    token_stride: int,
    cos: Floats,
    sin: Floats,
    out: Floats,
    heads: int,
    size: int,
    lo: int,
    hi: int,
) -> None:
    half = size // 2
    for token in range(lo, hi):
        for head in range(heads):
            at, to = token * token_stride + head * head_stride, (token * heads + head) * size
            for d in range(0, half, LANES):
                angle = token * size + d
                a, b = load(x, at + d), load(x, at + half + d)
                first = subtracted(multiplied(a, load(cos, angle)), multiplied(b, load(sin, angle)))
                second = added(multiplied(b, load(cos, angle + half)), multiplied(a, load(sin, angle + half)))
                store(out, to + d, first)
                store(out, to + half + d, second)


# Without counting references to their arguments, which is atomic.
_turn = compiled(_turn, _CACHE, _nrt=False)

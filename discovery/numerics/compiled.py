"""How the hot loops are compiled: one decorator for all of them. Imported only where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.kernels.compiled import Function, cache_folder, compiled

# All that is compiled by the decorators of this file, relative to the folder of discovery.
_SOURCES = (
    "numerics/compiled", "numerics/philox", "numerics/lanes", "pc/walk", "pc/skeleton", "pc/orientation",
    "pc/colliders",
    "orders/trees", "orders/climb", "orders/kernel", "orders/exhaustive", "orders/equivalence",
    "interventions/local", "interventions/kernel",
    "resampling/weighted", "matrix/em_loop", "graph/descendants", "effects/relation_sums",
)  # fmt: skip


def jit(function: Function) -> Function:
    """Compile for this processor, release the interpreter lock, keep the machine code on disk.

    Multiply and add may be fused; nothing else of IEEE arithmetic is given up."""
    return _compiled(function, {})


def jit_inner(function: Function) -> Function:
    """The same for a function that makes no array and no slice: without counting references to its arguments,
    which is atomic and costs several times what a short loop does."""
    return _compiled(function, {"_nrt": False})


def inlined(function: Function) -> Function:
    """The same, put into its caller where it is called: handing over ten arrays costs as much as a short
    loop."""
    return _compiled(function, {"_nrt": False, "forceinline": True})


def _compiled(function: Function, extra: dict[str, Any]) -> Function:
    return compiled(function, _CACHE, fastmath={"contract"}, **extra)


_CACHE = cache_folder(Path(__file__).parents[1], _SOURCES)
_LINE = 8  # doubles in a cache line


@jit
def aligned(size: int) -> FloatArray:
    """Room for `size` doubles that begins with a cache line: a load across two of them costs twice."""
    room = np.empty(size + _LINE)
    start = -(room.ctypes.data // 8) % _LINE
    return room[start : start + size]

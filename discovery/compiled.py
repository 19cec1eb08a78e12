"""How the hot loops are compiled: one decorator for all of them. Imported only where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.compiled import Function, cache_folder, compiled

FloatArray = NDArray[np.float64]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.int64]
EntryArray = NDArray[np.int32]
NodeArray = NDArray[np.uint32]  # unsigned: numba would ask each time whether a place counts from the end
WordArray = NDArray[np.uint64]

_SOURCES = ("compiled", "philox", "lanes", "walk", "skeleton", "orientation", "weighted", "descendants")


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


_CACHE = cache_folder(Path(__file__).parent, _SOURCES)
_LINE = 8  # doubles in a cache line


@jit
def aligned(size: int) -> FloatArray:
    """Room for `size` doubles that begins with a cache line: a load across two of them costs twice."""
    room = np.empty(size + _LINE)
    start = -(room.ctypes.data // 8) % _LINE
    return room[start : start + size]

"""How the hot loops are compiled: one decorator for all of them. Imported only where they are used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.int64]
EntryArray = NDArray[np.int32]
NodeArray = NDArray[np.uint32]  # unsigned: numba would ask each time whether a place counts from the end
WordArray = NDArray[np.uint64]

Function = TypeVar("Function", bound=Callable[..., Any])

_SOURCES = ("compiled", "philox", "lanes", "walk", "skeleton", "orientation", "weighted", "descendants")


def jit(function: Function) -> Function:
    """Compile for this processor, release the interpreter lock, keep the machine code on disk.

    Multiply and add may be fused; nothing else of IEEE arithmetic is given up. Where no folder for the
    cache can be written to (a read-only installation), it is compiled again in each process."""
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
    options: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"} | extra
    default = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_CACHE)
    try:
        return njit(cache=True, **options)(function)
    except (RuntimeError, OSError):
        return njit(**options)(function)
    finally:
        numba.config.CACHE_DIR = default


def _cache_folder() -> Path:
    """A folder of its own for each state of the sources.

    numba keeps machine code as long as the file of a function is unchanged; a function that was inlined
    from another file would go on being the old one."""
    here = Path(__file__).parent
    sources = b"".join((here / f"{name}.py").read_bytes() for name in _SOURCES)
    name = f"axiograph-{hashlib.sha256(sources).hexdigest()[:16]}"
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / name
    if os.access(here, os.W_OK):
        return here / "__pycache__" / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name


_CACHE = _cache_folder()
_LINE = 8  # doubles in a cache line


@jit
def aligned(size: int) -> FloatArray:
    """Room for `size` doubles that begins with a cache line: a load across two of them costs twice."""
    room = np.empty(size + _LINE)
    start = -(room.ctypes.data // 8) % _LINE
    return room[start : start + size]

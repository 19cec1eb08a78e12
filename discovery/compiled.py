"""How the hot loops are compiled: one decorator for all of them. Imported only where they are used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.int64]
EntryArray = NDArray[np.int32]
WordArray = NDArray[np.uint64]

# Argument types of numba: numbers, and arrays in row order of one, two or three dimensions.
INT, PAIR = types.int64, types.UniTuple(types.float64, 2)
INTS = types.int64[::1]
FLOATS2, FLOATS3 = types.float64[:, ::1], types.float64[:, :, ::1]
BYTES2, WORDS2, ENTRIES2 = types.uint8[:, ::1], types.uint64[:, ::1], types.int32[:, ::1]
Function = TypeVar("Function", bound=Callable[..., Any])

_SOURCES = ("compiled", "walk", "skeleton", "orientation", "weighted", "descendants")


def jit(function: Function) -> Function:
    """Compile for this processor, release the interpreter lock, keep the machine code on disk.

    Multiply and add may be fused; nothing else of IEEE arithmetic is given up. Where no folder for the
    cache can be written to (a read-only installation), it is compiled again in each process."""
    return _compiled(function, {})


def jit_inner(function: Function) -> Function:
    """The same for a function that makes no array and no slice: without counting references to its arguments,
    which is atomic and costs several times what a short loop does."""
    return _compiled(function, {"_nrt": False})


def jit_first(*argument_types: Any) -> Callable[[Function], Function]:
    """As `jit_inner`, but compiled (or read from disk) at once, for these argument types.

    numba optimises a function again inside every compiled function that calls it, which makes well-vectorised
    loops slower, here by half. Of several versions the one that was loaded first is called."""

    def compiled(function: Function) -> Function:
        return _compiled(function, {"_nrt": False}, (argument_types,))

    return compiled


def inlined(function: Function) -> Function:
    """The same, put into its caller where it is called."""
    return _compiled(function, {"_nrt": False, "inline": "always"})


def summing(function: Function) -> Function:
    """The same where sums may be made in any order, which lets them be made in a vector register."""
    return _compiled(function, {"_nrt": False, "fastmath": {"contract", "reassoc"}})


def _compiled(function: Function, extra: dict[str, Any], signature: tuple[Any, ...] = ()) -> Function:
    options: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"} | extra
    default = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_CACHE)
    try:
        return njit(*signature, cache=True, **options)(function)
    except (RuntimeError, OSError):
        return njit(*signature, **options)(function)
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

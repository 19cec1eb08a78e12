"""How hot loops are compiled: with numba, for this processor. Imported only where it is needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numba
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function, cache: Path, **options: Any) -> Function:
    """`function` as machine code, which releases the interpreter lock and is kept in `cache`.

    Where that cannot be written to (a read-only installation), it is compiled again in each process."""
    # Said, since a function that says nothing of it takes after whoever calls it first.
    options = {"nogil": True, "error_model": "numpy", "fastmath": False} | options
    default = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache)
    try:
        return njit(cache=True, **options)(function)
    except (RuntimeError, OSError):
        return njit(**options)(function)
    finally:
        numba.config.CACHE_DIR = default


def cache_folder(folder: Path, sources: Sequence[str]) -> Path:
    """A folder of its own for each state of the modules `sources`, paths without `.py` relative to `folder`.

    numba keeps machine code as long as the file of a function is unchanged; a function that was inlined
    from another file would go on being the old one."""
    text = b"".join((folder / f"{name}.py").read_bytes() for name in sources)
    name = f"axiograph-{hashlib.sha256(text).hexdigest()[:16]}"
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / name
    if os.access(folder, os.W_OK):
        return folder / "__pycache__" / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name


def memory_of(tensor: torch.Tensor) -> NDArray[Any]:
    """All that lies between the first and the last number of `tensor`, which is on the CPU, without a copy:
    compiled loops go through it by the tensor's strides."""
    span = 1 + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    numbers: NDArray[Any] = tensor.detach().as_strided((span if tensor.numel() else 0,), (1,)).numpy()
    return numbers

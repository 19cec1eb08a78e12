"""How many processor cores a model's products use."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

# Below it a second thread gains little on cores that are free (0.98 M: 645 answers/s against 578).
FEWEST_PARAMETERS = 5_000_000
# So many numbers that are gone through once are worth another thread of compiled loops.
PER_THREAD = 1 << 16


def limit_threads(model: Any) -> None:
    """As `limit_threads_for`, for a model that is loaded."""
    limit_threads_for(sum(weight.numel() for weight in model.parameters()), model.device.type)


def limit_threads_for(parameters: float, device: str) -> None:
    """One thread for a small model on a CPU, unless OMP_NUM_THREADS says how many.

    Threads wait for one another at the end of every product, spinning. Those of a small model do so thousands
    of times a second, and when another process takes one of their cores for a moment all of them stand still:
    on a busy machine two threads were seen to be fifty times slower than one (2.5 answers/s against 138)."""
    import torch

    if parameters < FEWEST_PARAMETERS and device == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def parameters_in(folder: Path) -> float:
    """How many parameters the weights in `folder` have, as their files say; infinitely many where none do."""
    from safetensors import safe_open

    found = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            found += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return found or math.inf


def in_threads(work: Callable[[int, int], None], most: int) -> None:
    """`work(i, n)` for every i below n, in a thread each: n is how many PyTorch uses, but at most `most`."""
    import torch

    threads = torch.get_num_threads()
    n = max(1, min(threads, most))
    others: list[Future[None]] = [_helpers(threads - 1).submit(work, i, n) for i in range(1, n)]
    work(0, n)
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _helpers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="axiograph-compiled")


# Threads do not go along with a fork.
os.register_at_fork(after_in_child=_helpers.cache_clear)

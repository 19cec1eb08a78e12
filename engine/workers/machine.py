"""What sampling takes of the machine: memory for caches, threads for a model's products; and its name."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

# Shares of the free memory: on the CPU others live there too, on a GPU passes need room beside the caches.
CPU_SHARE, GPU_SHARE = 0.4, 0.7
CPU_ROWS, GPU_ROWS = 192, 1024


class MemoryEndedError(Exception):
    """The device has no memory for what was asked of it."""


@dataclass(frozen=True)
class Budget:
    """`bytes` for caches; `rows`: more at once gain nothing on this kind of device."""

    bytes: int
    rows: int


def budget(devices: list[Any]) -> Budget:
    """What may be used now on the devices of a model (the scarcest counts for all of them)."""
    import torch

    gpus = [device for device in devices if device.type == "cuda"]
    if not gpus:
        return Budget(int(CPU_SHARE * available()), CPU_ROWS)
    free = []
    for device in gpus:
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free.append(torch.cuda.mem_get_info(device)[0] + held)
    return Budget(int(GPU_SHARE * min(free) * len(gpus)), GPU_ROWS)


def available() -> int:
    """Bytes of main memory that can be had without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@contextmanager
def memory_watched() -> Iterator[None]:
    """MemoryEndedError for the several ways in which PyTorch says that memory ran out."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise MemoryEndedError(" ".join(str(error).split())[:200]) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise MemoryEndedError(" ".join(str(error).split())[:200]) from error


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

    parameters = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            parameters += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return parameters or math.inf


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


def device_name(device: str) -> str:
    """A name that two machines with the same hardware share."""
    import torch

    if device.startswith("cuda"):
        return f"cuda {torch.cuda.get_device_name(torch.device(device))}"
    return device


def versions() -> str:
    """The libraries that decide what a model answers."""
    import torch
    import transformers

    return f"torch {torch.__version__}, transformers {transformers.__version__}"

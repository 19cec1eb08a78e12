"""Memory: how much of it sampling may take, and what is left when it runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    import os

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

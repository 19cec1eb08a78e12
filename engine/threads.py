"""How many processor cores a model's products use."""

from __future__ import annotations

import os
from typing import Any

# Below it a second thread gains little on cores that are free (0.98 M: 645 answers/s against 578).
FEWEST_PARAMETERS = 5_000_000


def limit_threads(model: Any) -> None:
    """One thread for a small model on a CPU, unless OMP_NUM_THREADS says how many.

    Threads wait for one another at the end of every product, spinning. Those of a small model do so thousands
    of times a second, and when another process takes one of their cores for a moment all of them stand still:
    on a busy machine two threads were seen to be fifty times slower than one (2.5 answers/s against 138)."""
    import torch

    small = sum(weight.numel() for weight in model.parameters()) < FEWEST_PARAMETERS
    if small and model.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)

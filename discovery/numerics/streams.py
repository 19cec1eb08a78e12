"""Random numbers that are the same whoever draws them, and in whatever order."""

from __future__ import annotations

import numpy as np


def child_rng(seed: int, *key: int) -> np.random.Generator:
    """The generator of child `key` of `seed`: that of `SeedSequence(seed).spawn(r + 1)[r]` for key (r,)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))

"""How the rows of a replicate are drawn (DESIGN 12): from its own child seed, whoever computes it."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from discovery.pc import MIN_ROWS
from engine.errors import InputError


class Resample(StrEnum):
    """How the rows of a replicate are drawn."""

    HALF_OF_ROLES = "half_of_roles"
    ROLES_WITH_REPLACEMENT = "roles_with_replacement"


def parse_resample(name: Resample | str) -> Resample:
    """The way of drawing called `name`; InputError where there is none."""
    try:
        return Resample(name)
    except ValueError:
        known = ", ".join(Resample)
        raise InputError("resample", f"one of {known}", f"{name!r}", "Choose one of them.") from None


def rows_in_replicate(n_roles: int, resample: Resample) -> int:
    """How many rows a replicate has; InputError where that is too few for PC."""
    rows = n_roles if resample is Resample.ROLES_WITH_REPLACEMENT else (n_roles + 1) // 2
    if rows < MIN_ROWS:
        raise InputError(
            "bootstrap",
            f"at least {MIN_ROWS} roles in a replicate",
            f"{rows} of {n_roles}",
            "Ask more roles.",
        )
    return rows


def draw_rows(n_roles: int, resample: Resample, rng: np.random.Generator) -> NDArray[np.int64]:
    """The row numbers of one replicate: half of the roles (rounded up), or n_roles with replacement."""
    rows = rows_in_replicate(n_roles, resample)
    return rng.choice(n_roles, size=rows, replace=resample is Resample.ROLES_WITH_REPLACEMENT)


def child_rng(seed: int, *key: int) -> np.random.Generator:
    """The generator of child `key` of `seed`: that of `SeedSequence(seed).spawn(r + 1)[r]` for key (r,)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))

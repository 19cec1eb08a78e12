"""The matrix that discovery works on: roles × values without gaps, and what was left out to get it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from discovery.pc import FloatArray
from engine.errors import InputError

KEY_COLUMNS = ("role", "condition", "split")
MAX_NULL_SHARE = 0.2


@dataclass(frozen=True)
class ProfileMatrix:
    """`data` [n_roles, n_values] without nulls, and the values and roles that were excluded for nulls."""

    data: FloatArray
    roles: tuple[str, ...]
    values: tuple[str, ...]
    null_values: dict[str, float]
    """Value → share of roles without a score, for the values excluded for it."""
    dropped_roles: tuple[str, ...]
    """Roles without a score on one of the remaining values."""


def profile_matrix(profiles: pl.DataFrame, max_null_share: float = MAX_NULL_SHARE) -> ProfileMatrix:
    """Profiles, one row per role, as a complete matrix.

    The rule: a value that is null for more than `max_null_share` of the roles is excluded first; then
    every role with a null left is dropped (listwise deletion). Both are named in the result.

    Raises InputError for a missing `role` column, a role with two rows, no value column, a value column
    that is not numeric, an infinite or NaN score, and where no role is left.
    """
    names = value_columns(profiles)
    _check_roles(profiles)
    shares = {name: profiles[name].null_count() / max(1, profiles.height) for name in names}
    null_values = {name: share for name, share in shares.items() if share > max_null_share}
    kept = [name for name in names if name not in null_values]
    complete = profiles.drop_nulls(kept) if kept else profiles.clear()
    if complete.is_empty():
        raise InputError(
            "profiles",
            "roles with a score on every value",
            f"none of {profiles.height} (values left out as mostly null: {len(null_values)} of {len(names)})",
            "Look at the refusal and unparsed rates of the run.",
        )
    remaining = set(complete["role"])
    data = np.ascontiguousarray(complete.select(kept).cast(pl.Float64).to_numpy(), dtype=np.float64)
    return ProfileMatrix(
        data=data,
        roles=tuple(complete["role"]),
        values=tuple(kept),
        null_values=null_values,
        dropped_roles=tuple(role for role in profiles["role"] if role not in remaining),
    )


def value_columns(profiles: pl.DataFrame) -> list[str]:
    """The value columns of a profiles table, in order. Raises InputError for those that hold no scores."""
    if "role" not in profiles.columns:
        raise InputError("profiles", "a column 'role'", f"{profiles.columns[:5]}", "Pass the profiles table.")
    names = [name for name in profiles.columns if name not in KEY_COLUMNS]
    if not names:
        raise InputError("profiles", "a column per value", "none", "Score the run first.")
    for name in names:
        dtype = profiles.schema[name]
        if not (dtype.is_numeric() or dtype == pl.Null):
            raise InputError(f"profiles, column {name!r}", "numbers", f"{dtype}", "Pass scores only.")
        if dtype.is_float() and profiles[name].is_finite().not_().any():
            raise InputError(
                f"profiles, column {name!r}",
                "finite scores or null",
                "NaN or infinity",
                "Missing scores are null.",
            )
    return names


def _check_roles(profiles: pl.DataFrame) -> None:
    repeated = profiles["role"].value_counts().filter(pl.col("count") > 1).sort("role")
    if repeated.height:
        raise InputError(
            "profiles",
            "one row per role",
            f"{repeated.height} roles with several, for example {repeated['role'][0]!r}",
            "Pass the rows of one condition only.",
        )

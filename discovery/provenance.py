"""Where the rows of a contrast come from: like is compared with like (DESIGN 3)."""

from __future__ import annotations

import numpy as np
import polars as pl

from discovery.matrix import value_columns
from engine.errors import InputError, RunError
from engine.identity import digest, digest_json

PROVENANCE = ("backend", "dtype", "device")


def check_provenance(profiles: pl.DataFrame, provenance: pl.DataFrame, baseline: str) -> None:
    """Raise RunError unless every role's rows under a condition and under the baseline come from one and
    the same backend, dtype and device; InputError where a profile has no provenance."""
    missing = [name for name in ("role", "condition", *PROVENANCE) if name not in provenance.columns]
    if missing:
        raise InputError(
            "provenance", f"columns {missing}", "none of them", "Take it from the response store."
        )
    keys = profiles.select("role", "condition")
    worker = pl.concat_str(PROVENANCE, separator="/", ignore_nulls=False).fill_null("(unknown)")
    used = keys.join(provenance.with_columns(worker=worker), on=["role", "condition"], how="left")
    unknown = used.filter(pl.col("worker").is_null())
    if unknown.height:
        role, condition = unknown.select("role", "condition").row(0)
        raise InputError(
            f"provenance of role {role!r} under {condition!r}",
            "backend, dtype and device of its rows",
            "none",
            "Pass the provenance of every profile.",
        )
    base = used.filter(pl.col("condition") == baseline).select("role", base="worker")
    mixed = used.join(base, on="role").filter(pl.col("worker") != pl.col("base"))
    if mixed.height:
        row = mixed.sort("condition", "role").row(0, named=True)
        raise RunError(
            f"contrast of {row['condition']!r} with {baseline!r}, role {row['role']!r}",
            "answers of one backend, dtype and device",
            f"{row['worker']} and {row['base']}",
            "Sample the baseline through the same worker as the condition.",
        )


def profiles_digest(profiles: pl.DataFrame) -> str:
    """A digest of what a table of profiles says: its roles, conditions, values and scores, whatever the order
    of its rows. It names the table that a graph was made from. Raises InputError as `value_columns` does."""
    keys = [name for name in ("role", "condition") if name in profiles.columns]
    names = value_columns(profiles)
    ordered = profiles.sort(keys)
    scores = ordered.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()
    head = {"values": names, "keys": keys, "rows": ordered.select(keys).rows()}
    return digest(digest_json(head), np.ascontiguousarray(scores).tobytes()).hex()

"""Paired differences: the same role under a condition and under the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from discovery.draws import ROUNDING
from discovery.graph import CausalGraph
from discovery.pc import FloatArray
from engine.errors import InputError

BASELINE = "baseline"


class Pairing:
    """The differences of every condition to the baseline, made when asked for: all at once could fill the
    memory. `profiles`: one row per role and condition."""

    def __init__(self, profiles: pl.DataFrame, baseline: str, names: Sequence[str]) -> None:
        scores = [pl.col(name).cast(pl.Float64) for name in names]
        before = profiles.filter(pl.col("condition") == baseline).select("role", *scores).sort("role")
        places = before.select("role").with_row_index("place")
        rest = profiles.filter(pl.col("condition") != baseline).select("role", "condition", *scores)
        parts = rest.join(places, on="role", how="left", maintain_order="left").partition_by(
            "condition", as_dict=True, include_key=False, maintain_order=True
        )
        self.names = tuple(names)
        self.conditions = [str(condition) for (condition,) in parts]
        self._parts = {str(condition): part for (condition,), part in parts.items()}
        self._before: FloatArray = before.select(names).to_numpy()
        if not self.conditions:
            raise InputError(
                "profiles",
                f"a condition besides {baseline!r}",
                "none",
                "Add steering or a hint to the study.",
            )

    @property
    def roles(self) -> int:
        """How many roles the baseline has."""
        return len(self._before)

    def differences(self, condition: str) -> FloatArray:
        """[n_roles, n_values] condition − baseline, a row per role of the baseline, NaN without a pair."""
        part = self._parts[condition].drop_nulls("place")
        places = part["place"].to_numpy()
        difference = np.full(self._before.shape, np.nan)
        difference[places] = part.select(self.names).to_numpy() - self._before[places]
        return np.where(np.abs(difference) <= ROUNDING, 0.0, difference)


def select_roles(profiles: pl.DataFrame, split: str | None, baseline: str) -> pl.DataFrame:
    """The rows of one split (None: all). InputError where there is no baseline row, or two of a role."""
    for name in ("condition", *(() if split is None else ("split",))):
        if name not in profiles.columns:
            raise InputError("profiles", f"a column {name!r}", "none", "Pass the profiles table.")
    selected = profiles if split is None else profiles.filter(pl.col("split") == split)
    if not (selected["condition"] == baseline).any():
        raise InputError(
            "profiles",
            f"rows of condition {baseline!r}" + ("" if split is None else f" in split {split!r}"),
            "none",
            "Run the baseline on these roles, or test on all roles.",
        )
    repeated = selected.filter(pl.struct("role", "condition").is_duplicated())
    if repeated.height:
        role, condition = repeated.select("role", "condition").row(0)
        raise InputError(
            "profiles",
            "one row per role and condition",
            f"several of {role!r}, {condition!r}",
            "Score again.",
        )
    return selected


def check_graph(graph: CausalGraph, names: Sequence[str]) -> None:
    """InputError where the graph has a value that the profiles have not."""
    unknown = [name for name in graph.names if name not in names]
    if unknown:
        raise InputError(
            "graph",
            "values that the profiles have",
            f"{', '.join(map(repr, unknown[:5]))}",
            "Use equal names.",
        )


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError("level", "a level between 0 and 1", f"{level}", "0.05 is usual.")

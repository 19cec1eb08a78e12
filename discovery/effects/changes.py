"""Which values every condition changed: differences of the same role under a condition and under the
baseline, with intervals and tests over roles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.arrays import BoolArray, CountArray, FloatArray
from axiograph.discovery.numerics.intervals import ROUNDING, Draws, RoleDraws
from axiograph.engine.errors import InputError

BASELINE = "baseline"
MIN_PAIRS = 6  # with fewer, not even the exact sign test can reach 0.05
_MAX_RESAMPLES = 20_000


class Pairing:
    """The differences of every condition to the baseline, made when asked for: all at once could fill the
    memory. `profiles`: one row per role and condition."""

    def __init__(self, profiles: pl.DataFrame, baseline: str, names: Sequence[str]) -> None:
        scores = [pl.col(name).cast(pl.Float64) for name in names]
        before = profiles.filter(pl.col("condition") == baseline).select("role", *scores).sort("role")
        numbered = before.select("role").with_row_index("number")
        rest = profiles.filter(pl.col("condition") != baseline).select("role", "condition", *scores)
        parts = rest.join(numbered, on="role", how="left", maintain_order="left").partition_by(
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
        part = self._parts[condition].drop_nulls("number")
        numbers = part["number"].to_numpy()
        difference = np.full(self._before.shape, np.nan)
        difference[numbers] = part.select(self.names).to_numpy() - self._before[numbers]
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


@dataclass(frozen=True, eq=False)
class Movement:
    """What one condition did to n values: `differences` [n_roles, n], NaN without a pair; `tested` and
    `changed` [n]; `needed_up` and `needed_down` [n], how far above or below 0 a mean difference must lie to
    count as changed, NaN for untested values."""

    condition: str
    differences: FloatArray
    tested: BoolArray
    changed: BoolArray
    needed_up: FloatArray
    needed_down: FloatArray


@dataclass(frozen=True, eq=False)
class Changes:
    """Arrays [n_conditions, n_values] of the tests; `table` has them as rows, see discovery.effects.testing.

    `p` is NaN where there are fewer than two pairs; `changed` is false there. `cut_low`, `cut_high`: the
    interval at the level at which Benjamini–Hochberg rejects, for conditions in which anything changed."""

    pairing: Pairing
    draws: RoleDraws
    pairs: CountArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    p_adjusted: FloatArray
    changed: BoolArray
    cut_low: FloatArray
    cut_high: FloatArray

    def movements(self, columns: list[int]) -> Iterator[tuple[str, Movement | None]]:
        """Every condition and what it did to the values in `columns`, None where none of these changed."""
        for c, condition in enumerate(self.pairing.conditions):
            if not self.changed[c, columns].any():
                yield condition, None
                continue
            mean = self.mean[c, columns]
            yield (
                condition,
                Movement(
                    condition=condition,
                    differences=self.pairing.differences(condition)[:, columns],
                    tested=np.isfinite(self.p[c, columns]),
                    changed=self.changed[c, columns],
                    needed_up=mean - self.cut_low[c, columns],
                    needed_down=self.cut_high[c, columns] - mean,
                ),
            )

    def table(self) -> pl.DataFrame:
        """A row per condition and value, nulls for what is not known."""
        conditions, names = self.pairing.conditions, self.pairing.names
        tested, changed = np.isfinite(self.p).ravel(), self.changed.ravel()
        c, k = (index.ravel() for index in np.indices(self.p.shape))
        columns = {
            "condition": pl.Series(conditions, dtype=pl.String).gather(c),
            "value": pl.Series(names, dtype=pl.String).gather(k),
            "pairs": pl.Series(self.pairs.ravel()),
        }
        ends = {"adjusted_low": self.cut_low, "adjusted_high": self.cut_high}
        numbers = {"mean_difference": self.mean, "low": self.low, "high": self.high, "p": self.p}
        for name, array in numbers.items():
            columns[name] = pl.Series(array.ravel(), nan_to_null=True)
        columns["few_pairs"] = pl.Series(self.pairs.ravel() < MIN_PAIRS)
        columns["p_adjusted"] = pl.Series(self.p_adjusted.ravel(), nan_to_null=True)
        columns["changed"] = pl.Series(changed).set(pl.Series(~tested), None)
        for name, array in ends.items():
            columns[name] = pl.Series(np.where(changed, array.ravel(), np.nan), nan_to_null=True)
        direction = pl.when(pl.col("changed")).then(
            pl.when(pl.col("mean_difference") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))
        )
        return pl.DataFrame(columns).with_columns(direction=direction)


def find_changes(pairing: Pairing, level: float, resamples: int | None, seed: int) -> Changes:
    """Test every condition and value; `resamples` None takes as many as the tests need."""
    shape = (len(pairing.conditions), len(pairing.names))
    draws = RoleDraws.of(pairing.roles, draw_count(resamples, shape[0] * shape[1], level), seed)
    pairs = np.zeros(shape, np.int64)
    mean, low, high, p, cut_low, cut_high = np.full((6, *shape), np.nan)
    for c, condition in enumerate(pairing.conditions):
        differences = pairing.differences(condition)
        pairs[c] = (~np.isnan(differences)).sum(axis=0)
        any_pair, enough = pairs[c] > 0, pairs[c] >= 2
        mean[c, any_pair] = np.nanmean(differences[:, any_pair], axis=0)
        drawn = Draws.of(draws.means(differences), level)
        low[c], high[c] = (np.where(enough, end, np.nan) for end in drawn.interval(level))
        p[c] = np.where(enough, drawn.p(), np.nan)
    p_adjusted, changed = benjamini_hochberg(p, level)
    cut = level * float(changed.sum()) / max(1, int(np.isfinite(p).sum()))
    # A second look at the draws of these conditions only: to keep the draws of all would fill the memory.
    for c, condition in enumerate(pairing.conditions):
        if not changed[c].any():
            continue
        drawn = Draws.of(draws.means(pairing.differences(condition)), level)
        cut_low[c], cut_high[c] = (np.where(np.isfinite(p[c]), end, np.nan) for end in drawn.interval(cut))
    return Changes(pairing, draws, pairs, mean, low, high, p, p_adjusted, changed, cut_low, cut_high)


def benjamini_hochberg(p: FloatArray, level: float) -> tuple[FloatArray, BoolArray]:
    """Adjusted p and which are rejected, in the shape of `p`; a NaN is no test: NaN and false.

    Benjamini & Hochberg 1995, JRSS B 57; the family is all of `p`."""
    from statsmodels.stats.multitest import multipletests

    adjusted, rejected = np.full(p.shape, np.nan), np.zeros(p.shape, bool)
    tested = np.isfinite(p)
    if tested.any():
        rejected[tested], adjusted[tested], *_ = multipletests(p[tested], alpha=level, method="fdr_bh")
    return adjusted, rejected


def draw_count(resamples: int | None, tests: int, level: float) -> int:
    """Enough draws that the smallest p can pass Benjamini–Hochberg alone, within reason."""
    if resamples is None:
        return int(np.clip(np.ceil(4 * tests / level), 2000, _MAX_RESAMPLES))
    if resamples < 1:
        raise InputError("resamples", "at least 1", f"{resamples}", "1000 or more are usual.")
    return resamples

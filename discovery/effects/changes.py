"""Which values every condition changed: differences of the same role under a condition and under the
baseline, with intervals and tests over roles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.effects.moderation import MeanTests, Prior, moments
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.arrays import BoolArray, CountArray, FloatArray
from axiograph.discovery.numerics.intervals import ROUNDING
from axiograph.engine.errors import InputError

BASELINE = "baseline"
MIN_PAIRS = 6  # with fewer, not even the exact sign test can reach 0.05: nothing is tested
_EARLIER = (
    "The test is that of an earlier version, which finds false changes with few roles (4 in 128 contrasts "
    "of 8 roles): run `axiograph effects` again."
)


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
    `changed` [n]; `needed` [n], how far from 0 a mean difference must lie to count as changed, NaN for
    untested values."""

    condition: str
    differences: FloatArray
    tested: BoolArray
    changed: BoolArray
    needed: FloatArray


@dataclass(frozen=True, eq=False)
class Changes:
    """Arrays [n_conditions, n_values] of the tests; `table` has them as rows, see discovery.effects.testing.

    `tests.p` is NaN where there are fewer than MIN_PAIRS pairs; `changed` is false there, and elsewhere where
    p ≤ `cut`. `prior`: what the tests know of variances from all contrasts."""

    pairing: Pairing
    level: float
    pairs: CountArray
    tests: MeanTests
    prior: Prior
    p_adjusted: FloatArray
    changed: BoolArray
    cut: float

    @property
    def p(self) -> FloatArray:
        return self.tests.p

    def movements(self, columns: list[int]) -> Iterator[tuple[str, Movement | None]]:
        """Every condition and what it did to the values in `columns`, None where none of these changed."""
        reach = self.tests.reach(self.cut)
        for c, condition in enumerate(self.pairing.conditions):
            if not self.changed[c, columns].any():
                yield condition, None
                continue
            yield (
                condition,
                Movement(
                    condition=condition,
                    differences=self.pairing.differences(condition)[:, columns],
                    tested=np.isfinite(self.p[c, columns]),
                    changed=self.changed[c, columns],
                    needed=reach[c, columns],
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
        low, high = self._ends(self.level)
        numbers = {"mean_difference": self.tests.mean, "low": low, "high": high, "p": self.p}
        for name, array in numbers.items():
            columns[name] = pl.Series(array.ravel(), nan_to_null=True)
        columns["few_pairs"] = pl.Series(self.pairs.ravel() < MIN_PAIRS)
        columns["p_adjusted"] = pl.Series(self.p_adjusted.ravel(), nan_to_null=True)
        columns["changed"] = pl.Series(changed).set(pl.Series(~tested), None)
        for name, array in zip(("adjusted_low", "adjusted_high"), self._ends(self.cut), strict=True):
            columns[name] = pl.Series(np.where(changed, array.ravel(), np.nan), nan_to_null=True)
        direction = pl.when(pl.col("changed")).then(
            pl.when(pl.col("mean_difference") > 0).then(pl.lit("up")).otherwise(pl.lit("down"))
        )
        return pl.DataFrame(columns).with_columns(direction=direction)

    def _ends(self, level: float) -> tuple[FloatArray, FloatArray]:
        """Of the intervals at 1 − level; NaN where none is known."""
        reach = self.tests.reach(level)
        reach = np.where(np.isfinite(reach), reach, np.nan)
        return self.tests.mean - reach, self.tests.mean + reach


def find_changes(pairing: Pairing, level: float) -> Changes:
    """Test every condition and value."""
    shape = (len(pairing.conditions), len(pairing.names))
    pairs = np.zeros(shape, np.int64)
    mean, variance = np.full((2, *shape), np.nan)
    for c, condition in enumerate(pairing.conditions):
        pairs[c], mean[c], variance[c] = moments(pairing.differences(condition))
    tests, prior = MeanTests.of(mean, variance, pairs, MIN_PAIRS)
    return Changes(pairing, level, pairs, tests, prior, *two_stages(tests.p, level))


def notes_on_test(changes: pl.DataFrame, *, earlier: bool) -> list[str]:
    """What is to be said of the test behind a table of `changes`. `earlier`: one of the version whose test
    was a percentile bootstrap."""
    if earlier:
        return [_EARLIER]
    few = int(changes["few_pairs"].sum())
    return [f"{few} contrasts have fewer than {MIN_PAIRS} roles with both scores: not tested."] if few else []


def negative_control_note(changes: pl.DataFrame, controls: Sequence[str]) -> list[str]:
    """How the conditions `controls`, in which nothing is steered, came out in a table of `changes`."""
    own = changes.filter(pl.col("condition").is_in(list(controls)) & pl.col("p").is_not_null())
    if own.is_empty():
        return []
    changed = own.filter(pl.col("changed")).height
    return [f"Negative control (strength 0, asked like any other): {changed} of {own.height} changed."]


def two_stages(p: FloatArray, level: float) -> tuple[FloatArray, BoolArray, float]:
    """Adjusted p, which are rejected (those p ≤ cut), and the cut; a NaN is no test: NaN and false.

    Benjamini, Krieger & Yekutieli 2006, Biometrika 93, 491, definition 6: Benjamini–Hochberg at q′ =
    level / (1 + level) over all m tests; where it rejects r₁, again at q′ m / (m − r₁), since so many are no
    longer taken for nulls. With R rejected the cut is q′ R / (m − r₁), and at most `level`: where most of a
    family is moved the procedure may reject above it, and what is called changed would then have 0 in its own
    interval."""
    tests, first = int(np.isfinite(p).sum()), level / (1 + level)
    plain, at_first = benjamini_hochberg(p, first)
    nulls = max(1, tests - int(at_first.sum()))
    with np.errstate(invalid="ignore"):
        adjusted = np.minimum(1.0, plain * (1 + level) * nulls / max(1, tests))
        cut = min(level, first * float((adjusted <= level).sum()) / nulls)
        adjusted = np.maximum(p, adjusted)
        rejected = adjusted <= level
    return adjusted, rejected, cut


def benjamini_hochberg(p: FloatArray, level: float) -> tuple[FloatArray, BoolArray]:
    """Adjusted p and which are rejected, in the shape of `p`; a NaN is no test: NaN and false.

    Benjamini & Hochberg 1995, JRSS B 57; the family is all of `p`."""
    from statsmodels.stats.multitest import multipletests

    adjusted, rejected = np.full(p.shape, np.nan), np.zeros(p.shape, bool)
    tested = np.isfinite(p)
    if tested.any():
        rejected[tested], adjusted[tested], *_ = multipletests(p[tested], alpha=level, method="fdr_bh")
    return adjusted, rejected

"""How well a graph says what a lever does to other values, when it was made without that lever.

A lever is left out with all of its strengths and controls, the graph is made of the roles and of the other
experiments, and from how far the lever moved its own value follows how far the others should have moved: by
the total effects of that graph. The lever's own value is the one that it moved most, in standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from axiograph.discovery.interventions.draws import JointDraws
from axiograph.discovery.interventions.experiments import LEAST_ERROR
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.orders.constraints import Constraints
from axiograph.discovery.pc.inputs import SearchInput

SCHEMA = dict.fromkeys(("condition", "lever", "own_value", "value"), pl.String) | dict.fromkeys(
    ("measured", "predicted", "low", "high", "error", "observational"), pl.Float64
)
MIN_LEVERS = 3
LEVEL = 0.05  # of the intervals of predictions


class Ratio(NamedTuple):
    """A ratio of sums, and its standard error over levers; NaN where that is not known."""

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """`table`: a row per condition and value but the lever's own: condition, lever, own_value, value,
    measured and predicted (in standard deviations of the roles), low and high (where 95 % of what is
    measured should lie by the prediction; null without replicates), error (standard error of what was
    measured), observational (predicted by the graph of the roles alone).

    Errors are over levers: a jackknife of ratios of sums (Efron & Stein 1981, Ann. Stat. 9, 586)."""

    table: pl.DataFrame

    @property
    def levers(self) -> int:
        """How many were left out, each once."""
        return self.table["lever"].n_unique()

    @property
    def r_squared(self) -> float | None:
        """1 − Σ (measured − predicted)² / Σ measured²: 0 is what "nothing moves" gets. None where nothing is
        measured."""
        missed = self._missed("predicted")
        return None if missed is None else 1 - missed.value

    @property
    def observational(self) -> float | None:
        """That of the graph of the roles alone."""
        missed = self._missed("observational")
        return None if missed is None else 1 - missed.value

    @property
    def least(self) -> float | None:
        """`r_squared` less two of its standard errors: above 0, what levers do is predicted
        (benchmarks/results/prediction.md: how often that is said by chance). None with fewer than MIN_LEVERS
        levers, or where all of the effects are one lever's."""
        missed = self._missed("predicted")
        if missed is None or self.levers < MIN_LEVERS or not np.isfinite(missed.error):
            return None
        return 1 - missed.value - 2 * missed.error

    @property
    def slope(self) -> Ratio | None:
        """Of measured on predicted, through 0; None where nothing is predicted, or with one lever."""
        found = self._ratio(pl.col("measured") * pl.col("predicted"), pl.col("predicted") ** 2)
        return found if found is not None and np.isfinite(found.error) else None

    @property
    def coverage(self) -> tuple[int, int] | None:
        """(effects within the interval of their prediction, of how many); None without intervals."""
        known = self.table.drop_nulls(["low", "high"]) if "low" in self.table.columns else self.table.clear()
        if known.is_empty():
            return None
        within = known.filter(pl.col("measured").is_between("low", "high"))
        return within.height, known.height

    def document(self) -> dict[str, float | int | None]:
        """As JSON types."""
        slope, coverage = self.slope, self.coverage
        return {
            "levers": self.levers,
            "r_squared": self.r_squared,
            "r_squared_least": self.least,
            "observational": self.observational,
            "slope": None if slope is None else slope.value,
            "slope_error": None if slope is None else slope.error,
            "within_interval": None if coverage is None else coverage[0],
            "intervals": None if coverage is None else coverage[1],
        }

    def in_words(self) -> str:
        """In a sentence or two."""
        levers, explained, least, alone = self.levers, self.r_squared, self.least, self.observational
        if explained is None or least is None:
            return (
                f"Not known: to leave each lever out and predict it from the others, {MIN_LEVERS} levers are "
                f"needed; there are {levers or 'fewer than two'}."
            )
        rest = "" if alone is None else f" (the graph of the roles alone: {alone:.2f})"
        head = (
            f"Each of {levers} levers left out in turn, the graph explains {explained:.2f} of what they did"
        )
        if least <= 0:
            return (
                f"{head} to other values{rest}. Chance may do as well: the graph does not tell what steering "
                "does."
            )
        slope = self.slope
        measured = (
            ""
            if slope is None
            else f" Measured = {slope.value:.2f} × predicted (standard error over levers {slope.error:.2f})."
        )
        return f"{head} to other values, by R²{rest}.{measured}{self._coverage_in_words()}"

    def _coverage_in_words(self) -> str:
        coverage = self.coverage
        if coverage is None:
            return ""
        within, known = coverage
        return f" {within} of {known} effects lie in the 95 % interval of their prediction."

    def _missed(self, column: str) -> Ratio | None:
        """Σ (measured − column)² / Σ measured²."""
        return self._ratio((pl.col("measured") - pl.col(column)) ** 2, pl.col("measured") ** 2)

    def _ratio(self, top: pl.Expr, bottom: pl.Expr) -> Ratio | None:
        """Σ top / Σ bottom; None where the bottom is 0."""
        sums = self.table.group_by("lever", maintain_order=True).agg(top=top.sum(), bottom=bottom.sum())
        tops, bottoms = sums["top"].to_numpy(), sums["bottom"].to_numpy()
        if not bottoms.sum() > 0:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            without = (tops.sum() - tops) / (bottoms.sum() - bottoms)
            spread = float(((without - without.mean()) ** 2).sum()) if len(sums) > 1 else np.nan
            error = float(np.sqrt((len(sums) - 1) / len(sums) * spread))
        return Ratio(float(tops.sum() / bottoms.sum()), error)


def predict_left_out(
    search: InterventionalSearch,
    inputs: SearchInput,
    told: Constraints,
    draws: Mapping[str, JointDraws] | None = None,
) -> Prediction:
    """Every lever of `search.experiments` left out once; `inputs`: the roles, whose columns the graph is
    over; `draws`: of every lever, for intervals. No row where there is but one lever."""
    experiments = search.experiments
    whole = search.evidence(inputs)
    roles_only = observational_totals(search, inputs, told)
    parts = []
    for lever in dict.fromkeys(experiments.levers):
        ours = experiments.of(lever)
        if ours.all():
            break
        totals = replace(search, experiments=experiments.without(lever)).joint(inputs, told).total_effects
        effects, errors = whole.effects.T[ours], whole.errors.T[ours] + whole.shared
        judged = _Judged(search, inputs.names, own_value(effects, errors), totals)
        drawn = None if draws is None else draws[lever].totals
        for row, c in enumerate(np.flatnonzero(ours)):
            parts.append(judged.rows(int(c), effects[row], errors[row], roles_only, drawn))
    return Prediction(pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA))


class _Judged(NamedTuple):
    """A lever that moved the value of number `own`, and the total effects [p, p] of the graph without it."""

    search: InterventionalSearch
    names: tuple[str, ...]
    own: int
    totals: FloatArray

    def rows(
        self,
        condition: int,
        effects: FloatArray,
        errors: FloatArray,
        roles_only: FloatArray,
        drawn: FloatArray | None,
    ) -> pl.DataFrame:
        """Of one of its conditions: what moved [p] with which error variances [p], what roles alone say
        [p, p], totals of replicates [U, p, p]."""
        own, moved = self.own, effects[self.own]
        others = [value for value in range(len(self.names)) if value != own]
        predicted = moved * self.totals[own, others]
        reach = np.full(len(others), np.nan)
        if drawn is not None and len(drawn) > 1:
            graph = moved**2 * drawn[:, own, others].var(axis=0, ddof=1)
            reach = self._reach(condition, others, graph)
        return pl.DataFrame(
            {
                "condition": self.search.experiments.conditions[condition],
                "lever": self.search.experiments.levers[condition],
                "own_value": self.names[own],
                "value": [self.names[value] for value in others],
                "measured": effects[others],
                "predicted": predicted,
                "low": pl.Series(predicted - reach, nan_to_null=True),
                "high": pl.Series(predicted + reach, nan_to_null=True),
                "error": np.sqrt(errors[others]),
                "observational": moved * roles_only[own, others],
            },
            schema=SCHEMA,
        )

    def _reach(self, condition: int, others: list[int], graph: FloatArray) -> FloatArray:
        """[others]: half of the interval: the `graph`'s variance; the mean over roles of moved − predicted,
        role by role, by Student's t; and how far effects are additive."""
        from scipy.stats import norm, t

        experiments = self.search.experiments
        columns = [experiments.names.index(name) for name in self.names]
        scale = np.array([self.search.scale[name] for name in self.names])
        differences = experiments.differences[condition][:, columns] / scale
        left = differences[:, others] - differences[:, [self.own]] * self.totals[self.own, others]
        count = np.isfinite(left).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.nanstd(left, axis=0, ddof=1) / np.sqrt(count)
            wide = t.ppf(1 - LEVEL / 2, np.maximum(count - 1, 1)) / norm.ppf(1 - LEVEL / 2)
        return np.asarray(norm.ppf(1 - LEVEL / 2) * np.sqrt(graph + LEAST_ERROR**2 + (wide * error) ** 2))


def own_value(effects: FloatArray, errors: FloatArray) -> int:
    """The number of the value that the conditions of a lever, [m, p], moved most, in standard errors."""
    return int(np.argmax((effects**2 / errors).sum(axis=0)))


def observational_totals(search: InterventionalSearch, inputs: SearchInput, told: Constraints) -> FloatArray:
    """[p, p] total effects of the best DAG of the roles alone. Its arrows within the class are not told by
    the data: here they are as the search happens to draw them."""
    none = search.experiments.only(np.zeros(len(search.experiments.conditions), dtype=bool))
    return replace(search, experiments=none).joint(inputs, told).total_effects

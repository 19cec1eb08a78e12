"""How well a graph says what a lever does to other values, when it was made without that lever.

A lever is left out with all of its strengths and controls, the graph is made of the roles and of the other
experiments, and from how far the lever moved its own value follows how far the others should have moved: by
the total effects of that graph. The lever's own value is the one that it moved most, in standard errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.orders.constraints import Constraints
from axiograph.discovery.pc.inputs import SearchInput

SCHEMA = dict.fromkeys(("condition", "lever", "own_value", "value"), pl.String) | dict.fromkeys(
    ("measured", "predicted", "error", "observational"), pl.Float64
)


MIN_LEVERS = 3


@dataclass(frozen=True, eq=False)
class Prediction:
    """`table`: a row per condition and value but the lever's own: condition, lever, own_value, value,
    measured and predicted (in standard deviations of the roles), error (standard error of what was
    measured), observational (predicted by the graph of the roles alone).

    `r_squared`: 1 − Σ (measured − predicted)² / Σ measured², so that 0 is what "nothing moves" gets;
    `observational`: that of the graph of the roles alone; `slope`: of measured on predicted, through 0, with
    `slope_error`, over levers. `levers`: how many were left out, each once."""

    table: pl.DataFrame

    @property
    def levers(self) -> int:
        return self.table["lever"].n_unique()

    @property
    def r_squared(self) -> float | None:
        return _explained(self.table, "predicted")

    @property
    def observational(self) -> float | None:
        return _explained(self.table, "observational")

    @property
    def least(self) -> float | None:
        """The R² that two standard errors below are left of, by levers left out of it one at a time
        (jackknife): above 0, what a lever does is predicted. None with fewer than three levers."""
        if self.r_squared is None or self.levers < MIN_LEVERS:
            return None
        sums = self.table.group_by("lever", maintain_order=True).agg(
            whole=(pl.col("measured") ** 2).sum(),
            missed=((pl.col("measured") - pl.col("predicted")) ** 2).sum(),
        )
        whole, missed = sums["whole"].to_numpy(), sums["missed"].to_numpy()
        without = 1 - (missed.sum() - missed) / (whole.sum() - whole)
        k = len(sums)
        return float(self.r_squared - 2 * np.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum()))

    def document(self) -> dict[str, float | int | None]:
        """As JSON types."""
        slope = self.slope
        return {
            "levers": self.levers,
            "r_squared": self.r_squared,
            "r_squared_least": self.least,
            "observational": self.observational,
            "slope": None if slope is None else slope[0],
            "slope_error": None if slope is None else slope[1],
        }

    @property
    def slope(self) -> tuple[float, float] | None:
        """And its standard error, from levers left out one at a time (jackknife); None where nothing is
        predicted."""
        sums = self.table.group_by("lever", maintain_order=True).agg(
            xy=(pl.col("measured") * pl.col("predicted")).sum(), xx=(pl.col("predicted") ** 2).sum()
        )
        xy, xx = sums["xy"].to_numpy(), sums["xx"].to_numpy()
        others = xx.sum() - xx
        if len(sums) < 2 or not (others > 0).all():
            return None
        without = (xy.sum() - xy) / others
        k = len(sums)
        error = np.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum())
        return float(xy.sum() / xx.sum()), float(error)


def predict_left_out(search: InterventionalSearch, inputs: SearchInput, told: Constraints) -> Prediction:
    """Every lever of `search.experiments` left out once; `inputs`: the roles, whose columns the graph is
    over. No row where there is but one lever."""
    experiments, names = search.experiments, inputs.names
    whole = search.evidence(inputs)
    roles_only = observational_totals(search, inputs, told)
    parts = []
    for lever in dict.fromkeys(experiments.levers):
        ours = np.array([name == lever for name in experiments.levers], dtype=bool)
        if ours.all():
            break
        graph = replace(search, experiments=experiments.only(~ours)).joint(inputs, told)
        effects, errors = whole.effects.T[ours], whole.errors.T[ours] + whole.shared
        own = own_value(effects, errors)
        others = [value for value in range(len(names)) if value != own]
        for row, c in enumerate(np.flatnonzero(ours)):
            moved = effects[row, own]
            parts.append(
                pl.DataFrame(
                    {
                        "condition": experiments.conditions[c],
                        "lever": lever,
                        "own_value": names[own],
                        "value": [names[value] for value in others],
                        "measured": effects[row, others],
                        "predicted": moved * graph.total_effects[own, others],
                        "error": np.sqrt(errors[row, others]),
                        "observational": moved * roles_only[own, others],
                    }
                )
            )
    return Prediction(pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA))


def own_value(effects: FloatArray, errors: FloatArray) -> int:
    """The number of the value that the conditions of a lever, [m, p], moved most, in standard errors."""
    return int(np.argmax((effects**2 / errors).sum(axis=0)))


def observational_totals(search: InterventionalSearch, inputs: SearchInput, told: Constraints) -> FloatArray:
    """[p, p] total effects of the best DAG of the roles alone. Its arrows within the class are not told by
    the data: here they are as the search happens to draw them."""
    none = search.experiments.only(np.zeros(len(search.experiments.conditions), dtype=bool))
    return replace(search, experiments=none).joint(inputs, told).total_effects


def _explained(table: pl.DataFrame, column: str) -> float | None:
    """Of the measured effects, by a column of predictions; None where nothing is measured."""
    measured = table["measured"].to_numpy()
    whole = float((measured**2).sum())
    return None if whole == 0 else 1 - float(((measured - table[column].to_numpy()) ** 2).sum()) / whole

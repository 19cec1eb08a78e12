"""Proposals judged: what was predicted against what new roles answered, and guided against unguided.

The judges had no part in choosing. An interval is right where it holds the judges' mean change. Guided and
unguided steering are compared at equal change of the target: the side effects of each are scaled by what its
own target change falls short of, or exceeds, the guided one. Pairs are roles: both are resampled together.
The calibration figure shows predicted against measured changes, with their intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import BASELINE, Pairing, select_roles
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.numerics.intervals import RoleDraws, percentile_range
from axiograph.engine.storage.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESAMPLES = 2000
HELD, OTHERS = "held values", "all other values"
_NUMBERS = (
    "guided",
    "unguided",
    "ratio",
    "ratio_low",
    "ratio_high",
    "difference",
    "low",
    "high",
    "p",
    "guided_target",
    "unguided_target",
)
_PREDICTIONS: dict[str, type[pl.DataType]] = (
    {"proposal": pl.Int64}
    | dict.fromkeys(("name", "value", "wish", "graph"), pl.String)
    | dict.fromkeys(("wanted", "change", "low", "high"), pl.Float64)
    | dict.fromkeys(("measured", "measured_low", "measured_high"), pl.Float64)
    | {"roles": pl.Int64, "inside": pl.Boolean}
)
_COMPARISON: dict[str, type[pl.DataType]] = {
    "proposal": pl.Int64,
    "name": pl.String,
    "group": pl.String,
    "value": pl.String,
} | dict.fromkeys(_NUMBERS, pl.Float64)
_COLOURS = {"raise": "#1f5f8b", "lower": "#1f5f8b", "hold": "#b5472c", None: "#888888"}
_LABELS = {"raise": "targets", "hold": "held values", None: "others"}


@dataclass(frozen=True, eq=False)
class Asked:
    """A proposal that the judges were asked: its `rank`, `name` and `table` (Proposal.table), the `condition`
    it was asked under, and that of the `unguided` single lever that it is compared with, if any. For a role,
    which is asked under the baseline, `name` is the role's."""

    rank: int
    name: str
    table: pl.DataFrame
    condition: str
    unguided: str | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """`predictions`: a row per proposal and value: proposal (its rank), name, value, wish, graph, wanted,
    change, low, high (as predicted), measured, measured_low, measured_high (interval over judges), roles,
    inside (whether the predicted interval holds the measured mean).

    `comparison`: a row per proposal and group (held values, all other values) and per value of them: value
    (null for the group), guided and unguided (sum of |mean change| in standard deviations over judges, the
    unguided one at the guided change of the target), ratio with ratio_low and ratio_high, difference
    (unguided − guided) with low, high and p (paired, resampled roles), guided_target and unguided_target (the
    measured changes of the first target in points)."""

    predictions: pl.DataFrame
    comparison: pl.DataFrame
    level: float

    def coverage(self) -> tuple[int, int]:
        """(intervals that hold the measured mean, intervals)."""
        inside = self.predictions["inside"].drop_nulls()
        return int(inside.sum()), len(inside)

    def with_predictions(self, more: pl.DataFrame) -> Judged:
        """With the rows of further proposals."""
        whole = pl.concat([self.predictions, more]).sort("proposal", maintain_order=True)
        return replace(self, predictions=whole)


def nothing_judged(level: float) -> Judged:
    """Without a row."""
    return Judged(pl.DataFrame(schema=_PREDICTIONS), pl.DataFrame(schema=_COMPARISON), level)


def judge(profiles: pl.DataFrame, trials: Sequence[Asked], *, level: float = 0.05, seed: int = 0) -> Judged:
    """From the `profiles` of the judges: role, condition and a column per value. Raises InputError as
    discovery.effects.testing does."""
    selected = select_roles(profiles, None, BASELINE)
    values = trials[0].table["value"].to_list()
    pairing = Pairing(selected, BASELINE, values)
    draws = RoleDraws.of(pairing.roles, RESAMPLES, seed)
    before = selected.filter(pl.col("condition") == BASELINE)
    deviation = np.array([before[name].std(ddof=1) or np.nan for name in values], dtype=np.float64)
    predictions = [_predicted(asked, pairing.differences(asked.condition), draws, level) for asked in trials]
    compared = [
        _Pair(asked, asked.unguided, pairing, draws, deviation, level).frame()
        for asked in trials
        if asked.unguided is not None and asked.unguided != asked.condition
    ]
    comparison = pl.concat(compared) if compared else pl.DataFrame(schema=_COMPARISON)
    return Judged(pl.concat(predictions), comparison, level)


def judged_roles(
    before: pl.DataFrame, roles: Sequence[Asked], reference: str | None, judges: Sequence[str]
) -> pl.DataFrame:
    """Proposed roles as rows of Judged.predictions: their scores in `before` (role, a column per value) less
    those of the `reference` role, or of the mean over the judges where there is none, on items they were not
    chosen by. One role each: without an interval of the measured."""
    values = roles[0].table["value"].to_list()
    compared_with = before.filter(
        pl.col("role").is_in(list(judges)) if reference is None else pl.col("role") == reference
    )
    base = compared_with.select(pl.col(values).mean()).row(0, named=True)
    parts = []
    for asked in roles:
        scores = before.filter(pl.col("role") == asked.name).select(values).row(0, named=True)
        measured = [
            None if scores[name] is None or base[name] is None else scores[name] - base[name]
            for name in values
        ]
        parts.append(_rows(asked, {"measured": measured}, [1] * len(values)))
    return pl.concat(parts)


def _predicted(asked: Asked, differences: FloatArray, draws: RoleDraws, level: float) -> pl.DataFrame:
    """The rows of one proposal, from the `differences` [n_roles, n_values] of the judges."""
    low, high = percentile_range(draws.means(differences).T, level)
    count = np.isfinite(differences).sum(axis=0)
    mean = np.where(count > 0, np.nansum(differences, axis=0) / np.maximum(count, 1), np.nan)
    return _rows(asked, {"measured": mean, "measured_low": low, "measured_high": high}, count)


def _rows(asked: Asked, measured: Mapping[str, Any], roles: Any) -> pl.DataFrame:
    """The rows of one proposal; what is not in `measured` is null."""
    ends = ("measured", "measured_low", "measured_high")
    nothing = [None] * asked.table.height
    columns = [pl.Series(key, measured.get(key, nothing), pl.Float64).fill_nan(None) for key in ends]
    head = [pl.lit(asked.rank, pl.Int64).alias("proposal"), pl.lit(asked.name).alias("name")]
    whole = asked.table.with_columns(*columns, pl.Series("roles", roles, pl.Int64), *head)
    inside = (pl.col("measured") >= pl.col("low")) & (pl.col("measured") <= pl.col("high"))
    order = ["proposal", "name", "value", "wish", "graph", "wanted", "change", "low", "high"]
    return whole.with_columns(inside=inside).select(*order, *ends, "roles", "inside")


class _Pair:
    """One proposal beside the unguided lever: their side effects, over all judges and in every draw."""

    def __init__(
        self,
        asked: Asked,
        unguided: str,
        pairing: Pairing,
        draws: RoleDraws,
        deviation: FloatArray,
        level: float,
    ) -> None:
        self.asked, self.level = asked, level
        self.values, self.wish = asked.table["value"].to_list(), asked.table["wish"].to_list()
        scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        both = []
        for condition in (asked.condition, unguided):
            differences = pairing.differences(condition)
            mean = np.nanmean(differences, axis=0, keepdims=True)
            both.append(np.concatenate([mean, draws.means(differences)]))  # the first row: all roles
        target = next(k for k, wish in enumerate(self.wish) if wish in ("raise", "lower"))
        self.targets = [float(part[0, target]) for part in both]
        factor = np.abs(both[0][:, target]) / np.maximum(np.abs(both[1][:, target]), 1e-9)
        self.guided = np.abs(both[0]) * scale
        self.unguided = np.abs(both[1]) * scale * factor[:, None]

    def frame(self) -> pl.DataFrame:
        """The rows of Judged.comparison."""
        rank, name, rows = self.asked.rank, self.asked.name, []
        for group, chosen in self._groups():
            if not chosen:
                continue
            rows.append((rank, name, group, None, *self._row(chosen), *self.targets))
            rows += [(rank, name, group, self.values[k], *self._row([k]), *self.targets) for k in chosen]
        return pl.DataFrame(rows, schema=_COMPARISON, orient="row").with_columns(
            pl.col(_NUMBERS).fill_nan(None)
        )

    def _groups(self) -> list[tuple[str, list[int]]]:
        held = [k for k, wish in enumerate(self.wish) if wish == "hold"]
        others = [k for k, wish in enumerate(self.wish) if wish is None]
        return [(HELD, held), (OTHERS, others)]

    def _row(self, chosen: list[int]) -> tuple[float, ...]:
        guided, unguided = self.guided[:, chosen].sum(axis=1), self.unguided[:, chosen].sum(axis=1)
        ratio = np.divide(guided, unguided, out=np.full_like(guided, np.nan), where=unguided > 1e-12)
        difference = unguided - guided
        ends = []
        for drawn in (ratio[1:], difference[1:]):
            low, high = percentile_range(drawn, self.level)
            ends.append((float(low), float(high)))
        above, below = (difference[1:] <= 0).sum(), (difference[1:] >= 0).sum()
        p = min(1.0, 2 * (1 + min(above, below)) / len(difference))
        first = (float(guided[0]), float(unguided[0]), float(ratio[0]))
        return (*first, *ends[0], float(difference[0]), *ends[1], float(p))


def draw_judged(judged: Judged, path: Path) -> None:
    """Write `judged_figure` as PNG, SVG or PDF, by the ending of `path`. RunError where the disk is full."""
    save_figure(judged_figure(judged), path)


def judged_figure(judged: Judged) -> Figure:
    """Predicted over measured changes, with the predicted intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.0), layout="constrained")
    axes = figure.subplots()
    rows = judged.predictions.drop_nulls("measured")
    ends = rows.select(
        pl.min_horizontal("low", "measured").min(), pl.max_horizontal("high", "measured").max()
    )
    low, high = (float(end) for end in ends.row(0)) if rows.height else (-1.0, 1.0)
    axes.plot([low, high], [low, high], color="#999999", linewidth=1, linestyle="--")
    labelled = set()
    for row in rows.iter_rows(named=True):
        label = _LABELS["raise" if row["wish"] in ("raise", "lower") else row["wish"]]
        errors = np.array([[row["change"] - row["low"]], [row["high"] - row["change"]]])
        axes.errorbar(
            row["measured"],
            row["change"],
            np.clip(errors, 0, None),
            fmt="o",
            color=_COLOURS[row["wish"]],
            markersize=4,
            capsize=2,
            linewidth=1,
            label=None if label in labelled else label,
        )
        labelled.add(label)
    inside, total = judged.coverage()
    axes.set(
        xlabel="measured change of the mean score",
        ylabel=f"predicted, with its interval at {1 - judged.level:.0%}",
        title=f"{inside} of {total} intervals hold what was measured",
    )
    if labelled:
        axes.legend(frameon=False, fontsize=9)
    return figure

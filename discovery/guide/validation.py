"""Proposals judged: what was predicted against what new roles answered, and guided against unguided.

The judges had no part in choosing. An interval is right where it holds the judges' mean change. Guided and
unguided steering are compared at equal change of the target: the side effects of each are scaled by what its
own target change falls short of, or exceeds, the guided one. Pairs are roles: both are resampled together.

The calibration figure of a guided steering: predicted against measured changes, with their intervals.
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
        known = self.predictions["inside"].drop_nulls()
        return int(known.sum()), len(known)

    def with_predictions(self, more: pl.DataFrame) -> Judged:
        """With the rows of further proposals."""
        whole = pl.concat([self.predictions, more]).sort("proposal", maintain_order=True)
        return replace(self, predictions=whole)


def nothing_judged(level: float) -> Judged:
    """Without a row."""
    return Judged(pl.DataFrame(schema=_PREDICTIONS), pl.DataFrame(schema=_COMPARISON), level)


def judge(
    profiles: pl.DataFrame,
    tables: Mapping[int, pl.DataFrame],
    names: Mapping[int, str],
    conditions: Mapping[int, str],
    unguided: Mapping[int, str],
    *,
    level: float = 0.05,
    seed: int = 0,
) -> Judged:
    """`profiles` of the judges; by rank of a proposal: `tables` (Proposal.table), `names`, `conditions` it
    was asked under, and the conditions of the `unguided` single lever it is compared with. Raises InputError
    as discovery.effects.testing does."""
    selected = select_roles(profiles, None, BASELINE)
    values = next(iter(tables.values()))["value"].to_list()
    pairing = Pairing(selected, BASELINE, values)
    draws = RoleDraws.of(pairing.roles, RESAMPLES, seed)
    before = selected.filter(pl.col("condition") == BASELINE)
    deviation = np.array([before[name].std(ddof=1) or np.nan for name in values], dtype=np.float64)
    parts = [
        _predicted(rank, names[rank], tables[rank], pairing.differences(condition), draws, level)
        for rank, condition in conditions.items()
    ]
    compared = [
        _Pair(tables[rank], pairing, conditions[rank], unguided[rank], draws, deviation, level).frame(
            rank, names[rank]
        )
        for rank in conditions
        if rank in unguided and unguided[rank] != conditions[rank]
    ]
    comparison = pl.concat(compared) if compared else pl.DataFrame(schema=_COMPARISON)
    return Judged(pl.concat(parts), comparison, level)


def judged_roles(
    before: pl.DataFrame,
    tables: Mapping[int, pl.DataFrame],
    roles: Mapping[int, str],
    reference: str | None,
    judges: Sequence[str],
) -> pl.DataFrame:
    """Proposed roles as rows of Judged.predictions: their scores less those of the `reference` role, or of
    the mean over the judges where there is none, on items they were not chosen by. One role each: without
    an interval of the measured."""
    values = next(iter(tables.values()))["value"].to_list()
    kept = before.filter(
        pl.col("role").is_in(list(judges)) if reference is None else pl.col("role") == reference
    )
    base = kept.select(pl.col(values).mean()).row(0, named=True)
    parts = []
    for rank, role in roles.items():
        own = before.filter(pl.col("role") == role).select(values).row(0, named=True)
        measured = [
            None if own[name] is None or base[name] is None else own[name] - base[name] for name in values
        ]
        parts.append(_judged_rows(rank, role, tables[rank], {"measured": measured}, [1] * len(values)))
    return pl.concat(parts)


def _predicted(
    rank: int,
    name: str,
    table: pl.DataFrame,
    differences: FloatArray,
    draws: RoleDraws,
    level: float,
) -> pl.DataFrame:
    low, high = percentile_range(draws.means(differences).T, level)
    known = np.isfinite(differences).sum(axis=0)
    mean = np.where(known > 0, np.nansum(differences, axis=0) / np.maximum(known, 1), np.nan)
    measured = {"measured": mean, "measured_low": low, "measured_high": high}
    return _judged_rows(rank, name, table, measured, known)


def _judged_rows(
    rank: int, name: str, table: pl.DataFrame, measured: Mapping[str, Any], roles: Any
) -> pl.DataFrame:
    """The rows of one proposal; what is not in `measured` is null."""
    ends = ("measured", "measured_low", "measured_high")
    nothing = [None] * table.height
    columns = [pl.Series(key, measured.get(key, nothing), pl.Float64).fill_nan(None) for key in ends]
    head = [pl.lit(rank, pl.Int64).alias("proposal"), pl.lit(name).alias("name")]
    whole = table.with_columns(*columns, pl.Series("roles", roles, pl.Int64), *head)
    inside = (pl.col("measured") >= pl.col("low")) & (pl.col("measured") <= pl.col("high"))
    order = ["proposal", "name", "value", "wish", "graph", "wanted", "change", "low", "high"]
    return whole.with_columns(inside=inside).select(*order, *ends, "roles", "inside")


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


class _Pair:
    """One proposal beside the unguided lever."""

    def __init__(
        self,
        table: pl.DataFrame,
        pairing: Pairing,
        guided: str,
        unguided: str,
        draws: RoleDraws,
        deviation: FloatArray,
        level: float,
    ) -> None:
        self.values, self.wish, self.level = table["value"].to_list(), table["wish"].to_list(), level
        known = deviation > 0
        scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=known)
        both = []
        for condition in (guided, unguided):
            differences = pairing.differences(condition)
            mean = np.nanmean(differences, axis=0, keepdims=True)
            both.append(np.concatenate([mean, draws.means(differences)]))  # the first row: all roles
        target = next(k for k, wish in enumerate(self.wish) if wish in ("raise", "lower"))
        self.targets = [float(part[0, target]) for part in both]
        factor = np.abs(both[0][:, target]) / np.maximum(np.abs(both[1][:, target]), 1e-9)
        self.guided = np.abs(both[0]) * scale
        self.unguided = np.abs(both[1]) * scale * factor[:, None]

    def frame(self, rank: int, name: str) -> pl.DataFrame:
        rows = []
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


_COLOURS = {"raise": "#1f5f8b", "lower": "#1f5f8b", "hold": "#b5472c", None: "#888888"}
_LABELS = {"raise": "targets", "hold": "held values", None: "others"}


def draw_judged(found: Judged, path: Path) -> None:
    """Write `judged_figure` as PNG, SVG or PDF, by the ending of `path`. RunError where the disk is full."""
    save_figure(judged_figure(found), path)


def judged_figure(found: Judged) -> Figure:
    """Predicted over measured changes, with the predicted intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.0), layout="constrained")
    axes = figure.subplots()
    known = found.predictions.drop_nulls("measured")
    ends = known.select(
        pl.min_horizontal("low", "measured").min(), pl.max_horizontal("high", "measured").max()
    )
    low, high = (float(end) for end in ends.row(0)) if known.height else (-1.0, 1.0)
    axes.plot([low, high], [low, high], color="#999999", linewidth=1, linestyle="--")
    labelled = set()
    for row in known.iter_rows(named=True):
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
    inside, total = found.coverage()
    axes.set(
        xlabel="measured change of the mean score",
        ylabel=f"predicted, with its interval at {1 - found.level:.0%}",
        title=f"{inside} of {total} intervals hold what was measured",
    )
    if labelled:
        axes.legend(frameon=False, fontsize=9)
    return figure

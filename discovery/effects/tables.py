"""Responses as tables: per changed value, over all of them, and expected − unexpected with its control.

Columns are explained in discovery.effects.testing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.effects.changes import benjamini_hochberg
from axiograph.discovery.effects.control import ControlResult
from axiograph.discovery.effects.relations import REASON, UNCOUNTED, UNTESTED, Relation, Source, Weights
from axiograph.discovery.effects.responses import BOUNDS, Measure, Outcomes, Ratio
from axiograph.discovery.numerics.arrays import CountArray, FloatArray, ObjectArray

CONTROLLED = (Measure.SHARE, Measure.SIZE)
CONDITION, ALL = "condition", "all conditions"
NO_CHANGE = "no value of the graph changed"
NO_CONTROL = "no control graph gives a difference"
NO_REPLICATES = "a uniform graph has no replicates"
_JOIN = 256  # frames


@dataclass(frozen=True, eq=False)
class Counts:
    """Other values, [sources, 3 relations, targets]: `asked` with a weight above 0, `tested` of these, and
    `uncounted`, those that no replicate holds together with the target (of every relation alike)."""

    asked: CountArray
    tested: CountArray
    uncounted: CountArray

    @classmethod
    def of(cls, weights: Weights, outcomes: Outcomes) -> Counts:
        chosen = weights.table[:, :, outcomes.targets] > 0
        uncounted = np.zeros(chosen.shape[:3], np.int64)
        if weights.counted is not None:
            never = (weights.counted == 0) & ~np.eye(len(weights.names), dtype=bool)
            uncounted[-1] = never[outcomes.targets].sum(axis=1)
        return cls(chosen.sum(axis=-1), (chosen & outcomes.tested).sum(axis=-1), uncounted)

    @classmethod
    def zero(cls, sources: int) -> Counts:
        return cls(*np.zeros((3, sources, 3, 1), np.int64))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.asked + other.asked, self.tested + other.tested, self.uncounted + other.uncounted)

    def pooled(self) -> Counts:
        return Counts(*(a.sum(axis=2, keepdims=True) for a in (self.asked, self.tested, self.uncounted)))

    def reasons(self, sources: tuple[Source, ...]) -> ObjectArray:
        """Why there is no share; None where there is one."""
        reasons = np.full(self.tested.shape, None, object)
        for s, r, t in np.argwhere(self.tested == 0):
            if self.asked[s, r, t]:
                reasons[s, r, t] = UNTESTED
            elif self.uncounted[s, r, t] and not self.asked[s, :, t].any():
                reasons[s, r, t] = UNCOUNTED
            else:
                reasons[s, r, t] = REASON[sources[s], tuple(Relation)[r]]
        return reasons


def response_frame(
    keys: dict[str, object],
    ratios: dict[Measure, Ratio],
    counts: Counts,
    reasons: ObjectArray,
    sources: tuple[Source, ...],
    level: float,
) -> pl.DataFrame:
    """A row per target, source and relation; `keys`: further columns, a list per target or one entry."""
    shape = counts.tested.shape
    columns: dict[str, pl.Series] = {}
    for name, entries in keys.items():
        listed = entries if isinstance(entries, list) else [entries] * shape[2]
        repeated = [entry for entry in listed for _ in range(shape[0] * shape[1])]
        columns[name] = pl.Series(repeated, dtype=pl.Int64 if name == "targets" else pl.String)
    per_target = [(str(source), str(relation)) for source in sources for relation in Relation]
    columns["relation"] = pl.Series([relation for _, relation in per_target] * shape[2], dtype=pl.String)
    columns["weights"] = pl.Series([source for source, _ in per_target] * shape[2], dtype=pl.String)
    share = ratios[Measure.SHARE]
    columns["n"] = _column(counts.tested)
    columns["uncounted"] = _column(counts.uncounted)
    columns["weight"] = _column(share.bottom)
    columns["changed"] = _column(share.top)
    for measure, ratio in ratios.items():
        columns |= _estimates(measure, ratio, level)
    columns["reason"] = pl.Series(reasons.transpose(2, 0, 1).ravel().tolist(), dtype=pl.String)
    return pl.DataFrame(columns)


class Rows:
    """A table that grows by many small frames: they are joined now and then, since each takes several times
    the memory of its numbers."""

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []
        self._joined: list[pl.DataFrame] = []

    def add(self, part: pl.DataFrame) -> None:
        self._parts.append(part)
        if len(self._parts) == _JOIN:
            self._join()

    def frame(self) -> pl.DataFrame | None:
        """All of them in order; None where there is none."""
        self._join()
        return pl.concat(self._joined) if self._joined else None

    def _join(self) -> None:
        if self._parts:
            self._joined.append(pl.concat(self._parts, rechunk=True))
            self._parts = []


def _estimates(measure: Measure, ratio: Ratio, level: float) -> dict[str, pl.Series]:
    numbers = ratio.numbers()
    roles, graphs = numbers.intervals(level, BOUNDS[measure])
    columns = {str(measure): numbers.estimate, f"{measure}_low": roles[0], f"{measure}_high": roles[1]}
    if measure is not Measure.ROLES_SHARE:
        columns |= {f"{measure}_graphs_low": graphs[0], f"{measure}_graphs_high": graphs[1]}
    return {name: _column(array) for name, array in columns.items()}


def _column(array: FloatArray | CountArray) -> pl.Series:
    """[sources, 3, targets] in the order of the rows."""
    flat = array.transpose(2, 0, 1).ravel()
    return pl.Series(flat, nan_to_null=True) if flat.dtype.kind == "f" else pl.Series(flat)


@dataclass(frozen=True, eq=False)
class Contrast:
    """Expected − unexpected, arrays [sources, measures of CONTROLLED], and why it is not known."""

    difference: FloatArray
    ends: FloatArray  # [4, sources, measures]: low, high, graphs_low, graphs_high
    reasons: list[str | None]  # per source

    @classmethod
    def of(cls, ratios: dict[Measure, Ratio], reasons: ObjectArray, level: float) -> Contrast:
        """Of pooled ratios; `reasons` [sources, 3, 1]."""
        difference, ends = [], []
        for measure in CONTROLLED:
            numbers = ratios[measure].numbers().contrast()
            wide = (-1.0, 1.0) if measure is Measure.SHARE else BOUNDS[measure]
            roles, graphs = numbers.intervals(level, wide)
            difference.append(numbers.estimate[:, 0])
            ends.append(np.stack([*roles, *graphs])[..., 0])
        why = [by_relation[0, 0] or by_relation[2, 0] for by_relation in reasons]
        return cls(np.stack(difference, axis=-1), np.stack(ends, axis=-1), why)


def contrast_frame(
    conditions: list[str],
    contrasts: list[Contrast],
    result: ControlResult,
    sources: tuple[Source, ...],
    level: float,
) -> pl.DataFrame:
    """A row per condition, source and measure; the last of `contrasts` is that of all conditions."""
    shape = result.p.shape
    rows = [
        (ALL if c == len(conditions) else CONDITION, None if c == len(conditions) else conditions[c], s, m)
        for c in range(shape[0])
        for s in range(shape[1])
        for m in range(shape[2])
    ]
    columns = {
        "scope": pl.Series([row[0] for row in rows], dtype=pl.String),
        "condition": pl.Series([row[1] for row in rows], dtype=pl.String),
        "weights": pl.Series([str(sources[row[2]]) for row in rows], dtype=pl.String),
        "measure": pl.Series([str(CONTROLLED[row[3]]) for row in rows], dtype=pl.String),
    }
    difference = np.stack([contrast.difference for contrast in contrasts])
    ends = np.stack([contrast.ends for contrast in contrasts], axis=1)
    adjusted = np.full(shape, np.nan)
    for s in range(shape[1]):
        for m in range(shape[2]):
            adjusted[:-1, s, m] = benjamini_hochberg(result.p[:-1, s, m], level)[0]
    defined = np.isfinite(difference)
    numbers = dict(zip(("low", "high", "graphs_low", "graphs_high"), ends, strict=True))
    numbers = {"difference": difference} | numbers
    numbers |= {"control_mean": result.mean, "control_low": result.low, "control_high": result.high}
    numbers |= {"p": result.p, "p_adjusted": adjusted}
    columns |= {name: pl.Series(array.ravel(), nan_to_null=True) for name, array in numbers.items()}
    columns["control_graphs"] = pl.Series(np.nan_to_num(result.graphs).ravel().astype(np.int64))
    reasons = [
        contrasts[c].reasons[s] if not defined[c, s, m] else _no_p(result, c, s, m)
        for c, s, m in np.ndindex(*shape)
    ]
    columns["reason"] = pl.Series(reasons, dtype=pl.String)
    return pl.DataFrame(columns)


def _no_p(result: ControlResult, c: int, s: int, m: int) -> str | None:
    if np.isfinite(result.p[c, s, m]):
        return None
    return NO_REPLICATES if np.isnan(result.graphs[c, s, m]) else NO_CONTROL

"""Proposals: how to steer, what that is predicted to do to every value, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.effects.relations import Relation, Weights
from axiograph.discovery.guide.levers import Lever, LeverKind
from axiograph.discovery.guide.model import EffectsModel, Prediction
from axiograph.discovery.guide.targets import Wishes
from axiograph.discovery.numerics.arrays import FloatArray

STEERED = "steered"
OUTSIDE = "not in the graph"
# What the graph says of a value when the steered ones move.
SAYS = {Relation.EXPECTED: "must follow", Relation.POSSIBLE: "may follow", Relation.UNEXPECTED: "should stay"}
_PART = 0.3  # of a lever's largest direct part: from here on it steers a value itself


@dataclass(frozen=True)
class Carrier:
    """What a lever is there for: the value that it `steered` itself and the `target` that this moves, None
    where it only opposes what others do. `frequency` and `possible`: shares of the replicates in which the
    target is a definite and a possible descendant of it; 1 where it is the target itself, None without
    replicates."""

    lever: str
    steered: str
    target: str | None
    frequency: float | None
    possible: float | None


@dataclass(frozen=True)
class Bounds:
    """Of one lever: the strength proposed, the strengths at which the model was seen to hold, and those from
    which on it broke (None: no strength did). `settled`: whether the sweep could tell."""

    lever: str
    strength: float
    unit: str
    low: float
    high: float
    breaks_below: float | None
    breaks_above: float | None
    settled: bool


@dataclass(frozen=True)
class Reliability:
    """`roles`: those chosen by; `judges`: the new roles that the intervals are for; `sharing`: of a trait,
    how many of the roles have it."""

    roles: int
    judges: int
    carriers: tuple[Carrier, ...] = ()
    bounds: tuple[Bounds, ...] = ()
    sharing: int | None = None


@dataclass(frozen=True, eq=False)
class Proposal:
    """`settings`: lever → strength; for a role or a trait its name → 1. `cost`: what is expected to be
    missed, in standard deviations (discovery.guide.objective). `reached`: of the wanted change the predicted
    share, per target; of "as far as possible" None. `says`: per value, what the graph says (SAYS, STEERED,
    OUTSIDE) and `share`: of the replicates that say so, NaN without any."""

    kind: LeverKind
    settings: Mapping[str, float]
    prediction: Prediction
    cost: float
    reached: Mapping[str, float | None]
    says: tuple[str, ...]
    share: FloatArray
    reliability: Reliability

    @property
    def name(self) -> str:
        """Its levers with their strengths, or the name of the role, trait or hint."""
        if self.kind is not LeverKind.SAE:
            return " & ".join(self.settings)
        return " & ".join(f"{lever} {strength:+g}" for lever, strength in self.settings.items())

    def table(self, model: EffectsModel, wishes: Wishes) -> pl.DataFrame:
        """A row per value: value, wish (raise, lower, hold or null), wanted (points, null), graph (what it
        says), graph_share, change, low, high (points of the mean score), change_sd (in standard deviations
        over roles)."""
        verbs = {t.value: "raise" if t.sign > 0 else "lower" for t in wishes.targets}
        verbs |= dict.fromkeys(wishes.hold, "hold")
        spread = model.measured.deviation
        deviation = dict(zip(model.names, spread, strict=True))
        wanted = {t.value: t.change(float(deviation[t.value])) for t in wishes.targets}
        wanted |= dict.fromkeys(wishes.hold, 0.0)
        change = self.prediction.mean
        columns = {
            "value": list(model.names),
            "wish": [verbs.get(name) for name in model.names],
            "wanted": [wanted.get(name) for name in model.names],
            "graph": list(self.says),
            "graph_share": self.share,
            "change": change,
            "low": self.prediction.low,
            "high": self.prediction.high,
            "change_sd": np.divide(change, spread, out=np.full_like(change, np.nan), where=spread > 0),
        }
        numbers = ("wanted", "graph_share", "change", "low", "high", "change_sd")
        texts = {"value": pl.String, "wish": pl.String, "graph": pl.String}
        schema = {name: texts.get(name, pl.Float64) for name in columns}
        return pl.DataFrame(columns, schema=schema, strict=False).with_columns(pl.col(numbers).fill_nan(None))

    def document(self) -> dict[str, Any]:
        """As JSON types, without the table."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "settings": dict(self.settings),
            "expected_miss_sd": self.cost,
            "reached": dict(self.reached),
            "reliability": asdict(self.reliability),
        }


def steered_values(model: EffectsModel, settings: Mapping[str, float]) -> dict[str, list[int]]:
    """Lever → the values that it moves itself, not through others, the largest direct part first."""
    steered = {}
    scale = model.link.slope() / np.where(model.measured.deviation > 0, model.measured.deviation, np.inf)
    for name in settings:
        size = np.abs(model.direct[name]) * scale
        order = np.argsort(-size, kind="stable")
        steered[name] = [int(k) for k in order if size[k] > 0 and size[k] >= _PART * size.max()]
    return steered


def graph_says(
    names: tuple[str, ...], steered: list[int], weights: Weights | None
) -> tuple[tuple[str, ...], FloatArray]:
    """What the graph says of every value when those in `steered` move, and the share of replicates that say
    so: of several steered values, the one from which most leads there."""
    says, share = [OUTSIDE] * len(names), np.full(len(names), np.nan)
    if weights is not None:
        node = {name: k for k, name in enumerate(weights.names)}
        sources = [node[names[k]] for k in steered if names[k] in node]
        for k, name in enumerate(names):
            if name in node and sources:
                says[k], share[k] = _relation(weights, sources, node[name])
    for k in steered:
        says[k], share[k] = STEERED, np.nan
    return tuple(says), share


def _relation(weights: Weights, sources: list[int], target: int) -> tuple[str, float]:
    in_graph = weights.table[0][:, sources, target]  # [3, sources]
    relation = next(r for r in range(len(Relation)) if in_graph[r].any() or r == len(Relation) - 1)
    if len(weights.sources) == 1:
        return SAYS[list(Relation)[relation]], np.nan
    shares = weights.table[1][:, sources, target]
    # Of values that should stay every source must agree; of the others one is enough.
    best = shares[relation].min() if relation == len(Relation) - 1 else shares[relation].max()
    return SAYS[list(Relation)[relation]], float(best)


def reliability(
    model: EffectsModel,
    settings: Mapping[str, float],
    wishes: Wishes,
    weights: Weights | None,
    judges: int,
) -> Reliability:
    """Of levers: the paths from what they steer to the targets, and their bounds."""
    carriers, bounds = [], []
    steered = steered_values(model, settings)
    for name, strength in settings.items():
        lever: Lever = model.lever(name)
        bounds.append(
            Bounds(name, strength, lever.unit, lever.low, lever.high, *lever.breaks, settled=lever.settled)
        )
        if steered[name]:
            carriers += _carriers(model, name, settings, steered[name], wishes, weights)
    return Reliability(len(model.measured.baseline), judges, tuple(carriers), tuple(bounds))


def _carriers(
    model: EffectsModel,
    lever: str,
    settings: Mapping[str, float],
    steered: list[int],
    wishes: Wishes,
    weights: Weights | None,
) -> list[Carrier]:
    """For every target that the lever gives a tenth or more of its shift the wanted way."""
    shifts = {name: model.curves[name].means(np.array([s]))[0] for name, s in settings.items()}
    carriers = []
    for target in wishes.targets:
        k = model.names.index(target.value)
        whole = sum(abs(float(shift[k])) for shift in shifts.values())
        if target.sign * float(shifts[lever][k]) >= 0.1 * whole > 0:
            carriers.append(_carrier(model, lever, steered, target.value, weights))
    return carriers or [Carrier(lever, model.names[steered[0]], None, None, None)]


def _carrier(
    model: EffectsModel, lever: str, steered: list[int], target: str, weights: Weights | None
) -> Carrier:
    names = [model.names[k] for k in steered]
    if target in names:
        return Carrier(lever, target, target, 1.0, 0.0)
    if weights is None or len(weights.sources) == 1 or target not in weights.names:
        return Carrier(lever, names[0], target, None, None)
    end = weights.names.index(target)
    sources = [name for name in names if name in weights.names]
    if not sources:
        return Carrier(lever, names[0], target, None, None)
    best = max(sources, key=lambda name: weights.table[1][0, weights.names.index(name), end])
    expected, possible, _ = weights.table[1][:, weights.names.index(best), end]
    return Carrier(lever, best, target, float(expected), float(possible))

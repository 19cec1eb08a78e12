"""Levers of a run: its conditions, put in order as what a proposal may use again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from axiograph.cluster.stages.doses import dose_table
from axiograph.discovery.effects.doses import BREAKS, limits, unreadable
from axiograph.discovery.guide.levers import Lever, LeverKind, bounded
from axiograph.engine.errors import InputError
from axiograph.engine.study.conditions import BASELINE, Condition, OperationPoint
from axiograph.engine.study.schema import EffectsSpec
from axiograph.engine.study.textfiles import close_matches


@dataclass(frozen=True)
class RunLevers:
    """`levers`, and of each a condition that used it (`conditions`, by the lever's name): what it is made of.
    `broken`: conditions that break the model and are no levers."""

    levers: tuple[Lever, ...]
    conditions: dict[str, Condition]
    broken: tuple[str, ...]

    def without(self, names: Sequence[str]) -> RunLevers:
        """All but these. InputError for a name that is no lever."""
        levers = [lever.name for lever in self.levers]
        for name in names:
            if name not in levers:
                expected = "a feature or hint of the run" + (f" ({', '.join(levers[:8])})" if levers else "")
                raise InputError(
                    f"--without {name}", expected, close_matches(name, levers), "Correct the name."
                )
        return replace(self, levers=tuple(lever for lever in self.levers if lever.name not in names))

    def steering(self, settings: dict[str, float]) -> tuple[OperationPoint, ...]:
        """The operations of a set of levers; empty for a hint."""
        points = []
        for name, strength in settings.items():
            lever = next(lever for lever in self.levers if lever.name == name)
            for point in self.conditions[name].operations:
                # What can only be used as measured has the strengths of its condition.
                used = point.strength if lever.switch else strength
                points.append(OperationPoint(point.spec, point.feature, used))
        return tuple(points)


def run_levers(
    conditions: Sequence[Condition], answers: pl.DataFrame, settings: EffectsSpec, most: float | None = None
) -> RunLevers:
    """Of the conditions in `answers` (role, condition, answers, refused, unparsed: of the choosing roles):
    every feature whose only operation is to add it, with the strengths up to which it holds, and every hint,
    clamp, projection and set of operations as it was measured. Controls are none. `most`: the largest
    |strength| to be proposed."""
    states = unreadable(answers, settings)
    doses = dose_table(conditions)
    bounds = limits(states, doses, settings.break_margin)
    asked = set(answers["condition"])
    breaking = set(states.filter(pl.col("state") == BREAKS)["condition"])
    named = {condition.name: condition for condition in conditions if condition.name in asked}
    levers, sources = [], {}
    for sweep, points in _sweeps(doses, named).items():
        first = named[points[0][1]]
        levers.append(_sweep_lever(sweep, points, bounds, first, most))
        sources[sweep] = first
    for condition in named.values():
        if condition.name == BASELINE or _is_sweep_point(condition) or condition.name in breaking:
            continue
        if any(point.control is not None for point in condition.operations):
            continue
        levers.append(_switch(condition))
        sources[condition.name] = condition
    return RunLevers(tuple(levers), sources, tuple(sorted(breaking)))


def _is_sweep_point(condition: Condition) -> bool:
    """Whether it is a point of the sweep of one direction that is added, strength 0 among them."""
    one = len(condition.operations) == 1 and condition.hint is None
    return one and condition.operations[0].kind == "add"


def _sweeps(doses: pl.DataFrame, named: dict[str, Condition]) -> dict[str, list[tuple[float, str]]]:
    """Sweep → (strength, condition) of its points, in the order of `doses`."""
    sweeps: dict[str, list[tuple[float, str]]] = {}
    added = doses.filter((pl.col("kind") == "add") & pl.col("control").is_null() & (pl.col("strength") != 0))
    for sweep, strength, name in added.select("sweep", "strength", "condition").iter_rows():
        if name in named and _is_sweep_point(named[name]):
            sweeps.setdefault(sweep, []).append((strength, name))
    return sweeps


def _sweep_lever(
    sweep: str,
    points: list[tuple[float, str]],
    bounds: pl.DataFrame,
    first: Condition,
    most: float | None,
) -> Lever:
    rows = {row["side"]: row for row in bounds.filter(pl.col("sweep") == sweep).iter_rows(named=True)}
    sides = [rows.get(side, {}) for side in ("-", "+")]
    holds = (sides[0].get("holds_to"), sides[1].get("holds_to"))
    breaks = (sides[0].get("breaks_from"), sides[1].get("breaks_from"))
    low, high, settled = bounded(points, holds, breaks, most)
    point = first.operations[0]
    return Lever(
        name=sweep,
        kind=LeverKind.SAE,
        points=tuple(sorted(points)),
        unit=point.unit,
        low=low,
        high=high,
        breaks=breaks,
        settled=settled,
        about=f"{_direction(point)} added at {_span(point)}, strength in units of {point.unit}",
    )


def _switch(condition: Condition) -> Lever:
    hint = condition.hint
    if hint is not None and not condition.operations:
        about = (
            f"hint: inclined to {hint.value}"
            if hint.inclination == "inclined"
            else f"hint: disinclined to {hint.value}"
        )
        kind = LeverKind.HINT
    else:
        about, kind = "as it was measured", LeverKind.SAE
    return Lever(
        name=condition.name,
        kind=kind,
        points=((1.0, condition.name),),
        switch=True,
        solo=True,
        high=1.0,
        about=about,
    )


def _direction(point: OperationPoint) -> str:
    if point.sae is None:
        return "direction"
    name = point.sae.path.name if point.sae.path is not None else f"{point.sae.release}/{point.sae.id}"
    return f"SAE feature {point.feature} of {name}"


def _span(point: OperationPoint) -> str:
    return {"prompt_span": "the span", "prompt": "the prompt", "generated": "what is generated"}.get(
        point.span, "all tokens"
    )


def kinds_of(method: str) -> frozenset[LeverKind]:
    """The kinds of proposals behind --method: by roles means by their traits, too."""
    if method == "any":
        return frozenset(LeverKind)
    if method == "role":
        return frozenset({LeverKind.ROLE, LeverKind.TRAIT})
    return frozenset({LeverKind(method)})


def conditions_of(levers: Iterable[Lever]) -> list[str]:
    """Names of the conditions under which the levers were measured."""
    return [condition for lever in levers for _, condition in lever.points]

"""A world whose truth is known: values by a linear graph, features that saturate, greedy answers to items.

A feature adds its shift to the equation of one value and so moves the descendants. An item of threshold b is
answered yes where the value is above b, with a little noise. Nothing of the model under test is in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.calibration.respondent import Planted
from axiograph.discovery.effects.relations import Weights
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.guide.levers import Lever, LeverKind
from axiograph.discovery.guide.link import position
from axiograph.discovery.guide.model import EffectsModel, ItemMeans, Measured, effects_model
from axiograph.discovery.guide.paths import Paths

THRESHOLDS = np.linspace(-2, 2, 12)
STRENGTHS = (-4.0, -2.0, 2.0, 4.0)
NOISE = 0.15


def direct_shift(strength: float) -> float:
    """What a strength adds to the equation of its value: half of it at first, levelling off towards ±4."""
    return 2.4 * float(np.tanh(strength / 4.8))


@dataclass(frozen=True)
class World:
    """`total` [n, n]: what one unit added to value j does to i, at [i, j]; `direct` feature → value."""

    names: tuple[str, ...]
    graph: CausalGraph
    total: np.ndarray
    noise: np.ndarray
    features: Mapping[str, int]

    @classmethod
    def respondent(cls, without: tuple[str, ...] = ()) -> World:
        """The planted truth of the built-in respondent, with a feature for every value but `without`."""
        planted = Planted.load()
        features = {f"f{planted.features[v]}": k for k, v in enumerate(planted.names) if v not in without}
        return cls(planted.names, planted.graph, planted.total, planted.noise_sd, features)

    def roles(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """[count, n] values of roles, standardised as in the planted model."""
        return (rng.standard_normal((count, len(self.names))) * self.noise) @ self.total.T

    def answers(
        self,
        values: np.ndarray,
        settings: Mapping[str, float],
        rng: np.random.Generator,
        thresholds: np.ndarray = THRESHOLDS,
    ) -> np.ndarray:
        """[roles, n, items] of +1 and −1."""
        shift = np.zeros(len(self.names))
        for feature, strength in settings.items():
            shift[self.features[feature]] += direct_shift(strength)
        moved = values + self.total @ shift
        noise = NOISE * rng.standard_normal((*values.shape, len(thresholds)))
        return np.sign(moved[:, :, None] - thresholds + noise)

    def levers(self, strengths: tuple[float, ...] = STRENGTHS) -> tuple[Lever, ...]:
        low, high = min(0.0, *strengths), max(0.0, *strengths)
        return tuple(
            Lever(
                name,
                LeverKind.SAE,
                tuple((s, f"{name}:{s:+g}") for s in sorted(strengths)),
                unit="raw",
                low=low,
                high=high,
            )
            for name in self.features
        )

    def profiles(
        self,
        values: np.ndarray,
        conditions: Mapping[str, Mapping[str, float]],
        rng: np.random.Generator,
        thresholds: np.ndarray = THRESHOLDS,
    ) -> pl.DataFrame:
        """role, condition, a column per value; condition "baseline" among them."""
        parts = []
        for condition, settings in ({"baseline": {}} | dict(conditions)).items():
            scores = self.answers(values, settings, rng, thresholds).mean(axis=2)
            columns = {"role": [f"r{i:03d}" for i in range(len(values))], "condition": condition}
            parts.append(pl.DataFrame(columns | dict(zip(self.names, scores.T, strict=True))))
        return pl.concat(parts)

    def weights(self) -> Weights:
        """What the true graph says."""
        return Weights.of(self.graph, None)


def sweep(levers: tuple[Lever, ...]) -> dict[str, dict[str, float]]:
    """Condition → settings of every point of the levers."""
    return {condition: {lever.name: s} for lever in levers for s, condition in lever.points}


def fitted(
    world: World,
    *,
    roles: int = 40,
    training: int = 200,
    seed: int = 0,
    draws: int = 300,
    strengths: tuple[float, ...] = STRENGTHS,
    graph: CausalGraph | None = None,
    items: tuple[np.ndarray, float] | None = None,
) -> EffectsModel:
    """The effects model of a sweep over `roles`; `items`: the thresholds asked, and the ratio to those of the
    judges."""
    rng = np.random.default_rng(seed)
    levers = world.levers(strengths)
    thresholds = THRESHOLDS if items is None else items[0]
    values, means = world.roles(roles, rng), None
    if items is None:
        table = world.profiles(values, sweep(levers), rng, thresholds)
    else:
        table, means = with_items(world, values, levers, rng, items)
    measured = Measured.of(table, items=means)
    before = world.answers(world.roles(training, rng), {}, rng, thresholds).mean(axis=2)
    known = world.graph if graph is None else graph
    plain = effects_model(measured, levers, None, draws=2)
    paths = Paths.of(position(before, plain.link.width), world.names, known, None, draws, rng)
    return effects_model(measured, levers, paths, draws=draws, seed=seed)


def with_items(
    world: World,
    values: np.ndarray,
    levers: tuple[Lever, ...],
    rng: np.random.Generator,
    items: tuple[np.ndarray, float],
) -> tuple[pl.DataFrame, ItemMeans]:
    """Profiles and mean differences by item."""
    thresholds, ratio = items
    parts, means = [], {}
    for condition, settings in ({"baseline": {}} | sweep(levers)).items():
        answers = world.answers(values, settings, rng, thresholds)
        columns = {"role": [f"r{i:03d}" for i in range(len(values))], "condition": condition}
        parts.append(pl.DataFrame(columns | dict(zip(world.names, answers.mean(axis=2).T, strict=True))))
        means[condition] = answers.mean(axis=0).ravel()
    value = np.repeat(np.arange(len(world.names)), len(thresholds))
    differences = {name: own - means["baseline"] for name, own in means.items() if name != "baseline"}
    return pl.concat(parts), ItemMeans(value, differences, ratio)

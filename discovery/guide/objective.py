"""The objective: what is wanted of a proposal, as shifts and costs of missing them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axiograph.discovery.effects.relations import Relation, Weights
from axiograph.discovery.guide.model import EffectsModel, Prediction
from axiograph.discovery.guide.targets import Target, Wishes
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray

# What a standard deviation missed counts: of a target, a held value, another that the graph does not expect.
TARGET, HELD, OTHER = 5.0, 1.0, 0.1


@dataclass(frozen=True, eq=False)
class Objective:
    """`keep_still`: values held besides those of the wishes. Arrays are [n_values]."""

    model: EffectsModel
    wishes: Wishes
    weights: Weights | None = None
    keep_still: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[str, ...]:
        """Values that are to stay, for the wishes' sake or for the reference graph's."""
        return tuple(dict.fromkeys((*self.wishes.hold, *self.keep_still)))

    def index(self, value: str) -> int:
        """Of a value among those of the model."""
        return self.model.names.index(value)

    def change(self, target: Target) -> float | None:
        """The wanted change of a target in points, signed; None for as much as possible."""
        return target.change(float(self.model.measured.deviation[self.index(target.value)]))

    def wanted(self) -> FloatArray:
        """The wanted shifts, 0 for values without a wish, NaN for as far as possible."""
        change, far = np.zeros(len(self.model.names)), np.zeros(len(self.model.names), bool)
        for target in self.wishes.targets:
            k, wanted = self.index(target.value), self.change(target)
            far[k] = wanted is None
            change[k] = 0.0 if wanted is None else wanted
        return np.where(far, np.nan, self.model.link.shift(change))

    def gain(self) -> FloatArray:
        """Of values to be moved as far as possible: what a unit of shift is worth, signed."""
        gain = np.zeros(len(self.model.names))
        for target in self.wishes.targets:
            if target.amount is None:
                k = self.index(target.value)
                gain[k] = target.sign * self._unit()[k]
        return gain

    def cost(self) -> FloatArray:
        """Of a unit of shift that is missed."""
        return np.asarray(self.weight() * self._unit())

    def bounds(self) -> FloatArray:
        """The largest |shift| of held values, inf for all others."""
        bounds = np.full(len(self.model.names), np.inf)
        allowed = self.wishes.tolerance * self.model.measured.deviation / self.model.link.slope()
        for name in self.held:
            k = self.index(name)
            bounds[k] = allowed[k]
        return bounds

    def weight(self) -> FloatArray:
        """What a standard deviation missed counts, value by value."""
        weight = np.where(self._expected(), 0.0, OTHER)
        for name in self.held:
            weight[self.index(name)] = HELD
        for target in self.wishes.targets:
            weight[self.index(target.value)] = TARGET
        return weight

    def _unit(self) -> FloatArray:
        """Standard deviations over roles per unit of shift, 0 for a value that is the same in all."""
        deviation = self.model.measured.deviation
        slope = self.model.link.slope()
        return np.divide(slope, deviation, out=np.zeros_like(slope), where=deviation > 0)

    def _expected(self) -> BoolArray:
        """Values that the graph expects to follow the targets in at least half of its replicates."""
        expected = np.zeros(len(self.model.names), bool)
        if self.weights is None:
            return expected
        column = {name: k for k, name in enumerate(self.weights.names)}
        for target in self.wishes.targets:
            if target.value in column:
                share = self.weights.table[-1][list(Relation).index(Relation.EXPECTED), column[target.value]]
                expected |= [name in column and share[column[name]] >= 0.5 for name in self.model.names]
        return expected

    def cost_of(self, draws: FloatArray) -> float:
        """The mean over draws [B, n] of what is missed: Σ weight × |change − wanted| / standard deviation;
        what is gained of a target to be moved as far as possible is subtracted."""
        deviation = self.model.measured.deviation
        weight = np.divide(self.weight(), deviation, out=np.zeros_like(deviation), where=deviation > 0)
        change = np.zeros(len(self.model.names))
        gained = np.zeros(len(draws))
        for target in self.wishes.targets:
            k, wanted = self.index(target.value), self.change(target)
            if wanted is None:
                weight[k] = 0.0
                gained += target.sign * (draws[:, k] / deviation[k] if deviation[k] > 0 else 0.0)
            else:
                change[k] = wanted
        return float(((np.abs(draws - change) * weight).sum(axis=1) - gained).mean())

    def reached(self, prediction: Prediction) -> dict[str, float | None]:
        """The predicted share of the wanted change, per target; None of "as far as possible"."""
        shares: dict[str, float | None] = {}
        for target in self.wishes.targets:
            wanted = self.change(target)
            change = float(prediction.mean[self.index(target.value)])
            shares[target.value] = None if wanted is None else change / wanted
        return shares

    def is_certain(self, prediction: Prediction, target: Target) -> bool:
        """Whether the interval of the target lies on the wanted side of 0."""
        k = self.index(target.value)
        return bool((prediction.low[k] if target.sign > 0 else -prediction.high[k]) > 0)

    def moves_targets(self, prediction: Prediction) -> bool:
        """Whether all targets move the wanted way for certain."""
        return all(self.is_certain(prediction, target) for target in self.wishes.targets)

    def holds(self, prediction: Prediction) -> bool:
        """Whether no held value is expected to move by more than the tolerance."""
        held = [self.index(name) for name in self.held]
        off = np.abs(prediction.mean[held])
        return bool((off <= self.wishes.tolerance * self.model.measured.deviation[held]).all())

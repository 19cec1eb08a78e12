"""Planted studies for the benchmark of roles and experiments: what its settings are and how they are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axiograph.discovery.calibration.noise import load_noise
from axiograph.discovery.calibration.simulation import Design, PlantedModel, Questioning, random_model
from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray

ITEMS = 12
STRENGTHS = (-1.0, 1.0)


@dataclass(frozen=True)
class Setting:
    """`off_target`: what a feature also does to another value, as a share; `share` of the values steered;
    `hidden`: how many causes that no question asks act on two values each, by 0.6 units."""

    name: str
    values: int
    train: int
    test: int
    temperature: float | None = None
    strength: float = 1.0
    off_target: float = 0.0
    share: float = 1.0
    hidden: int = 0


SETTINGS = (
    Setting("8 values, greedy", 8, 50, 8),
    Setting("8 values, sampled", 8, 100, 25, 1.0),
    Setting("17 values, greedy", 17, 100, 8),
    Setting("17 values, sampled", 17, 100, 25, 1.0),
    Setting("17 values, off target 0.4", 17, 100, 8, off_target=0.4),
    Setting("17 values, steered by 0.3 SD", 17, 100, 8, strength=0.3),
    Setting("17 values, half of them steered", 17, 100, 8, share=0.5),
    Setting("17 values, three hidden causes", 17, 400, 8, hidden=3),
)


@dataclass(frozen=True, eq=False)
class Study:
    """`baseline` [train, p] without missing scores; what was done, and the graph behind it. For methods that
    want rows, or are told more: `before` [test, p], the steered roles' baseline, NaN where missing; of each
    condition the value that is steered (`targets` [m]) and how far (`strengths` [m])."""

    model: PlantedModel
    baseline: FloatArray
    experiments: Experiments
    before: FloatArray
    targets: IndexArray
    strengths: FloatArray

    @property
    def dag(self) -> BoolArray:
        return np.asarray(self.model.weights != 0)


def study(setting: Setting, number: int) -> Study:
    rng = np.random.default_rng([21, setting.values, number])
    model = random_model(rng, setting.values)
    total = np.linalg.inv(np.eye(setting.values) - model.weights)
    train, test = (model.draw(rng, n) for n in (setting.train, setting.test))
    for _ in range(setting.hidden):
        pair = rng.choice(setting.values, 2, replace=False)
        for roles in (train, test):
            pushed = np.zeros_like(roles)
            pushed[:, pair] = 0.6 * rng.normal(size=len(roles))[:, None]
            roles += pushed @ total
    design = Design.of(setting.values, ITEMS, setting.train, setting.test, temperature=setting.temperature)
    asked = [Questioning(design, load_noise(), number, (0,), group) for group in (0, 1)]
    before = asked[1].ask(test, design.asked_test).scores
    differences: list[FloatArray] = []
    experiment: list[int] = []
    steered = np.sort(rng.permutation(setting.values)[: max(1, round(setting.share * setting.values))])
    for k, value in enumerate(steered):
        push = np.zeros(setting.values)
        push[value] = setting.strength
        if setting.off_target:
            other = rng.choice(np.delete(np.arange(setting.values), value))
            push[other] = setting.off_target * setting.strength * rng.choice([-1, 1])
        for strength in STRENGTHS:
            moved = test + strength * push @ total
            after = asked[1].ask(moved, design.asked_test, condition=len(differences)).scores
            differences.append(after - before)
            experiment.append(k)
    scores = asked[0].ask(train, design.asked_train).scores
    numbers = np.array(experiment, dtype=np.int64)
    experiments = Experiments(
        model.graph.names,
        tuple(f"c{c}" for c in range(len(numbers))),
        numbers,
        tuple(f"f{k}" for k in numbers),
        np.stack(differences),
        {},
    )
    return Study(
        model,
        scores[~np.isnan(scores).any(axis=1)],
        experiments,
        before,
        np.repeat(steered, len(STRENGTHS)).astype(np.int64),
        np.tile(STRENGTHS, len(steered)),
    )

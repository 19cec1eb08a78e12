"""Traits as proposals in worlds with the respondent's planted truth and ideal answers.

`python -m benchmarks.guide_traits --roles 60,150,300 --worlds 5`. Every world generates its own roles, to
choose by, and its own judges; every trait that enough roles share is judged by giving it to judges who lack
it, 40 (intervals) and 400 (what it really does). Beside it the plain difference between roles with and
without it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.calibration.respondent import ASSETS, Planted
from axiograph.discovery.guide.roles import RoleScores
from axiograph.discovery.guide.traits import MIN_SHARING, TraitEffects, traits_of, with_trait
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.study.roles import generate_roles, load_role_fields
from tests.discovery.guide.guide_world import THRESHOLDS, World

FEW, MANY, NORMAL = 40, 400, 1.96


@dataclass(frozen=True)
class Outcome:
    """In standard deviations over roles, [traits, values]: `true` (many judges), `said`, and `plain`;
    `inside` [traits, values]: whether the interval holds the mean of the few judges."""

    true: FloatArray
    said: FloatArray
    plain: FloatArray
    inside: FloatArray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roles", default="60,150,300")
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    for count in map(int, options.roles.split(",")):
        found = [outcome(count, options.seed + number) for number in range(options.worlds)]
        print(f"{count} roles: {report(found)}", flush=True)
    print(f"{time.process_time() - started:.0f} s of CPU")


def outcome(count: int, seed: int) -> Outcome:
    world, planted, rng = World.respondent(), Planted.load(), np.random.default_rng(seed)
    fields = load_role_fields(ASSETS / "role_fields.yaml")

    def answered(texts: list[str]) -> FloatArray:
        return world.answers(planted.values(texts), {}, rng)

    texts, few, many = (
        [role.text for role in generate_roles(fields, n, 3 * seed + k)]
        for k, n in enumerate((count, FEW, MANY))
    )
    names = tuple(f"r{i}" for i in range(count))
    value = np.repeat(np.arange(len(world.names)), len(THRESHOLDS))
    scores = RoleScores(names, world.names, answered(texts).reshape(count, -1), value, None)
    known = TraitEffects.of(scores, dict(zip(names, texts, strict=True)))
    deviation = scores.scores.std(axis=0, ddof=1)
    before = [answered(own).mean(axis=2) for own in (few, many)]
    true, plain, inside, kept = [], [], [], np.flatnonzero(known.sharing >= MIN_SHARING)
    for t in kept:
        means, counts = [], []
        for judges, base in zip((few, many), before, strict=True):
            given = [with_trait(text, known.traits[t]) or text for text in judges]
            lacking = [i for i, text in enumerate(judges) if given[i] != text]
            change = answered([given[i] for i in lacking]).mean(axis=2) - base[lacking]
            means.append(change.mean(axis=0))
            counts.append(len(lacking))
        spread = np.sqrt(known.error[t] ** 2 + known.spread[t] ** 2 / counts[0])
        inside.append(np.abs(means[0] - known.effect[t]) <= NORMAL * spread)
        true.append(means[1] / deviation)
        has = np.array([known.traits[t] in traits_of(text) for text in texts])
        plain.append((scores.scores[has].mean(axis=0) - scores.scores[~has].mean(axis=0)) / deviation)
    return Outcome(np.array(true), known.effect[kept] / deviation, np.array(plain), np.array(inside))


def report(found: list[Outcome]) -> str:
    inside = np.concatenate([own.inside.ravel() for own in found])
    parts = [
        f"{len(inside)} effects of {sum(len(own.true) for own in found)} traits; intervals at 95 %: "
        f"{inside.mean():.1%} hold the mean of {FEW} judges"
    ]
    for label in ("said", "plain"):
        off = np.concatenate([(getattr(own, label) - own.true).ravel() for own in found])
        best = [
            (getattr(own, label)[t, k], own.true[t, k])
            for own in found
            for k in range(own.true.shape[1])
            for t in [int(np.argmax(getattr(own, label)[:, k]))]
        ]
        said, true = np.mean(best, axis=0)
        name = "fitted together" if label == "said" else "plain difference"
        parts.append(
            f"{name}: error {np.sqrt(np.mean(off**2)):.2f} sd (root mean square), the largest for a "
            f"value said to be {said:.2f} is {true:.2f}"
        )
    largest = np.mean([own.true.max(axis=0).mean() for own in found])
    return "; ".join(parts) + f" (largest there is {largest:.2f})"


if __name__ == "__main__":
    main()

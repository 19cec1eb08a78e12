"""Guided steering in many worlds with the respondent's planted truth and ideal answers (tests' own world).

`python -m benchmarks.guide_simulated --worlds 10`. Every world draws its own roles, learns its own graph from
200 of them with 200 replicates, sweeps its features over 40 others, and judges on 40 (intervals) and on 4,000
new ones (what the steering really does).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl

from axiograph.discovery.discover import discover
from axiograph.discovery.effects.relations import Weights
from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.link import position
from axiograph.discovery.guide.model import EffectsModel, Measured, effects_model
from axiograph.discovery.guide.paths import Paths
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.targets import parse_wishes
from axiograph.discovery.guide.validation import Asked, judge
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import DiscoverySpec
from benchmarks.guide_scenarios import Scenario, scenarios
from benchmarks.guide_tally import Outcome, outcome, report
from tests.discovery.guide.guide_world import STRENGTHS, THRESHOLDS, World, sweep, with_items

CHOOSING, TRAINING, JUDGES, MANY, DRAWS = 40, 200, 40, 4000, 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--items", action="store_true", help="Judge by the half of the items not asked before."
    )
    parser.add_argument(
        "--choosing-only", action="store_true", help="Take no other roles' baseline into account."
    )
    options = parser.parse_args()
    started, found = time.process_time(), []
    for number in range(options.worlds):
        found += world_outcomes(options.seed + number, options.items, options.choosing_only)
        print(f"world {number + 1} of {options.worlds}", flush=True)
    print(report(found))
    print(f"\n{time.process_time() - started:.0f} s of CPU")


def world_outcomes(seed: int, halves: bool, alone: bool) -> list[Outcome]:
    world, rng = World.respondent(), np.random.default_rng(seed)
    order = rng.permutation(len(THRESHOLDS))
    half = len(order) // 2
    asked, new = (THRESHOLDS[order[:half]], THRESHOLDS[order[half:]]) if halves else (THRESHOLDS, THRESHOLDS)
    training = world.profiles(world.roles(TRAINING, rng), {}, rng, asked)
    graph = discover(training, DiscoverySpec(replicates=200, seed=seed))
    values = world.roles(CHOOSING, rng)
    if halves:
        table, means = with_items(world, values, world.levers(STRENGTHS), rng, (asked, 1.0))
        measured = Measured.of(table, items=means)
    else:
        swept = world.profiles(values, sweep(world.levers(STRENGTHS)), rng)
        everyone = pl.concat([swept.filter(condition="baseline"), training]).select(world.names).to_numpy()
        measured = Measured.of(swept, everyone=None if alone else everyone)
    weights = Weights.of(graph.graph, graph.bootstrap.graphs)
    before = training.select(world.names).to_numpy()
    judges = (world.roles(JUDGES, rng), world.roles(MANY, rng))
    models: dict[tuple[str, ...], EffectsModel] = {}
    found = []
    for scenario in scenarios():
        if scenario.without not in models:
            own = World.respondent(scenario.without)
            width = effects_model(measured, own.levers(), None, draws=2).link.width
            paths = Paths.of(
                position(before, width), world.names, graph.graph, graph.bootstrap.graphs, DRAWS, rng
            )
            models[scenario.without] = effects_model(measured, own.levers(), paths, draws=DRAWS, seed=seed)
        found.append(_one(world, models[scenario.without], weights, scenario, judges, new, rng))
    return found


def _one(
    world: World,
    model: EffectsModel,
    weights: Weights,
    scenario: Scenario,
    judges: tuple[np.ndarray, np.ndarray],
    thresholds: np.ndarray,
    rng: np.random.Generator,
) -> Outcome:
    wishes = parse_wishes(scenario.raised, scenario.lowered, scenario.held, model.names)
    search = Search(model, wishes, 3, JUDGES, frozenset({LeverKind.SAE}), weights)
    try:
        best = search.proposals(1)[0]
    except InputError as error:
        return outcome(scenario, None, None, None, str(error))
    lever, strength = search.rival(best)
    settings = {"guided": dict(best.settings), "unguided": {lever.name: strength}}
    judged = []
    for values in judges:
        profiles: pl.DataFrame = world.profiles(values, settings, rng, thresholds)
        asked = Asked(1, best.name, best.table(model, wishes), "guided", "unguided")
        judged.append(judge(profiles, [asked]))
    return outcome(scenario, best, judged[0], judged[1], "")


if __name__ == "__main__":
    main()

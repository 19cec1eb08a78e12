"""The graph of roles and experiments together, on planted graphs, beside PC and best-order search on the
roles.

    OMP_NUM_THREADS=1 python benchmarks/interventions.py --graphs 30

How far each is from the directed graph, and how often an arrow of a high frequency is reversed. Random
planted graphs (discovery.calibration.simulation.random_model); 12 yes/no items a value with the noise of
the built-in respondent, answered greedily or sampled once at temperature 1. Training roles answer the
baseline; test roles the baseline and every feature at strengths −1 and +1, each of which moves its value by
as many units (standard deviations) and all that follows from it. SHD is to the planted DAG: an edge without
a direction, or with the wrong one, counts as one.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from axiograph.discovery.calibration.noise import load_noise
from axiograph.discovery.calibration.simulation import Design, PlantedModel, Questioning, random_model
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.search import pc
from axiograph.discovery.resampling.bootstrap import bootstrap
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.engine.study.schema import DiscoverySpec

OUT = Path(__file__).parent / "results" / "interventions.md"
ITEMS = 12
STRENGTHS = (-1.0, 1.0)
SURE = 0.9
THRESHOLD = float(DiscoverySpec().threshold)


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
    """`baseline` [train, p] without missing scores; what was done, and the graph behind it."""

    model: PlantedModel
    baseline: FloatArray
    experiments: Experiments

    @property
    def dag(self) -> BoolArray:
        return np.asarray(self.model.weights != 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=30)
    parser.add_argument("--replicates", type=int, default=100)
    arguments = parser.parse_args()
    lines = [_line(setting, arguments.graphs, arguments.replicates) for setting in SETTINGS]
    seconds = _time_of_replicates()
    OUT.write_text(_page(arguments, lines, seconds), encoding="utf-8")


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
    differences, experiment = [], []
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
    return Study(model, scores[~np.isnan(scores).any(axis=1)], experiments)


def _line(setting: Setting, graphs: int, replicates: int) -> str:
    distances: dict[str, list[int]] = {name: [] for name in ("pc", "boss", "joint", "consensus")}
    sure = turned = nothing = 0
    for number in range(graphs):
        one = study(setting, number)
        names = one.model.graph.names
        search = InterventionalSearch.beside(BestOrder(), one.experiments, names, one.baseline)
        distances["pc"].append(_distance(pc(one.baseline, names).graph, one.dag))
        distances["boss"].append(_distance(BestOrder()(one.baseline, names).graph, one.dag))
        whole = search(one.baseline, names).graph
        distances["joint"].append(_distance(whole, one.dag))
        found = bootstrap(
            ScoreTable(one.baseline, names),
            Search(search),
            Resampling(replicates, null_replicates=0),
            full=whole,
        ).edges
        distances["consensus"].append(_distance(found.consensus(THRESHOLD), one.dag))
        frequent = found.forward >= SURE * replicates
        sure += int(frequent.sum())
        turned += int((frequent & one.dag.T).sum())
        nothing += int((frequent & ~one.dag & ~one.dag.T).sum())
    cells = [f"{np.mean(d):.2f} ± {np.std(d, ddof=1) / np.sqrt(graphs):.2f}" for d in distances.values()]
    shares = [
        f"{sure / graphs:.1f}",
        f"{100 * turned / max(1, sure):.1f}",
        f"{100 * nothing / max(1, sure):.1f}",
    ]
    line = f"| {setting.name} | {setting.train} + {setting.test} | {' | '.join([*cells, *shares])} |"
    print(line, flush=True)
    return line


def _distance(graph: CausalGraph, dag: BoolArray) -> int:
    """Pairs that are not as in the DAG."""
    arrows, lines = graph.directed_mask(), graph.undirected_mask()
    return int(np.triu((arrows != dag) | (arrows != dag).T | lines, 1).sum())


def _time_of_replicates() -> float:
    """Seconds for 1,000 replicates of 17 values × 34 conditions on two threads."""
    one = study(SETTINGS[2], 0)
    names = one.model.graph.names
    search = Search(InterventionalSearch.beside(BestOrder(), one.experiments, names, one.baseline))
    table, full = ScoreTable(one.baseline, names), CausalGraph.empty(names)
    started = time.perf_counter()
    bootstrap(table, search, Resampling(1000, null_replicates=0), full=full, jobs=2)
    return time.perf_counter() - started


def _page(arguments: argparse.Namespace, lines: list[str], seconds: float) -> str:
    about = "\n".join(__doc__.splitlines()[4:])
    return f"""# Roles and experiments together

`python benchmarks/interventions.py --graphs {arguments.graphs} --replicates {arguments.replicates}`; Python \
{platform.python_version()}, numpy {np.__version__}, numba {metadata.version("numba")}, {platform.machine()}.
{about}

SHD to the directed graph, mean ± standard error: pc and boss, one search on the training roles' baseline;
joint, one search on roles and experiments; its consensus at a threshold of {THRESHOLD:g}. Arrows in
{SURE:g} of the replicates or more: how many a graph, reversed and between values that no edge joins, in %.

| setting | roles | pc | boss | joint | consensus | arrows ≥ {SURE:g} | reversed | no edge |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

1,000 replicates of 17 values × 34 conditions on two threads: {seconds:.1f} s.
"""


if __name__ == "__main__":
    main()

"""How often a graph is said to predict what levers do: by chance, and where it does.

    OMP_NUM_THREADS=1 python benchmarks/prediction.py --studies 200

100 roles and 8 steered ones; every lever pushes by one unit (the values' errors have standard deviation 1) at
strengths −1 and +1, measured with an error of 0.5 units a role and condition. Worlds: alone, values have
nothing to do with each other, a lever moves one of them; off target, likewise, but a lever moves all values
by random amounts; linked, a random graph (2 edges a value on average, weights 0.35 to 0.7), a lever moves one
value and what follows from it. Said: R² of left-out levers less two standard errors is above 0.
"""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from pathlib import Path

import numpy as np

from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.interventions.prediction import Prediction, predict_left_out
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.inputs import SearchInput

OUT = Path(__file__).parent / "results" / "prediction.md"
WORLDS = ("alone", "off target", "linked")
SIZES = ((8, 3), (8, 5), (8, 8), (17, 8), (17, 17))  # values, levers
ROLES, STEERED, ERROR = 100, 8, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    studies = parser.parse_args().studies
    lines = [_line(world, *size, studies) for world in WORLDS for size in SIZES]
    about = "\n".join(__doc__.splitlines()[4:])
    OUT.write_text(
        f"""# How often a graph is said to predict

`OMP_NUM_THREADS=1 python benchmarks/prediction.py --studies {studies}`; Python \
{platform.python_version()}, numpy {metadata.version("numpy")}, {platform.machine()}.

{about}

| world | values | levers | said | mean R² |
|---|---|---|---|---|
{chr(10).join(lines)}
""",
        encoding="utf-8",
    )


def _line(world: str, values: int, levers: int, studies: int) -> str:
    found = [_predicted(world, values, levers, number) for number in range(studies)]
    said = sum(one.least is not None and one.least > 0 for one in found)
    mean = np.mean([one.r_squared for one in found if one.r_squared is not None])
    line = f"| {world} | {values} | {levers} | {said / studies:.3f} | {mean:.2f} |"
    print(line, flush=True)
    return line


def _predicted(world: str, values: int, levers: int, number: int) -> Prediction:
    rng = np.random.default_rng([31, values, levers, number, WORLDS.index(world)])
    weights = np.zeros((values, values))
    if world == "linked":
        weights = np.triu(rng.random((values, values)) < 4 / (values - 1), 1) * rng.uniform(
            0.35, 0.7, weights.shape
        )
    total = np.linalg.inv(np.eye(values) - weights)
    data = rng.normal(size=(ROLES, values)) @ total
    pushes = np.eye(values)[rng.integers(values, size=levers)]
    if world == "off target":
        pushes = rng.normal(size=(levers, values))
    moved = np.repeat(pushes @ total, 2, axis=0) * np.tile([-1.0, 1.0], levers)[:, None]
    before = ERROR * rng.normal(size=(STEERED, values))
    after = moved[:, None] + ERROR * rng.normal(size=(2 * levers, STEERED, values))
    lever = np.repeat(np.arange(levers), 2)
    names = tuple(f"v{k}" for k in range(values))
    labels = tuple(f"f{k}" for k in lever)
    conditions = tuple(f"c{k}" for k in range(2 * levers))
    tried = Experiments(names, conditions, lever, labels, after - before, {})
    search = InterventionalSearch.beside(BestOrder(), tried, names, data)
    inputs = SearchInput(data, np.corrcoef(data.T), names, ROLES, 0.0, None, True)
    return predict_left_out(search, inputs, constraints(None, names))


if __name__ == "__main__":
    main()

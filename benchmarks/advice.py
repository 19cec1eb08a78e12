"""Does an advised study settle the directions? On the built-in respondent, whose graph is known.

    OMP_NUM_THREADS=1 python benchmarks/advice.py runs/demo --pilots 20

RUN is a demonstration: 200 training roles and 8 steered ones, eight features at −2 and +2, 96 items. Pilots
and the advised studies are drawn from its answers: roles without replacement. A pilot has 12
training and 4 steered roles, other ones than the advised study where there are enough; what it advises is
asked, searched once, and held against the planted directed graph. Where more than 8 steered roles are
advised, the 8 of the run are all that is asked.
"""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import polars as pl

from axiograph.cluster.stages.discover import run_experiments
from axiograph.cluster.stages.score import scored_items
from axiograph.discovery.calibration.respondent import Planted, over_names
from axiograph.discovery.comparison.graphs import compare
from axiograph.discovery.discover import discover
from axiograph.discovery.interventions.design import Pilot, StudyDesign, advise
from axiograph.discovery.interventions.experiments import Experiments, experiments
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.orders.search import BestOrder
from axiograph.engine.runs.run_dir import open_run
from axiograph.engine.study.conditions import BASELINE
from axiograph.engine.study.schema import DiscoverySpec

OUT = Path(__file__).parent / "results" / "advice.md"
TRAINING, STEERED, ITEMS = 12, 4, 96
ALPHA = 0.85  # of the values, as measured (benchmarks/results/respondent.md)


class Answers:
    """Item scores of a run: role, split, condition, value, item_id, agreement, score."""

    def __init__(self, path: Path) -> None:
        run = open_run(path)
        texts = pl.col("role", "split", "condition", "value", "item_id").cast(pl.String)
        columns = ("role", "split", "condition", "value", "item_id", "score")
        self.table = scored_items(run).with_columns(texts).select(columns).collect()
        keys = pl.DataFrame([(item.item_id, item.agreement) for item in run.inputs().items], orient="row")
        self.table = self.table.join(
            keys.rename({"column_0": "item_id", "column_1": "agreement"}), on="item_id"
        )
        tried = run_experiments(run)
        self.groups = {c: (lever, lever) for c, lever in zip(tried.conditions, tried.levers, strict=True)}
        self.roles = {
            split: sorted(self.table.filter(pl.col("split") == split)["role"].unique())
            for split in ("train", "test")
        }

    def profiles(self, roles: list[str], conditions: list[str], share: float, seed: int) -> pl.DataFrame:
        """Of these, by the mean over a share of every value's items, both keys alike."""
        items = self.table.select("value", "item_id", "agreement").unique().sort("item_id")
        kept = items.filter(
            pl.int_range(pl.len()).shuffle(seed=seed).over("value", "agreement")
            < (share * pl.len()).ceil().over("value", "agreement")
        )
        chosen = self.table.filter(
            pl.col("role").is_in(roles) & pl.col("condition").is_in([BASELINE, *conditions])
        )
        means = chosen.join(kept.select("item_id"), on="item_id").group_by(
            "role", "split", "condition", "value"
        )
        return (
            means.agg(pl.col("score").mean())
            .pivot("value", index=["role", "split", "condition"], values="score")
            .sort("role", "condition")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--pilots", type=int, default=20)
    arguments = parser.parse_args()
    answers, planted = Answers(arguments.run), Planted.load()
    lines, distances, requests = [], [], []
    for number in range(arguments.pilots):
        design, distance = _advised(answers, planted, number)
        distances.append(distance)
        requests.append(design.requests(ITEMS))
        lines.append(
            f"| {number} | {design.training} | {design.steered} | {design.conditions} | {design.share:.0%} | "
            f"{requests[-1]:,} | {distance} |"
        )
        print(lines[-1], flush=True)
    _write(arguments, lines, np.array(distances), np.array(requests))


def _advised(answers: Answers, planted: Planted, number: int) -> tuple[StudyDesign, int]:
    """What pilot `number` advises, and how far off the directed graph is that it leads to."""
    rng = np.random.default_rng([41, number])
    train, test = (list(rng.permutation(answers.roles[split])) for split in ("train", "test"))
    conditions = list(answers.groups)
    data, tried, names = _study(answers, train[:TRAINING], test[:STEERED], conditions, 1.0, number)
    columns = {"role": [f"r{k}" for k in range(len(data))]}
    table = pl.DataFrame(columns | dict(zip(names, data.T, strict=True)))
    found = discover(
        table, DiscoverySpec(rows="interventional", replicates=1), experiments=tried, null_replicates=0
    )
    assert found.interventional is not None
    nodes, weights = found.interventional.coefficients
    scale = np.array([data[:, names.index(name)].std() for name in nodes])
    advice = advise(Pilot.of(nodes, weights, tried, scale, np.full(len(nodes), ALPHA)), ITEMS)
    design = (advice.advised or advice.nearest).design
    asked = [name for lever in design.levers for name in lever.conditions]
    # Other roles than the pilot's, as far as there are any.
    training = [*train[TRAINING:], *train[:TRAINING]][: design.training]
    steered = [*test[STEERED:], *test[:STEERED]][: design.steered]
    data, tried, names = _study(answers, training, steered, asked, design.share, number + 1000)
    graph = InterventionalSearch.beside(BestOrder(), tried, names, data)(data, names).graph
    return design, compare(over_names(graph, planted.names), planted.dag).shd


def _study(
    answers: Answers, training: list[str], steered: list[str], conditions: list[str], share: float, seed: int
) -> tuple[np.ndarray, Experiments, list[str]]:
    profiles = answers.profiles([*training, *steered], conditions, share, seed)
    names = [name for name in profiles.columns if name not in ("role", "split", "condition")]
    tried = experiments(profiles, BASELINE, names, {c: answers.groups[c] for c in conditions}, "test")
    data = profiles.filter(pl.col("role").is_in(training)).select(names).to_numpy()
    return data, tried, names


def _write(
    arguments: argparse.Namespace, lines: list[str], distances: np.ndarray, requests: np.ndarray
) -> None:
    pilot = ITEMS * (TRAINING + STEERED * 17)
    default = ITEMS * (200 + 8 * 17)
    half = int((2 * requests < default).sum())
    about = "\n".join(__doc__.splitlines()[4:])
    OUT.write_text(
        f"""# Advised studies

`OMP_NUM_THREADS=1 python benchmarks/advice.py RUN --pilots {arguments.pilots}`; Python \
{platform.python_version()}, numpy {metadata.version("numpy")}, {platform.machine()}.

{about}

A pilot takes {pilot:,} requests, the default sweep of the demonstration {default:,}. Advised on average
{requests.mean():,.0f} ({(requests / default).mean():.0%} of the default; with the pilot
{((requests + pilot) / default).mean():.0%}; less than half: {half} of {len(requests)}).
Directed graph exactly as planted:
{int((distances == 0).sum())} of {len(distances)}; {distances.mean():.2f} pairs off on average.

| pilot | training | steered | conditions | items | requests | pairs off |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

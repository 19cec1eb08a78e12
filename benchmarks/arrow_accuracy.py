"""How often an edge of the consensus is true, and its arrow right, by its frequency: the table that axiograph
ships (discovery/verdict/accuracy.csv), by simulation.

Random planted graphs (discovery.calibration.simulation.random_model: 9/8 edges a value, weights 0.35 to 0.7,
no hidden causes); the consensus of half-samples of the roles at the default threshold. Scores: the values
themselves (gaussian), or the means of 12 yes/no items a value, answered greedily with the noise of the
built-in respondent (answers).

    python benchmarks/arrow_accuracy.py [--algorithms boss pc] [--replicates 200] [--scale 1]

A row of the table: algorithm, noise, values, roles, kind, low, high, and counts n, right, reversed, none.

- arrow: arrows a → b of the consensus by the share of replicates that have a → b, in [low, high): right where
  a causes b in the planted graph, reversed where b causes a, none where neither does.
- adjacency: pairs adjacent in the consensus by that frequency: right where one causes the other, else none.
- arrows: those of the planted CPDAG, which data can tell: right or reversed in the consensus, none where it
  has no arrow there.
- edges: those of the planted graph: right where the consensus joins them, else none.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl

from axiograph.discovery.algorithms.registry import search_function
from axiograph.discovery.calibration.noise import load_noise
from axiograph.discovery.calibration.simulation import Design, PlantedModel, Questioning, random_model
from axiograph.discovery.graph.causal_graph import CausalGraph, shd
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.numerics.intervals import share
from axiograph.discovery.resampling.bootstrap import bootstrap
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.engine.study.schema import DiscoverySpec

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "discovery" / "verdict" / "accuracy.csv"
OUT = ROOT / "benchmarks" / "results" / "arrow_accuracy.md"
VALUES = {5: 150, 8: 100, 12: 60, 17: 50, 30: 24}  # and how many planted graphs
ROLES = (25, 50, 100, 200, 400)
NOISE = ("gaussian", "answers")
ITEMS = 12
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)  # lower ends; the last bin holds 1 as well
HIGH = 0.7
THRESHOLD = float(DiscoverySpec().threshold)
Key = tuple[str, float, float]
FIELDS = ("n", "right", "reversed", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", default=["boss", "pc"])
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of planted graphs")
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows: list[dict[str, object]] = []
    lines: list[str] = []
    for algorithm in arguments.algorithms:
        for noise in NOISE:
            for values, graphs in VALUES.items():
                count = max(2, round(graphs * arguments.scale))
                for roles in ROLES:
                    counts, distances = _cell(algorithm, noise, values, roles, count, arguments.replicates)
                    cell = {"algorithm": algorithm, "noise": noise, "values": values, "roles": roles}
                    rows += [cell | _row(key, counted) for key, counted in sorted(counts.items())]
                    lines.append(_line([*cell.values()], count, counts, distances))
                    print(lines[-1], flush=True)
    TABLE.parent.mkdir(exist_ok=True)
    pl.DataFrame(rows).write_csv(TABLE)
    OUT.write_text(_page(arguments, lines, time.perf_counter() - started), encoding="utf-8")


def _cell(
    algorithm: str, noise: str, values: int, roles: int, graphs: int, replicates: int
) -> tuple[dict[Key, Counter[str]], list[int]]:
    """The counts of a cell, and the SHD of the consensus to each planted graph."""
    counts: dict[Key, Counter[str]] = {}
    distances = []
    for g in range(graphs):
        model = random_model(np.random.default_rng([17, values, g]), values)
        table = ScoreTable(_scores(model, noise, roles, g), model.graph.names)
        found = bootstrap(
            table,
            Search(search_function(algorithm)),
            Resampling(replicates, seed=g, null_replicates=0),
            full=CausalGraph.empty(model.graph.names),
        ).edges
        consensus = found.consensus(THRESHOLD)
        distances.append(shd(consensus, model.graph))
        _count_found(counts, found, consensus, model.dag)
        _count_recall(counts, consensus, model)
    return counts, distances


def _scores(model: PlantedModel, noise: str, roles: int, number: int) -> FloatArray:
    """[roles, values]; the first roles are the same however many follow."""
    true = model.draw(np.random.default_rng([18, len(model.graph.names), number]), roles)
    if noise == "gaussian":
        return true
    design = Design.of(len(model.graph.names), ITEMS, roles)
    scores = Questioning(design, load_noise(), number, (0,), 0).ask(true, design.asked_train).scores
    return np.where(np.isnan(scores), 0.0, scores)  # a value none of whose 12 items was answered: never met


def _count_found(
    counts: dict[Key, Counter[str]], found: EdgeCounts, consensus: CausalGraph, dag: BoolArray
) -> None:
    adjacent, forward = found.frequencies(), share(found.forward, found.together)
    for i, j in consensus.directed_edges():
        _add(counts, ("arrow", *_bin(forward[i, j])), dag[i, j], dag[j, i])
    for i, j in zip(*np.nonzero(np.triu(consensus.adjacency(), 1)), strict=True):
        _add(counts, ("adjacency", *_bin(adjacent[i, j])), dag[i, j] or dag[j, i], False)


def _count_recall(counts: dict[Key, Counter[str]], consensus: CausalGraph, model: PlantedModel) -> None:
    arrows, joined = set(consensus.directed_edges()), consensus.adjacency()
    for i, j in model.graph.directed_edges():
        _add(counts, ("arrows", 0.0, 1.0), (i, j) in arrows, (j, i) in arrows)
    for i, j in zip(*np.nonzero(model.dag), strict=True):
        _add(counts, ("edges", 0.0, 1.0), bool(joined[i, j]), False)


def _add(counts: dict[Key, Counter[str]], key: Key, right: bool, turned: bool) -> None:
    what = "right" if right else "reversed" if turned else "none"
    counts.setdefault(key, Counter()).update(["n", what])


def _bin(frequency: float) -> tuple[float, float]:
    ends = (*BINS[1:], 1.0)
    number = int(np.searchsorted(BINS, frequency + 1e-9, side="right")) - 1
    return BINS[number], ends[number]


def _row(key: Key, counted: Counter[str]) -> dict[str, object]:
    kind, low, high = key
    return {"kind": kind, "low": low, "high": high} | {name: counted[name] for name in FIELDS}


def _line(cell: list[object], graphs: int, counts: dict[Key, Counter[str]], distances: list[int]) -> str:
    error = np.std(distances, ddof=1) / np.sqrt(graphs)
    high: Counter[str] = Counter()
    every: Counter[str] = Counter()
    edges: Counter[str] = Counter()
    for (kind, low, _), counted in counts.items():
        if kind == "arrow":
            every += counted
            high += counted if low >= HIGH - 1e-9 else Counter()
        if kind == "adjacency":
            edges += counted
    recall = {kind: counts.get((kind, 0.0, 1.0), Counter()) for kind in ("edges", "arrows")}
    shares = [
        f"{np.mean(distances):.1f} ± {error:.1f}",
        f"{recall['edges']['n'] / graphs:.1f}",
        _share(edges, "right"),
        _share(recall["edges"], "right"),
        f"{high['n'] / graphs:.1f}",
        *(_share(high, name) for name in FIELDS[1:]),
        *(_share(every, name) for name in FIELDS[1:3]),
        _share(recall["arrows"], "right"),
    ]
    return f"| {' | '.join(map(str, cell))} | {graphs} | {' | '.join(shares)} |"


def _share(counted: Counter[str], what: str) -> str:
    return f"{100 * counted[what] / counted['n']:.0f}" if counted["n"] else "–"


def _page(arguments: argparse.Namespace, lines: list[str], seconds: float) -> str:
    names = " ".join(arguments.algorithms)
    return f"""# How often edges and arrows of the consensus are right

`python benchmarks/arrow_accuracy.py --algorithms {names} --replicates {arguments.replicates} --scale \
{arguments.scale:g}`, {seconds / 60:.0f} min of one core that others used too; Python \
{platform.python_version()}, numpy {np.__version__}, {platform.machine()}.

{_TEXT}
{_HEADER}
{chr(10).join(lines)}
"""


_TEXT = (
    "\n".join(__doc__.splitlines()[3:8])
    + """

SHD: of the consensus to the planted CPDAG, mean ± standard error. Shares in %: edges true: of the pairs that
the consensus joins; edges found: of the planted ones. Arrows of frequency 0.7 or more: how many a graph, and
the shares that are right, reversed, between values that no edge joins. Arrows found: of those of the planted
CPDAG. By frequency: discovery/verdict/accuracy.csv.
"""
)
_HEADER = (
    "| algorithm | noise | values | roles | graphs | SHD | planted edges | edges true | edges found | "
    "arrows ≥ 0.7 | right | reversed | no edge | all arrows: right | reversed | arrows found |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


if __name__ == "__main__":
    main()

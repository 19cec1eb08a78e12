"""Best-order search: what a graph takes beside causal-learn's BOSS, and how right searches are.

    python benchmarks/orders.py [--graphs 20] [--replicates 60] [--only speed|truth]

Speed: planted models of the calibration with 200 roles; causal-learn on the same data in the same run, up to
60 values. Truth: planted models, Gaussian values, the consensus of half-samples (threshold 0.5) against the
class of the planted graph; a pair whose edge differs counts once (SHD). Writes benchmarks/results/orders.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: one core means one core

import numpy as np

from axiograph.discovery.calibration.simulation import PlantedModel, random_model
from axiograph.discovery.graph.causal_graph import shd
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder, best_dag
from axiograph.discovery.pc.search import PC, SearchFunction, pc
from axiograph.discovery.resampling.bootstrap import bootstrap
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.engine.study.schema import DiscoverySpec

RESULT = Path(__file__).resolve().parent / "results" / "orders.md"
SIZES = (8, 17, 30, 60, 224)
SEARCHES: dict[str, SearchFunction] = {
    "pc": pc,
    "pc, majority": PC("majority"),
    "pc, max_p": PC("max_p"),
    "boss, 1 × BIC": BestOrder(1.0),
    "boss, 2 × BIC": BestOrder(2.0),
    "boss, 2 × BIC, 10 starts": BestOrder(2.0, 10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=20)
    parser.add_argument("--replicates", type=int, default=60)
    parser.add_argument("--only", choices=("speed", "truth"))
    told = parser.parse_args()
    lines = _header(told.graphs, told.replicates)
    parts = {"speed": _speed, "truth": lambda: _truth(told.graphs, told.replicates)}
    for name, part in parts.items():
        if told.only in (None, name):
            lines += part()
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _header(graphs: int, replicates: int) -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in ("causal-learn", "numpy", "numba"))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        "# Best-order search",
        "",
        f"`python benchmarks/orders.py --graphs {graphs} --replicates {replicates}`",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}. Load "
        f"average at the start: {load}; times are CPU seconds of one core, which other work makes longer.",
        "",
    ]


def _planted(values: int, number: int, roles: int) -> tuple[PlantedModel, FloatArray]:
    model = random_model(np.random.default_rng([17, values, number]), values)
    return model, model.draw(np.random.default_rng([18, values, number]), roles)


def _speed() -> list[str]:
    lines = ["## Time of a graph, from the correlations of 200 roles", ""]
    lines += ["| values | boss, 3 starts | one start | causal-learn's BOSS | ratio to one start |"]
    lines += ["|---|---|---|---|---|"]
    for values in SIZES:
        data = [_planted(values, number, 200)[1] for number in range(20 if values < 60 else 2)]
        corrs = [np.ascontiguousarray(np.corrcoef(one.T)) for one in data]
        three, one = (_ours(corrs, BestOrder(starts=starts)) for starts in (3, 1))
        peer = _causal_learn(data[: 5 if values < 60 else 1]) if values <= 60 else np.nan
        ratio = "–" if np.isnan(peer) else f"{peer / one:.0f}"
        shown = "not run" if np.isnan(peer) else f"{peer * 1e3:.3g} ms"
        lines.append(f"| {values} | {three * 1e6:.0f} µs | {one * 1e6:.0f} µs | {shown} | {ratio} |")
        print(lines[-1], flush=True)
    return [*lines, "", *_replicates(), ""]


def _ours(corrs: list[FloatArray], search: BestOrder) -> float:
    none = constraints(None, [str(k) for k in range(len(corrs[0]))])
    return _best(lambda: [best_dag(corr, 200, search, none) for corr in corrs]) / len(corrs)


def _best(work: Callable[[], object], times: int = 5) -> float:
    """CPU seconds of the quickest of several runs, after one that compiles."""
    work()
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def _causal_learn(data: list[FloatArray]) -> float:
    from causallearn.search.PermutationBased.BOSS import boss

    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in data:
            boss(one, parameters={"lambda_value": 1.0}, verbose=False)
    return (time.process_time() - start) / len(data)


def _replicates() -> list[str]:
    model, data = _planted(17, 0, 100)
    table, search = ScoreTable(data, model.graph.names), Search(BestOrder(), 0.05)
    lines = []
    for jobs in (1, 2):

        def work(jobs: int = jobs) -> object:
            plan = Resampling(1000, null_replicates=0)
            return bootstrap(table, search, plan, full=model.graph, jobs=jobs)

        work()
        start = time.perf_counter()
        work()
        lines.append(
            f"1,000 replicates of 17 values and 100 roles, {jobs} threads: "
            f"{time.perf_counter() - start:.2f} s of the wall clock."
        )
        print(lines[-1], flush=True)
    return lines


def _truth(graphs: int, replicates: int) -> list[str]:
    lines = [
        f"## Consensus of {replicates} half-samples against the planted graph, {graphs} graphs a cell",
        "",
    ]
    lines += [
        "SHD (standard error); reversed among arrows of frequency ≥ 0.7; number of such arrows a graph.",
        "",
    ]
    lines += ["| values | roles | " + " | ".join(SEARCHES) + " |", "|---" * (2 + len(SEARCHES)) + "|"]
    for values in (8, 17, 30):
        for roles in (50, 100, 200, 400):
            cells = [_cell(search, values, roles, graphs, replicates) for search in SEARCHES.values()]
            lines.append(f"| {values} | {roles} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    return [*lines, "", *_ges(graphs), ""]


def _cell(function: SearchFunction, values: int, roles: int, graphs: int, replicates: int) -> str:
    distances, arrows, wrong = [], 0, 0
    for number in range(graphs):
        model, data = _planted(values, number, roles)
        plan = Resampling(replicates, null_replicates=0)
        table = ScoreTable(data, model.graph.names)
        found = bootstrap(table, Search(function, 0.05), plan, full=model.graph).edges
        distances.append(shd(found.consensus(DiscoverySpec().threshold), model.graph))
        sure = found.forward >= 0.7 * replicates
        arrows += int(sure.sum())
        wrong += int((sure & model.dag.T).sum())
    error = np.std(distances) / np.sqrt(graphs)
    return (
        f"{np.mean(distances):.1f} ({error:.1f}); {100 * wrong / max(1, arrows):.0f} %; {arrows / graphs:.1f}"
    )


def _ges(graphs: int) -> list[str]:
    """Graphs of all roles: replicates of causal-learn's would take hours."""
    from axiograph.discovery.algorithms.causal_learn import GES

    lines = ["Graph of all roles, 17 values: SHD of `ges` and of `boss` at the same penalty.", ""]
    lines += [
        "| roles | ges, 1 × BIC | ges, 2 × BIC | boss, 1 × BIC | boss, 2 × BIC |",
        "|---|---|---|---|---|",
    ]
    for roles in (50, 100, 200, 400):
        cells = []
        for search in (GES(1.0), GES(2.0), BestOrder(1.0), BestOrder(2.0)):
            pairs = [_planted(17, number, roles) for number in range(min(graphs, 10))]
            distances = [shd(search(data, m.graph.names).graph, m.graph) for m, data in pairs]
            cells.append(f"{np.mean(distances):.1f}")
        lines.append(f"| {roles} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    main()

"""Coverage of the intervals of edge strengths: of the planted graph, and of the edges that a discovery keeps.

    OMP_NUM_THREADS=1 python benchmarks/edge_strengths.py --graphs 40

Gaussian values of random planted graphs (discovery.calibration.simulation.random_model). "Known": the planted
DAG's own edges and parents, whatever the data say: what the interval promises. "Chosen": the arrows of the
graph found that are in the planted DAG, against the coefficient that the planted model has given the parents
found: what a reader sees.
"""

from __future__ import annotations

import argparse
import platform
from importlib import metadata

import numpy as np
import polars as pl

from axiograph.discovery.calibration.simulation import PlantedModel, random_model
from axiograph.discovery.discover import discover
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.strengths import edge_strengths
from axiograph.engine.study.schema import DiscoverySpec

SIZES = ((8, 50), (8, 100), (8, 400), (17, 50), (17, 100), (17, 400))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=40)
    graphs = parser.parse_args().graphs
    print(f"{graphs} graphs a row; {platform.machine()}, numpy {metadata.version('numpy')}\n")
    print("| values | roles | known: edges | coverage | chosen: arrows | coverage | |estimate| / |truth| |")
    print("|---|---|---|---|---|---|---|")
    for values, roles in SIZES:
        known, chosen, sizes = [], [], []
        for number in range(graphs):
            model = random_model(np.random.default_rng([values, roles, number]), values)
            rows = model.draw(np.random.default_rng([values, roles, number, 1]), roles)
            truth = population(model)
            dag = dag_of(model)
            known += covered(dag, np.corrcoef(rows.T), roles, truth)[0]
            found = discover(table(rows, model.graph.names), DiscoverySpec(replicates=200), null_replicates=0)
            hits, ratios = covered(found.graph, found.moments.correlation, roles, truth, dag)
            chosen, sizes = chosen + hits, sizes + ratios
        print(
            f"| {values} | {roles} | {len(known)} | {np.mean(known):.3f} | {len(chosen)} | "
            f"{np.mean(chosen):.3f} | {np.median(sizes):.2f} |"
        )


def population(model: PlantedModel) -> np.ndarray:
    """[n, n] correlations of the planted model, from many rows: known to three digits."""
    return np.corrcoef(model.draw(np.random.default_rng(7), 1_000_000).T)


def dag_of(model: PlantedModel) -> CausalGraph:
    """The planted graph with all of its directions."""
    names = model.graph.names
    return CausalGraph.from_edges(names, [(names[i], names[j]) for i, j in np.argwhere(model.dag)])


def covered(
    graph: CausalGraph,
    correlation: np.ndarray,
    roles: int,
    truth: np.ndarray,
    within: CausalGraph | None = None,
) -> tuple[list[bool], list[float]]:
    """Per arrow of `graph` (that `within` has too): whether its interval holds the coefficient of the
    population given the same parents; and |estimate| / |truth|."""
    estimates = edge_strengths(graph, correlation, roles)
    exact = edge_strengths(graph, truth, 1_000_000)
    hits, ratios = [], []
    for row, true in zip(estimates.iter_rows(named=True), exact.iter_rows(named=True), strict=True):
        if row["coefficient"] is None:
            continue
        i, j = (graph.names.index(row[end]) for end in ("source", "target"))
        if within is not None and not within.directed_mask()[i, j]:
            continue
        hits.append(row["coefficient_low"] <= true["coefficient"] <= row["coefficient_high"])
        ratios.append(abs(row["coefficient"]) / abs(true["coefficient"]))
    return hits, ratios


def table(rows: np.ndarray, names: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame({"role": [f"r{i}" for i in range(len(rows))]} | dict(zip(names, rows.T, strict=True)))


if __name__ == "__main__":
    main()

"""What a graph says of true descendants: expected, possible or unexpected; and pairs expected by error.

    OMP_NUM_THREADS=1 python benchmarks/relations.py --graphs 100

Gaussian values of random planted graphs (discovery.calibration.simulation.random_model). First table: of
each search the graph of all roles, the consensus of 100 replicates at the defaults, and the weights by
these replicates. Second table: the consensus of best-order search on other shares of the roles, with other
penalties there (of BIC; the search on all roles has 2) and at other thresholds; SHD to the planted CPDAG,
arrows that 0.7 or more of the replicates have and how many of these are reversed, and edges where the
columns are independent. A pair is a true descendant where a directed path of the planted DAG leads from the
one to the other.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import polars as pl

from axiograph.discovery.calibration.simulation import PlantedModel, random_model
from axiograph.discovery.discover import Discovery, discover
from axiograph.discovery.effects.relations import Relation, Weights
from axiograph.discovery.graph.causal_graph import shd
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.discovery.resampling.rows import Resample, Units
from axiograph.discovery.resampling.weighted import orders, products
from axiograph.engine.study.schema import DiscoverySpec

SIZES = ((8, 100), (8, 200), (17, 50), (17, 100), (17, 200), (30, 100))
THRESHOLDS = (0.5, 0.4)
REPLICATES = 100


@dataclass(frozen=True)
class Draw:
    """`share` of the roles without replacement, or as many with it (None); the `penalty` of the search."""

    share: float | None
    penalty: float

    @property
    def name(self) -> str:
        return "all, with replacement" if self.share is None else f"{self.share:g}"


DRAWS = (
    Draw(0.5, 2.0),
    Draw(0.5, 1.5),
    Draw(0.5, 1.25),
    Draw(0.5, 1.0),
    Draw(0.632, 1.5),
    Draw(0.8, 2.0),
    Draw(None, 2.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=100)
    graphs = parser.parse_args().graphs
    print(f"{graphs} graphs a row; {platform.machine()}, numpy {metadata.version('numpy')}\n")
    heads = "descendants: expected | possible | unexpected | expected: no descendant"
    print(f"| values | roles | search | by | {heads} |")
    print("|---|---|---|---|---|---|---|---|")
    for values, roles in SIZES:
        for algorithm in ("pc", "boss"):
            print_searches(values, roles, algorithm, graphs)
    heads = "unexpected | expected: no descendant | SHD | arrows ≥ 0.7 a graph | reversed | by chance"
    print(f"\n| values | roles | share of roles | penalty | threshold | {heads} |")
    print("|---" * 11 + "|")
    for values, roles in SIZES:
        for draw in DRAWS:
            print_draws(values, roles, draw, graphs)


def planted(values: int, roles: int, number: int) -> tuple[PlantedModel, np.ndarray]:
    """The model and its roles [roles, values]."""
    model = random_model(np.random.default_rng([9, values, number]), values)
    return model, model.draw(np.random.default_rng([9, values, number, 1]), roles)


def print_searches(values: int, roles: int, algorithm: str, graphs: int) -> None:
    sums = {by: np.zeros(4) for by in ("one search", "consensus", "replicates")}
    for number in range(graphs):
        model, rows = planted(values, roles, number)
        discovery = discovered(rows, model.graph.names, algorithm)
        by_replicates = Weights.of(discovery.graph, discovery.bootstrap.graphs).table
        for by, table in (
            ("one search", Weights.of(discovery.all_roles, None).table[0]),
            ("consensus", by_replicates[0]),
            ("replicates", by_replicates[1]),
        ):
            sums[by] += counted(table, model)
    for by, (expected, possible, unexpected, wrong) in sums.items():
        true = expected + possible + unexpected
        shares = [expected / true, possible / true, unexpected / true, wrong / (expected + wrong)]
        cells = " | ".join(f"{share:.2f}" for share in shares)
        print(f"| {values} | {roles} | {algorithm} | {by} | {cells} |", flush=True)


def discovered(rows: np.ndarray, names: tuple[str, ...], algorithm: str) -> Discovery:
    columns = dict(zip(names, rows.T, strict=True))
    table = pl.DataFrame({"role": [f"r{i}" for i in range(len(rows))]} | columns)
    spec = DiscoverySpec.model_validate({"algorithm": algorithm, "replicates": REPLICATES})
    return discover(table, spec, null_replicates=0)


def counted(table: np.ndarray, model: PlantedModel) -> np.ndarray:
    """[4] the weights of expected, possible and unexpected over true descendants, and of expected over the
    other pairs; `table` [3, n, n]: those of the relations."""
    apart = ~np.eye(len(model.graph.names), dtype=bool)
    below, others = model.descendants & apart, ~model.descendants & apart
    relation = dict(zip(Relation, table, strict=True))
    over = [relation[kind][below].sum() for kind in Relation]
    return np.array([*over, relation[Relation.EXPECTED][others].sum()])


def print_draws(values: int, roles: int, draw: Draw, graphs: int) -> None:
    relations = {threshold: np.zeros(4) for threshold in THRESHOLDS}
    distances = dict.fromkeys(THRESHOLDS, 0)
    by_chance = dict.fromkeys(THRESHOLDS, 0)
    arrows = turned = 0
    for number in range(graphs):
        model, rows = planted(values, roles, number)
        edges = frequencies(rows, model.graph.names, draw, number)
        frequent = edges.forward >= 0.7 * REPLICATES
        arrows, turned = arrows + int(frequent.sum()), turned + int((frequent & model.dag.T).sum())
        unrelated = np.random.default_rng([10, values, number]).normal(size=rows.shape)
        chance = frequencies(unrelated, model.graph.names, draw, number)
        for threshold in THRESHOLDS:
            graph = edges.consensus(threshold)
            relations[threshold] += counted(Weights.of(graph, None).table[0], model)
            distances[threshold] += shd(graph, model.graph)
            by_chance[threshold] += chance.consensus(threshold).n_edges
    for threshold, (expected, possible, unexpected, wrong) in relations.items():
        cells = [unexpected / (expected + possible + unexpected), wrong / (expected + wrong)]
        text = " | ".join(f"{cell:.3f}" for cell in cells)
        rest = f"{distances[threshold] / graphs:.2f} | {arrows / graphs:.1f} | {turned / max(1, arrows):.3f}"
        rest = f"{rest} | {by_chance[threshold] / graphs:.2f}"
        print(
            f"| {values} | {roles} | {draw.name} | {draw.penalty:g} | {threshold} | {text} | {rest} |",
            flush=True,
        )


def frequencies(rows: np.ndarray, names: tuple[str, ...], draw: Draw, seed: int) -> EdgeCounts:
    """Of best-order search on REPLICATES draws of the roles."""
    rng, n = np.random.default_rng([1, seed]), len(rows)
    size = n if draw.share is None else round(draw.share * n)
    drawn = np.stack(
        [
            rng.integers(0, n, n) if draw.share is None else rng.permutation(n)[:size]
            for _ in range(REPLICATES)
        ]
    )
    marks = np.zeros((REPLICATES, len(names), len(names)), np.uint8)
    sums = products(rows, Units.of(n, None, Resample.HALF_OF_ROLES))
    assert sums is not None
    used = orders(sums, drawn, size, BestOrder(draw.penalty), marks, constraints(None, names))
    present = np.ones((REPLICATES, len(names)), dtype=bool)
    return EdgeCounts.of(PackedGraphs.pack(names, marks, present, used, GraphKind.CPDAG))


if __name__ == "__main__":
    main()

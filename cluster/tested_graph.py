"""The graph that effects are tested against: whether it still belongs to the run, and its replicates."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from discovery.export import load_graph
from discovery.graph import CausalGraph
from discovery.packed import PackedGraphs
from discovery.provenance import profiles_digest
from discovery.relations import among
from discovery.stored import GraphChoice, StoredDiscovery
from engine.conditions import BASELINE
from engine.errors import InputError
from engine.run_dir import RunDir


def stored_with(path: Path) -> StoredDiscovery | None:
    """The discovery that wrote the graph file `path`; None for a graph from elsewhere."""
    stored = StoredDiscovery(path.parent)
    own = path.name in {f"{choice}.json" for choice in GraphChoice}
    return stored if own and stored.settings else None


def value_graph(path: Path) -> CausalGraph:
    """The graph in `path` without the nodes that stand for steering and hints."""
    graph, stored = load_graph(path), stored_with(path)
    indicators = [] if stored is None else stored.settings.get("indicators", [])
    return among(graph, [name for name in graph.names if name not in indicators])


def replicates_of(path: Path) -> PackedGraphs | None:
    """The graphs of the resamples behind the graph file `path`; None where there are none."""
    stored = stored_with(path)
    return None if stored is None else stored.replicates


def training_rows(profiles: pl.DataFrame, pooled: bool) -> pl.DataFrame:
    """What the graph of a run is made from: training roles, under the baseline or under all conditions."""
    train = profiles.filter(pl.col("split") == "train")
    return train if pooled else train.filter(pl.col("condition") == BASELINE)


def check_fresh(run: RunDir, path: Path, profiles: pl.DataFrame) -> None:
    """InputError where the run's own graph was made from other training profiles than `profiles` has now:
    another split may have put roles on which the graph was learned among those on which it is tested."""
    stored = stored_with(path)
    if stored is None or path.parent.resolve() != run.graph.resolve():
        return
    rows = training_rows(profiles, pooled=bool(stored.settings.get("indicators")))
    if stored.settings.get("profiles") != profiles_digest(rows):
        raise InputError(
            f"graph {run.shown(path)}",
            "a graph made from the training profiles that the run has now",
            "one made from others (roles, split, answers or scoring have changed since)",
            f"Run `axiograph discover {run.where}` again.",
        )

"""How often a value is a definite or a possible ancestor of another, over the replicates."""

from __future__ import annotations

import numpy as np
import polars as pl

from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.numerics.arrays import CountArray
from axiograph.discovery.numerics.intervals import share, wilson


def ancestor_counts(graphs: PackedGraphs) -> tuple[CountArray, CountArray, CountArray]:
    """Three [n, n] counts of replicates: i a definite ancestor of j, a possible one, both in the graph.

    As `CausalGraph.definite_descendants` and `possible_descendants`: possible excludes definite, and the
    members of a directed cycle are possible ancestors of each other."""
    from axiograph.discovery.graph.descendants import count_descendants

    definite, possible, together = np.zeros((3, len(graphs.names), len(graphs.names)), np.int64)
    for marks, presence in graphs.chunks():
        count_descendants(marks, definite, possible)
        both = presence.astype(np.float32)
        together += np.rint(both.T @ both).astype(np.int64)
    np.fill_diagonal(together, 0)
    return definite, possible, together


def ancestor_table(graphs: PackedGraphs) -> pl.DataFrame:
    """One row an ordered pair `ancestor`, `descendant`: `replicates` it is counted over, the frequencies
    `definite` and `possible`, each with `*_mc_low` and `*_mc_high` as in `EdgeCounts.table`."""
    n = len(graphs.names)
    definite, possible, together = ancestor_counts(graphs)
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    total = together[i, j]
    columns: dict[str, object] = {
        "ancestor": [graphs.names[k] for k in i],
        "descendant": [graphs.names[k] for k in j],
        "replicates": total,
    }
    for name, counts in (("definite", definite[i, j]), ("possible", possible[i, j])):
        low, high = wilson(counts, total)
        columns |= {name: share(counts, total), f"{name}_mc_low": low, f"{name}_mc_high": high}
    text = {"ancestor": pl.String, "descendant": pl.String}
    schema = dict.fromkeys(columns, pl.Float64) | text | {"replicates": pl.Int64}
    return pl.DataFrame(columns, schema=schema, nan_to_null=True)

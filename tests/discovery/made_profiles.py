"""Small tables of profiles for the tests of effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs

ABCD = CausalGraph.from_edges("abcd", [("a", "b")], [("b", "c")])


def profiles(conditions: dict[str, dict[str, list]], split: str = "test") -> pl.DataFrame:
    parts = []
    for condition, scores in conditions.items():
        height = len(next(iter(scores.values())))
        roles = [f"r{i:02}" if height > 10 else f"r{i}" for i in range(height)]  # in sorted order
        keys = {"role": roles, "condition": [condition] * height, "split": [split] * height}
        parts.append(pl.DataFrame(keys | scores, schema_overrides=dict.fromkeys(scores, pl.Float64)))
    return pl.concat(parts)


def provenance(table: pl.DataFrame, **changes: str) -> pl.DataFrame:
    row = {"backend": "hook", "dtype": "float32", "device": "cpu"} | changes
    return table.select("role", "condition").with_columns(**{k: pl.lit(v) for k, v in row.items()})


def hand_worked() -> pl.DataFrame:
    """Eight roles: steering raises a by 0.5 and lowers b by 0.25 everywhere, c goes up as often as down,
    d stays but for rounding."""
    zero = [0.0] * 8
    base = {"a": zero, "b": zero, "c": zero, "d": [0.1 + 0.2] * 8}
    steered = {"a": [0.5] * 8, "b": [-0.25] * 8, "c": [0.5, -0.5] * 4, "d": [0.3] * 8}
    return profiles({"baseline": base, "steered": steered})


def packed(
    names: Sequence[str],
    edges: list[tuple[list[tuple[str, str]], list[tuple[str, str]]]],
    absent: dict[int, str] | None = None,
) -> PackedGraphs:
    """Replicates from (directed, undirected) edges; `absent`: replicate → a value that did not vary in it."""
    marks = np.stack([CausalGraph.from_edges(names, *pair).marks for pair in edges])
    present = np.ones((len(edges), len(names)), bool)
    for replicate, name in (absent or {}).items():
        present[replicate, list(names).index(name)] = False
    return PackedGraphs.pack(names, marks, present, np.ones(len(edges), bool))

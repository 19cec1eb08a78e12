"""A graph as the page draws it: positions of its values, pairs with their marks and frequencies.

A value has two positions: on an ellipse in the order of the names, which depends on the names alone, so that
reports of the same values can be held beside each other; and in layers, causes above their effects, which
depends on the graph. Neither has any chance in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.report.blocks.table import rounded

BOXES_UP_TO = 40  # values; more are drawn as points, with their names along the radius
MOST_PAIRS = 4000  # a browser stays quick with so many; the least frequent are left out first, and counted
LEAST = 0.05
_SWEEPS = 12
_PER_ROW = 40  # values side by side in a layer; more go into a further row
_MASSES = ("adjacent", "forward", "backward", "undirected")
_MARKS = " tac"  # none, tail, arrow, circle


@dataclass(frozen=True)
class GraphView:
    """`payload`: for the script; `draw` writes the figure for a paper to a path, by its suffix; `svg` is that
    figure, shown when the page is printed."""

    key: str
    caption: str
    alt: str
    payload: dict[str, Any]
    draw: Callable[[Path], None] | None = None
    svg: str = ""
    block = "graph"


@dataclass(frozen=True)
class Pair:
    """Two graphs beside each other, with one figure for both."""

    views: tuple[GraphView, GraphView]
    block = "pair"


@dataclass(frozen=True)
class Pairs:
    """Pairs of a discovery for the page: `rows` for the script, the frequency from which they are in it
    (`least`), and how many rarer ones are `left_out`."""

    rows: list[dict[str, Any]]
    least: float
    left_out: int


def marks(kind: EdgeKind) -> str:
    """Two letters, the marks at the first and at the second value; empty for no edge."""
    return "" if kind is EdgeKind.NONE else "".join(_MARKS[mark] for mark in kind.ends)


def nodes(graph: CausalGraph) -> list[dict[str, Any]]:
    """Of the payload, in the order of the graph."""
    return [
        {"name": name, "fixed": at.fixed, "angle": at.angle, "layered": at.layered}
        for name, at in positions(graph).items()
    ]


def view_of(graph: CausalGraph, **more: Any) -> dict[str, Any]:
    """The payload of a graph without frequencies."""
    pairs = [{"a": i, "b": j, "graph": marks(kind)} for i, kind, j in graph.edges()]
    choices = [{"key": "graph", "name": "this graph"}]
    base = {
        "nodes": nodes(graph),
        "pairs": pairs,
        "choices": choices,
        "boxes": len(graph.names) <= BOXES_UP_TO,
    }
    return base | more


def discovery_pairs(stored: StoredDiscovery, names: tuple[str, ...], table: pl.DataFrame) -> Pairs:
    """Pairs that any of the stored graphs joins, and those in LEAST of the replicates or more.

    `frequency` holds the marks that most of a pair's replicates agree on, as in the graph, which does not
    depend on the threshold: so hiding rarer pairs gives the graph at any threshold."""
    index = {name: i for i, name in enumerate(names)}
    least, left_out = _least(table)
    kinds: dict[str, CausalGraph] = {
        str(choice): stored.graph(choice) for choice in GraphChoice if stored.has(choice)
    }
    if stored.counts is not None:
        kinds["frequency"] = stored.consensus(1e-9)
    rows = []
    for row in table.iter_rows(named=True):
        a, b = row["a"], row["b"]
        marked = {key: _marks_in(graph, a, b) for key, graph in kinds.items()}
        frequent = row["adjacent"] is not None and row["adjacent"] >= least
        if not frequent:
            marked.pop("frequency", None)
        if frequent or any(marked.values()):
            rows.append(
                {"a": index[a], "b": index[b]} | {k: v for k, v in marked.items() if v} | _frequencies(row)
            )
    return Pairs(rows, least, left_out)


def _marks_in(graph: CausalGraph, a: str, b: str) -> str:
    if a not in graph.names or b not in graph.names:
        return ""
    return marks(graph.edge_kind(graph.names.index(a), graph.names.index(b)))


def _least(table: pl.DataFrame) -> tuple[float, int]:
    shares = table["adjacent"].drop_nulls().sort(descending=True)
    least = LEAST if len(shares) <= MOST_PAIRS else max(LEAST, float(np.nextafter(shares[MOST_PAIRS], 1)))
    return least, int(((shares < least) & (shares > 0)).sum())


def _frequencies(row: dict[str, Any]) -> dict[str, Any]:
    if row["adjacent"] is None:
        return {}
    ends = ("", "_mc_low", "_mc_high")
    masses: dict[str, Any] = {name: [rounded(row[name + end], 4) for end in ends] for name in _MASSES}
    circles = [name for name in row if name.startswith("circle_") or name == "tail_circle"]
    other = sum(
        row[name] for name in ["bidirected", *(c for c in circles if not c.endswith(("low", "high")))]
    )
    return masses | {"other": rounded(other, 4), "n": row["replicates"]}


@dataclass(frozen=True)
class Ancestry:
    """How often one value is an ancestor of another, for the panel beside the graph."""

    rows: list[list[Any]] = field(default_factory=list)

    @classmethod
    def of(cls, table: pl.DataFrame | None, names: tuple[str, ...]) -> Ancestry:
        """From ancestors.parquet: [ancestor, descendant, definite, low, high, possible], LEAST or more."""
        if table is None:
            return cls()
        index = {name: i for i, name in enumerate(names)}
        frequent = table.filter((pl.col("definite") >= LEAST) | (pl.col("possible") >= LEAST))
        columns = ("definite", "definite_mc_low", "definite_mc_high", "possible")
        rows = [
            [index[row["ancestor"]], index[row["descendant"]], *(rounded(row[c], 3) for c in columns)]
            for row in frequent.iter_rows(named=True)
            if row["ancestor"] in index and row["descendant"] in index
        ]
        return cls(rows)


@dataclass(frozen=True)
class Position:
    """In pixels at scale 1, y downwards. `angle`: direction from the middle on the ellipse, in radians."""

    fixed: tuple[float, float]
    angle: float
    layered: tuple[float, float]


def positions(graph: CausalGraph) -> dict[str, Position]:
    """The position of every value of `graph`."""
    fixed, layered = ellipse_positions(graph.names), layered_positions(graph)
    return {name: Position(*fixed[name], layered[name]) for name in graph.names}


def ellipse_positions(names: Sequence[str]) -> dict[str, tuple[tuple[float, float], float]]:
    """On an ellipse, clockwise from the top in alphabetical order: the same for the same names."""
    order = sorted(names, key=lambda name: (name.casefold(), name))
    n = max(1, len(order))
    across, down = (max(300.0, 25.0 * n), max(220.0, 17.0 * n)) if n <= BOXES_UP_TO else (3.7 * n, 3.7 * n)
    angles = -np.pi / 2 + 2 * np.pi * np.arange(len(order)) / n
    return {
        name: ((round(across * float(np.cos(a)), 1), round(down * float(np.sin(a)), 1)), round(float(a), 5))
        for name, a in zip(order, angles, strict=True)
    }


def layered_positions(graph: CausalGraph) -> dict[str, tuple[float, float]]:
    """In rows: a value stands below all that have a directed edge to it. Those on a directed cycle share a
    row; values without an edge stand in rows of their own at the bottom."""
    rows = [part for row in ordered_layers(graph) for part in _parts(row)]
    boxes = len(graph.names) <= BOXES_UP_TO
    wide, high = (165.0, 105.0) if boxes else (60.0, 130.0)
    coordinates = {}
    for k, row in enumerate(rows):
        for m, name in enumerate(row):
            # Every other row is moved by a quarter, so that an edge over two rows is not hidden by a value.
            x = (m - (len(row) - 1) / 2 + (0.25 if k % 2 else 0.0)) * wide
            coordinates[name] = (round(x, 1), round(k * high, 1))
    return coordinates


def ordered_layers(graph: CausalGraph) -> list[list[str]]:
    """Layers from causes to effects, ordered to cross few edges (barycentres, swept down and up)."""
    layers, alone = _layers(graph)
    joined = graph.adjacency()
    across = np.zeros(len(graph.names))
    for layer in layers:
        across[layer] = np.arange(len(layer)) - (len(layer) - 1) / 2
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            centre = [float(across[joined[i]].mean()) if joined[i].any() else float(across[i]) for i in layer]
            layer[:] = [layer[k] for k in np.lexsort((across[layer], np.array(centre)))]
            across[layer] = np.arange(len(layer)) - (len(layer) - 1) / 2
    return [[graph.names[i] for i in layer] for layer in [*layers, *([alone] if alone else [])]]


def _layers(graph: CausalGraph) -> tuple[list[list[int]], list[int]]:
    import networkx as nx

    whole = nx.DiGraph(graph.directed_edges())
    # A value whose edges are all undirected stands in the first layer.
    whole.add_nodes_from(np.flatnonzero(graph.adjacency().any(axis=1)).tolist())
    condensed = nx.condensation(whole)
    layers = [
        sorted(i for part in generation for i in condensed.nodes[part]["members"])
        for generation in nx.topological_generations(condensed)
    ]
    alone = np.flatnonzero(~graph.adjacency().any(axis=1)).tolist()
    return layers, alone


def _parts(row: list[str]) -> list[list[str]]:
    count = -(-len(row) // _PER_ROW)
    size = -(-len(row) // max(1, count))
    return [row[k : k + size] for k in range(0, len(row), max(1, size))]

"""Where the values of a graph stand on the page.

Two places for each: on an ellipse in the order of the names, which depends on the names alone, so that
reports of the same values can be held beside each other; and in layers, causes above their effects, which
depends on the graph. Neither has any chance in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discovery.graph import CausalGraph

BOXES_UP_TO = 40  # values; more are drawn as points, with their names along the radius
_SWEEPS = 12
_PER_ROW = 40  # values side by side in a layer; more go into a further row


@dataclass(frozen=True)
class Place:
    """In pixels at scale 1, y downwards. `angle`: direction from the middle on the ellipse, in radians."""

    fixed: tuple[float, float]
    angle: float
    layered: tuple[float, float]


def places(graph: CausalGraph) -> dict[str, Place]:
    """A place for every value of `graph`."""
    fixed, layered = fixed_places(graph.names), layered_places(graph)
    return {name: Place(*fixed[name], layered[name]) for name in graph.names}


def fixed_places(names: Sequence[str]) -> dict[str, tuple[tuple[float, float], float]]:
    """On an ellipse, clockwise from the top in alphabetical order: the same for the same names."""
    order = sorted(names, key=lambda name: (name.casefold(), name))
    n = max(1, len(order))
    across, down = (max(300.0, 25.0 * n), max(220.0, 17.0 * n)) if n <= BOXES_UP_TO else (3.7 * n, 3.7 * n)
    angles = -np.pi / 2 + 2 * np.pi * np.arange(len(order)) / n
    return {
        name: ((round(across * float(np.cos(a)), 1), round(down * float(np.sin(a)), 1)), round(float(a), 5))
        for name, a in zip(order, angles, strict=True)
    }


def layered_places(graph: CausalGraph) -> dict[str, tuple[float, float]]:
    """In rows: a value stands below all that have a directed edge to it. Those on a directed cycle share a
    row; values without an edge stand in rows of their own at the bottom."""
    rows = [part for row in ordered_layers(graph) for part in _parts(row)]
    boxes = len(graph.names) <= BOXES_UP_TO
    wide, high = (165.0, 105.0) if boxes else (60.0, 130.0)
    found = {}
    for k, row in enumerate(rows):
        for m, name in enumerate(row):
            # Every other row is moved by a quarter, so that an edge over two rows is not hidden by a value.
            x = (m - (len(row) - 1) / 2 + (0.25 if k % 2 else 0.0)) * wide
            found[name] = (round(x, 1), round(k * high, 1))
    return found


def ordered_layers(graph: CausalGraph) -> list[list[str]]:
    """Layers from causes to effects, ordered to cross few edges (barycentres, swept down and up)."""
    layers, alone = _layers(graph)
    joined = graph.adjacency()
    place = np.zeros(len(graph.names))
    for layer in layers:
        place[layer] = np.arange(len(layer)) - (len(layer) - 1) / 2
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            centre = [float(place[joined[i]].mean()) if joined[i].any() else float(place[i]) for i in layer]
            layer[:] = [layer[k] for k in np.lexsort((place[layer], np.array(centre)))]
            place[layer] = np.arange(len(layer)) - (len(layer) - 1) / 2
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

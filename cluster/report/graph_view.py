"""A graph as the page draws it: values with their places, pairs with their marks and frequencies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cluster.report.layout import BOXES_UP_TO, places
from cluster.report.table import rounded
from discovery.graph import CausalGraph, EdgeKind
from discovery.stored import GraphChoice, StoredDiscovery

MOST_PAIRS = 4000  # a browser stays quick with so many; the least frequent are left out first, and counted
LEAST = 0.05
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
    """Pairs of a discovery for the page: `rows` for the script, the frequency `least` from which they are
    there, and how many rarer ones are `left_out`."""

    rows: list[dict[str, Any]]
    least: float
    left_out: int


def marks(kind: EdgeKind) -> str:
    """Two letters, the marks at the first and at the second value; empty for no edge."""
    return "" if kind is EdgeKind.NONE else "".join(_MARKS[mark] for mark in kind.ends)


def nodes(graph: CausalGraph) -> list[dict[str, Any]]:
    """Of the payload, in the order of the graph."""
    found = places(graph)
    return [
        {"name": name, "fixed": found[name].fixed, "angle": found[name].angle, "layered": found[name].layered}
        for name in graph.names
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

    `frequency` holds the marks that most of a pair's replicates agree on, as in the consensus, which does not
    depend on the threshold: so hiding rarer pairs gives the consensus at any threshold."""
    index = {name: i for i, name in enumerate(names)}
    least, left_out = _least(table)
    kinds: dict[str, CausalGraph] = {
        str(choice): stored.graph(choice) for choice in GraphChoice if _has(stored, choice)
    }
    if stored.counts is not None:
        kinds["frequency"] = stored.consensus(1e-9)
    rows = []
    for row in table.iter_rows(named=True):
        a, b = row["a"], row["b"]
        found = {key: _marks_in(graph, a, b) for key, graph in kinds.items()}
        frequent = row["adjacent"] is not None and row["adjacent"] >= least
        if not frequent:
            found.pop("frequency", None)
        if frequent or any(found.values()):
            rows.append(
                {"a": index[a], "b": index[b]} | {k: v for k, v in found.items() if v} | _frequencies(row)
            )
    return Pairs(rows, least, left_out)


def _has(stored: StoredDiscovery, choice: GraphChoice) -> bool:
    return (stored.directory / f"{choice}.json").is_file()


def _marks_in(graph: CausalGraph, a: str, b: str) -> str:
    if a not in graph.names or b not in graph.names:
        return ""
    return marks(graph.edge_kind(graph.names.index(a), graph.names.index(b)))


def _least(table: pl.DataFrame) -> tuple[float, int]:
    known = table["adjacent"].drop_nulls().sort(descending=True)
    least = LEAST if len(known) <= MOST_PAIRS else max(LEAST, float(np.nextafter(known[MOST_PAIRS], 1)))
    return least, int(((known < least) & (known > 0)).sum())


def _frequencies(row: dict[str, Any]) -> dict[str, Any]:
    if row["adjacent"] is None:
        return {}
    ends = ("", "_mc_low", "_mc_high")
    found: dict[str, Any] = {name: [rounded(row[name + end], 4) for end in ends] for name in _MASSES}
    circles = [name for name in row if name.startswith("circle_") or name == "tail_circle"]
    other = sum(
        row[name] for name in ["bidirected", *(c for c in circles if not c.endswith(("low", "high")))]
    )
    return found | {"other": rounded(other, 4), "n": row["replicates"]}


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
        kept = table.filter((pl.col("definite") >= LEAST) | (pl.col("possible") >= LEAST))
        columns = ("definite", "definite_mc_low", "definite_mc_high", "possible")
        rows = [
            [index[row["ancestor"]], index[row["descendant"]], *(rounded(row[c], 3) for c in columns)]
            for row in kept.iter_rows(named=True)
            if row["ancestor"] in index and row["descendant"] in index
        ]
        return cls(rows)

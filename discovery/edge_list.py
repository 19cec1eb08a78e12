"""A graph from edges that were written down one by one, by a person or another tool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discovery.graph import CausalGraph, Endpoint, GraphKind
from engine.errors import InputError

MAX_VALUES = 2000
_Ends = tuple[Endpoint, Endpoint]
_BOTH_WAYS = {(Endpoint.TAIL, Endpoint.ARROW), (Endpoint.ARROW, Endpoint.TAIL)}
_SYMBOLS = str.maketrans({"→": "->", "←": "<-", "↔": "<->", "—": "-", "–": "-", "−": "-", "∘": "o"})
_KINDS = "-->, <--, ---, <->, or with circles o->, <-o, o-o"


@dataclass(frozen=True)
class Reading:
    """A graph from a file. `notes`: what the reader of a result should know, a sentence each.

    `complete` is false where the file can name only values that have an edge or that its writer thought
    of (a list of edges): others may be missing from it, or have no edge. `kind_is_known` is false where the
    file does not say what its marks mean."""

    graph: CausalGraph
    notes: tuple[str, ...] = ()
    complete: bool = True
    kind_is_known: bool = True


@dataclass(frozen=True)
class WrittenEdge:
    """An edge as written: where, both values and the kind; no second value declares the first one."""

    where: str
    source: str
    target: str
    kind: str


def with_values(graph: CausalGraph, values: Iterable[str]) -> CausalGraph:
    """The graph with further values, which have no edge in it: what a list of edges says when it is taken to
    speak about all of them."""
    more = [value for value in values if value not in graph.names]
    marks = np.pad(graph.marks, (0, len(more)))
    return CausalGraph((*graph.names, *more), marks, graph.kind)


def of_kind(reading: Reading, kind: GraphKind) -> CausalGraph:
    """The graph as one of this kind where the file leaves that open and its edges say the same in both:
    -->, <--. Otherwise as it is."""
    graph = reading.graph
    arrows = graph.directed_mask()
    open_to_both = not reading.kind_is_known and np.array_equal(arrows | arrows.T, graph.adjacency())
    return CausalGraph(graph.names, graph.marks, kind) if open_to_both else graph


def graph_of(
    path: Path,
    rows: Sequence[WrittenEdge],
    names: Sequence[str] | None = None,
    kind: GraphKind | None = None,
) -> Reading:
    """The graph of the edges in `path`; without `names` its values are those that the rows name, in order.

    A pair written as directed both ways becomes undirected, with a note. Without `kind` it is a PAG where
    there are circles, else a CPDAG. Raises InputError for a pair with two kinds of edge, a self-loop, an
    empty name, no value at all or more than MAX_VALUES."""
    found = dict.fromkeys(names or ())
    edges: dict[tuple[str, str], dict[_Ends, str]] = {}
    for row in rows:
        _check_row(row, may_declare=names is None)
        found |= dict.fromkeys(name for name in (row.source, row.target) if name)
        if row.target:
            pair, ends = (row.source, row.target), _ends(row)
            if pair[::-1] in edges:
                pair, ends = pair[::-1], ends[::-1]
            edges.setdefault(pair, {}).setdefault(ends, row.where)
    values = tuple(names if names is not None else found)
    check_size(path, len(values))
    marks = np.zeros((len(values), len(values)), np.uint8)
    index = {value: i for i, value in enumerate(values)}
    for (source, target), kinds in edges.items():
        i, j = index[source], index[target]
        marks[j, i], marks[i, j] = _only(kinds)
    both_ways = [f"{a} and {b}" for (a, b), kinds in edges.items() if set(kinds) == _BOTH_WAYS]
    has_circles = bool(np.any(marks == Endpoint.CIRCLE))
    graph = CausalGraph(values, marks, kind or (GraphKind.PAG if has_circles else GraphKind.CPDAG))
    return Reading(graph, _notes(both_ways), names is not None, kind is not None)


def check_size(path: Path, values: int) -> None:
    """InputError for a graph without values or with more than MAX_VALUES."""
    if not 0 < values <= MAX_VALUES:
        found = f"{values:,}" if values else "none"
        raise InputError(f"graph {path}", f"1 to {MAX_VALUES:,} values", found, "Write one edge a line.")


def _notes(both_ways: Sequence[str]) -> tuple[str, ...]:
    if not both_ways:
        return ()
    several = f"{len(both_ways)} pairs are" if len(both_ways) > 1 else "1 pair is"
    return (f"{several} listed in both directions and read as undirected: {'; '.join(both_ways)}.",)


def _only(kinds: dict[_Ends, str]) -> _Ends:
    if set(kinds) == _BOTH_WAYS:
        return Endpoint.TAIL, Endpoint.TAIL
    (first, place), *more = kinds.items()
    for _, where in more:
        raise InputError(where, "one kind of edge a pair", f"another than in {place}", "Keep one of the two.")
    return first


def _check_row(row: WrittenEdge, *, may_declare: bool) -> None:
    if not row.source or (not row.target and (row.kind or not may_declare)):
        raise InputError(row.where, "the names of two values", "an empty one", "Name both ends of the edge.")
    if row.source == row.target:
        raise InputError(row.where, "two different values", f"{row.source!r} twice", "Remove the edge.")


def _ends(row: WrittenEdge) -> _Ends:
    """The marks at source and target."""
    text = "".join(row.kind.split()).translate(_SYMBOLS) or "-->"
    left = {"<": Endpoint.ARROW, "o": Endpoint.CIRCLE}.get(text[0], Endpoint.TAIL)
    right = {">": Endpoint.ARROW, "o": Endpoint.CIRCLE}.get(text[-1], Endpoint.TAIL)
    middle = text[int(left is not Endpoint.TAIL) : len(text) - int(right is not Endpoint.TAIL)]
    if not middle or set(middle) != {"-"} or len(middle) > 3:
        raise InputError(row.where, f"a kind of edge ({_KINDS})", f"{row.kind!r}", "Correct the kind.")
    return left, right

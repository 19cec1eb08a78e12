"""Graphs that somebody else made, read from files: a reference graph of human values, another tool's output.

Such files are untrusted and written by hand, so that every mistake is named with its place. Nothing is
executed or fetched: no pickle, and GraphML with a document type declaration is refused, since that is where
XML hides entities that expand or name other files.

`read_graph` is where to start; every format becomes a list of `WrittenEdge`, and that list a graph.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import SCHEMA, load_graph
from axiograph.discovery.graph.marks import Endpoint, GraphKind
from axiograph.engine.errors import InputError

MAX_VALUES = 2000
MAX_BYTES = 50_000_000
_HEADERS = {"from": "source", "to": "target"}
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


def read_graph(path: Path, key: str | None = None) -> Reading:
    """Read a graph by the suffix of its file.

    .json: what axiograph writes (graph.json); or a list of edges, each [source, target] or
    [source, target, kind]; or an object of such lists, of which `key` names one. .graphml, .xml: GraphML
    with directed or undirected edges; an edge attribute `kind` and a node attribute `label` are used where
    they are there. .csv, .txt (commas), .tsv (tabs): a line for every edge, `source,target,kind`, with or
    without that header (or from,to); further columns of a file with a header are left alone; no kind means
    -->; `name` alone declares a value without edges; lines that begin with # are comments. Spaces around
    names are dropped in these. Kinds: -->, <--, ---, <-> (or ->, →, ←, —, ↔), with o for a circle.

    A pair listed as directed both ways is read as undirected, with a note. Raises InputError, with the line
    or entry, for anything else."""
    readers: dict[str, Callable[[Path, str | None], Reading]] = {
        ".json": _read_json,
        ".graphml": _read_graphml,
        ".xml": _read_graphml,
        ".csv": _read_lines,
        ".txt": _read_lines,
        ".tsv": _read_lines,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        actual = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise InputError(f"graph {path}", f"a file {', '.join(readers)}", actual, "Save it as one of these.")
    if key is not None and reader is not _read_json:
        raise InputError(f"graph {path}", "no #key", f"{key!r}", "Only a .json file holds several graphs.")
    return reader(path, key)


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


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                f"graph {path}", f"at most {MAX_BYTES:,} bytes", f"{size:,}", "Keep to nodes and edges."
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"graph {path}", "a file", f"{error.strerror}", "Check the path.") from error


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"graph {path}", "UTF-8 text", f"{error.reason}", "Save it as UTF-8.") from error


def _read_lines(path: Path, key: str | None) -> Reading:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    columns: list[int] | None = None
    rows: list[WrittenEdge] = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        where = f"graph {path}, line {number}"
        cells = [] if line.lstrip().startswith("#") else _cells(line, where, delimiter)
        if not any(cells):
            continue
        if columns is None:
            columns = _header(cells)
            if columns:
                continue
        rows.append(_line(cells, columns, where, delimiter))
    return graph_of(path, rows)


def _cells(line: str, where: str, delimiter: str) -> list[str]:
    try:
        reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
        return [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise InputError(where, "cells, in double quotes or without", f"{error}", "Mend the line.") from error


def _header(cells: Sequence[str]) -> list[int]:
    """The columns source, target and kind by number; empty where this is no header."""
    names = [_HEADERS.get(cell.casefold(), cell.casefold()) for cell in cells]
    if "source" not in names or "target" not in names:
        return []
    return [names.index(name) for name in ("source", "target", "kind") if name in names]


def _line(cells: Sequence[str], columns: list[int] | None, where: str, delimiter: str) -> WrittenEdge:
    if columns:
        cells = [cells[k] if k < len(cells) else "" for k in columns]
    elif len(cells) > 3:
        shown = "tabs" if delimiter == "\t" else "commas"
        remedy = f"Separate by {shown}, and put a name that holds one into double quotes."
        raise InputError(where, "source, target and kind", f"{len(cells)} cells", remedy)
    source, target, kind = (*cells, "", "")[:3]
    return WrittenEdge(where, source, target, kind)


def _read_json(path: Path, key: str | None) -> Reading:
    text = _read_text(path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        actual = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"graph {path}", "JSON", actual, "Check the file.") from error
    if isinstance(document, dict) and "schema" in document:
        _check_document(path, document)
        return Reading(load_graph(path))
    if isinstance(document, dict):
        lists = [name for name, value in document.items() if isinstance(value, list)]
        if key not in lists:
            actual = f"several graphs ({', '.join(lists)})" if key is None else f"{key!r}"
            remedy = f"Choose one, as in {path.name}#{lists[0]}." if lists else "Check the file."
            raise InputError(f"graph {path}", f"one of {lists}", actual, remedy)
        document = document[key]
    elif key is not None:
        raise InputError(f"graph {path}", "an object of graphs by name", f"no {key!r}", "Leave out the #key.")
    if not isinstance(document, list):
        raise InputError(f"graph {path}", "a graph.json or a list of edges", "neither", "Check the file.")
    return graph_of(path, [_entry(path, k, entry) for k, entry in enumerate(document)])


def _check_document(path: Path, document: dict[str, Any]) -> None:
    """What `load_graph` takes for granted of a file that says it is one."""
    if document["schema"] != SCHEMA:
        return
    values, edges = document.get("values"), document.get("edges")
    named = isinstance(values, list) and all(isinstance(value, str) for value in values)
    if not named or not isinstance(edges, list):
        raise InputError(f"graph {path}", "values (names) and edges (objects)", "others", "Check the file.")
    check_size(path, len(values or ()))


def _entry(path: Path, k: int, entry: Any) -> WrittenEdge:
    where = f"graph {path}, edge {k + 1}"
    if isinstance(entry, dict):
        entry = [entry.get("source"), entry.get("target"), entry.get("kind", "-->")]
    if (
        not isinstance(entry, list)
        or len(entry) not in (1, 2, 3)
        or not all(isinstance(e, str) for e in entry)
    ):
        raise InputError(where, "[source, target] or [source, target, kind]", f"{entry!r:.80}", "Mend it.")
    source, target, kind = (*(text.strip() for text in entry), "", "")[:3]
    return WrittenEdge(where, source, target, kind)


def _read_graphml(path: Path, key: str | None) -> Reading:
    import networkx as nx

    content = _read_bytes(path)
    _refuse_declarations(path, content)
    try:
        # Not by the path: by that networkx would unpack a file of any size.
        document = nx.read_graphml(BytesIO(content), force_multigraph=True)
        names = {node: str(data.get("label") or node) for node, data in document.nodes(data=True)}
        default = "-->" if document.is_directed() else "---"
        kind = GraphKind(document.graph["kind"]) if "kind" in document.graph else None
        rows = [
            WrittenEdge(f"graph {path}, edge {a} – {b}", names[a], names[b], str(data.get("kind") or default))
            for a, b, data in document.edges(data=True)
        ]
    except (KeyError, ValueError, TypeError, AttributeError, SyntaxError, RecursionError) as error:
        _not_graphml(path, error)
    except nx.NetworkXException as error:
        _not_graphml(path, error)
    return graph_of(path, rows, list(names.values()), kind)


def _not_graphml(path: Path, error: Exception) -> NoReturn:
    actual = f"{type(error).__name__}: {error}"
    remedy = "GraphML of nodes and edges, all directed or all undirected, is read."
    raise InputError(f"graph {path}", "GraphML", actual, remedy) from error


def _refuse_declarations(path: Path, content: bytes) -> None:
    from xml.parsers import expat

    def refuse(name: str, *_: object) -> None:
        raise InputError(
            f"graph {path}",
            "GraphML without a document type",
            f"<!DOCTYPE {name}>",
            "Remove that declaration.",
        )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError) as error:
        _not_graphml(path, error)


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
    named = dict.fromkeys(names or ())
    edges: dict[tuple[str, str], dict[_Ends, str]] = {}
    for row in rows:
        _check_row(row, may_declare=names is None)
        named |= dict.fromkeys(name for name in (row.source, row.target) if name)
        if row.target:
            pair, ends = (row.source, row.target), _ends(row)
            if pair[::-1] in edges:
                pair, ends = pair[::-1], ends[::-1]
            edges.setdefault(pair, {}).setdefault(ends, row.where)
    values = tuple(names if names is not None else named)
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
        actual = f"{values:,}" if values else "none"
        raise InputError(f"graph {path}", f"1 to {MAX_VALUES:,} values", actual, "Write one edge a line.")


def _notes(both_ways: Sequence[str]) -> tuple[str, ...]:
    if not both_ways:
        return ()
    several = f"{len(both_ways)} pairs are" if len(both_ways) > 1 else "1 pair is"
    return (f"{several} listed in both directions and read as undirected: {'; '.join(both_ways)}.",)


def _only(kinds: dict[_Ends, str]) -> _Ends:
    """The marks of a pair, of which `kinds` has every kind that was written, and where first."""
    if set(kinds) == _BOTH_WAYS:
        return Endpoint.TAIL, Endpoint.TAIL
    (ends, first), *more = kinds.items()
    for _, where in more:
        raise InputError(where, "one kind of edge a pair", f"another than in {first}", "Keep one of the two.")
    return ends


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

"""Graphs and edge frequencies as files: JSON, GraphML, DOT, Parquet, LaTeX. Each is complete or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.engine.errors import InputError
from axiograph.engine.storage.files import atomic_path, write_atomic, write_text
from axiograph.engine.storage.latex import escaped

SCHEMA = "axiograph-graph/1"
_MASS = {
    EdgeKind.FORWARD: "forward",
    EdgeKind.BACKWARD: "backward",
    EdgeKind.UNDIRECTED: "undirected",
    EdgeKind.BIDIRECTED: "bidirected",
    EdgeKind.CIRCLE_FORWARD: "circle_forward",
    EdgeKind.CIRCLE_BACKWARD: "circle_backward",
    EdgeKind.CIRCLE_CIRCLE: "circle_circle",
    EdgeKind.CIRCLE_TAIL: "circle_tail",
    EdgeKind.TAIL_CIRCLE: "tail_circle",
}
_FREQUENCIES = ("adjacent", *_MASS.values(), "absent")  # those with a circle only where there are PAGs
_TURNED = {"forward": "backward", "circle_forward": "circle_backward", "circle_tail": "tail_circle"}
_TURNED |= {backward: forward for forward, backward in _TURNED.items()}
_DOT = {
    EdgeKind.FORWARD: "dir=forward",
    EdgeKind.UNDIRECTED: "dir=none",
    EdgeKind.BIDIRECTED: "dir=both",
    EdgeKind.CIRCLE_FORWARD: "dir=both, arrowtail=odot",
    EdgeKind.CIRCLE_CIRCLE: "dir=both, arrowtail=odot, arrowhead=odot",
    EdgeKind.CIRCLE_TAIL: "dir=back, arrowtail=odot",
}
_LATEX_ARROW = {
    EdgeKind.FORWARD: r"$\rightarrow$",
    EdgeKind.UNDIRECTED: "---",
    EdgeKind.BIDIRECTED: r"$\leftrightarrow$",
    EdgeKind.CIRCLE_FORWARD: r"$\circ\!\!\rightarrow$",
    EdgeKind.CIRCLE_CIRCLE: r"$\circ\!\!{-}\!\!\circ$",
    EdgeKind.CIRCLE_TAIL: r"$\circ\!\!{-}$",
}


def write_graph(
    graph: CausalGraph, directory: Path, stem: str, frequencies: pl.DataFrame | None = None
) -> list[Path]:
    """Write `stem`.json, .graphml, .dot, .tex and, with frequencies, .parquet into `directory`.

    `frequencies`: an edge table as `EdgeCounts.table` gives it; pairs that are no edge of
    `graph` are in the Parquet table only. Returns the paths. Raises RunError where the disk is full."""
    paths = [directory / f"{stem}.{suffix}" for suffix in ("json", "graphml", "dot", "tex")]
    write_text(paths[0], to_json(graph, frequencies))
    write_graphml(graph, paths[1], frequencies)
    write_text(paths[2], to_dot(graph, frequencies))
    write_text(paths[3], to_latex(graph, frequencies))
    if frequencies is not None:
        paths.append(directory / f"{stem}.parquet")
        write_atomic(paths[-1], with_kinds(frequencies, graph).write_parquet)
    return paths


def edge_rows(graph: CausalGraph, frequencies: pl.DataFrame | None = None) -> list[dict[str, Any]]:
    """One dict per edge: `source`, `target`, `kind`, and with frequencies those of the pair.

    `forward` is source → target; where the edge points against column order, the pair is turned round."""
    by_pair = {}
    if frequencies is not None:
        columns = ["replicates", *(name for name in _FREQUENCIES if name in frequencies.columns)]
        for row in frequencies.iter_rows(named=True):
            by_pair[row["a"], row["b"]] = {name: row[name] for name in columns}
            by_pair[row["b"], row["a"]] = turned(by_pair[row["a"], row["b"]])
    rows = []
    for i, kind, j in graph.edges():
        source, target = graph.names[i], graph.names[j]
        head = {"source": source, "target": target, "kind": str(kind)}
        rows.append(head | by_pair.get((source, target), {}))
    return rows


def with_kinds(frequencies: pl.DataFrame, graph: CausalGraph) -> pl.DataFrame:
    """The edge table with a column `graph_edge`: the edge of `graph` read from a to b, null where a or b is
    not in the graph."""
    index = {name: i for i, name in enumerate(graph.names)}
    kinds = [
        str(graph.edge_kind(index[a], index[b])) if a in index and b in index else None
        for a, b in frequencies.select("a", "b").iter_rows()
    ]
    return frequencies.with_columns(pl.Series("graph_edge", kinds, pl.String))


def to_json(graph: CausalGraph, frequencies: pl.DataFrame | None = None) -> str:
    """JSON with a schema name, the kind of graph, the values in order and the edges."""
    document = {
        "schema": SCHEMA,
        "kind": str(graph.kind),
        "values": list(graph.names),
        "edges": edge_rows(graph, frequencies),
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def load_graph(path: Path) -> CausalGraph:
    """Read a graph that `to_json` wrote; one that names no kind is a CPDAG. Raises InputError for a file that
    is not one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise InputError(str(path), f"schema {SCHEMA!r}", f"{document['schema']!r}", "Discover again.")
        return _from_rows(document["values"], document["edges"], document.get("kind"))
    except OSError as error:
        raise InputError(
            str(path), "a graph file", f"{error.strerror}", "Give the path of a graph.json."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(path), "a graph written by axiograph", f"{type(error).__name__}: {error}", "Discover again."
        ) from error


def write_graphml(graph: CausalGraph, path: Path, frequencies: pl.DataFrame | None = None) -> None:
    """GraphML with node ids v0, v1, … in column order, `label` the value, and `kind` on every edge.

    GraphML cannot mix directed and undirected edges in networkx's reader, so all are directed and `kind`
    says what they are."""
    import networkx as nx

    document: Any = nx.DiGraph(schema=SCHEMA, kind=str(graph.kind))
    index = {name: i for i, name in enumerate(graph.names)}
    for name, i in index.items():
        document.add_node(f"v{i}", label=name)
    for row in edge_rows(graph, frequencies):
        ends = (f"v{index[row.pop('source')]}", f"v{index[row.pop('target')]}")
        document.add_edge(*ends, **{key: value for key, value in row.items() if value is not None})
    with atomic_path(path) as temporary:
        nx.write_graphml(document, temporary)


def to_dot(graph: CausalGraph, frequencies: pl.DataFrame | None = None) -> str:
    """Graphviz DOT; edge labels are the adjacency frequencies, in percent."""
    lines = [f"// {graph.kind}", "digraph values {", "  node [shape=box];"]
    lines += [f"  {_quoted(name)};" for name in graph.names]
    for row in edge_rows(graph, frequencies):
        style = _DOT[EdgeKind(row["kind"])]
        if row.get("adjacent") is not None:
            style += f', label="{100 * row["adjacent"]:.0f}%", penwidth={0.5 + 3 * row["adjacent"]:.2f}'
        lines.append(f"  {_quoted(row['source'])} -> {_quoted(row['target'])} [{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def to_latex(graph: CausalGraph, frequencies: pl.DataFrame | None = None) -> str:
    """A LaTeX tabular (booktabs) with a row per edge; frequencies that are not known are left empty."""
    unsettled = EdgeKind.CIRCLE_CIRCLE if graph.kind is GraphKind.PAG else EdgeKind.UNDIRECTED
    lines = [r"\begin{tabular}{llllll}", r"\toprule"]
    lines += [rf"value & & value & adjacent & as drawn & {_LATEX_ARROW[unsettled]} \\", r"\midrule"]
    for row in edge_rows(graph, frequencies):
        kind = EdgeKind(row["kind"])
        cells = [escaped(row["source"]), _LATEX_ARROW[kind], escaped(row["target"])]
        cells += [_number(row.get(name)) for name in ("adjacent", _MASS[kind], _MASS[unsettled])]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _from_rows(names: list[str], rows: list[dict[str, Any]], kind: str | None) -> CausalGraph:
    kinds = [EdgeKind(row["kind"]) for row in rows]
    edges = [(row["source"], edge, row["target"]) for row, edge in zip(rows, kinds, strict=True)]
    return CausalGraph.from_kinds(names, edges, GraphKind.CPDAG if kind is None else GraphKind(kind))


def turned(row: dict[str, Any]) -> dict[str, Any]:
    """The frequencies of a pair read from its other end."""
    return {name: row[_TURNED.get(name, name)] for name in row}


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

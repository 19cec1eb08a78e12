"""Graphs and edge frequencies as files: JSON, GraphML, DOT, Parquet, LaTeX. Each is complete or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.discovery.graph.strengths import COLUMNS as STRENGTHS
from axiograph.engine.errors import InputError
from axiograph.engine.storage.files import atomic_path, write_atomic, write_text
from axiograph.engine.storage.latex import escaped

SCHEMA = "axiograph-graph/1"
MASS = {
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
_FREQUENCIES = ("adjacent", *MASS.values(), "absent")  # those with a circle only where there are PAGs
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
_LATEX_STRENGTH = {"coefficient": "coefficient", "partial": "partial $r$"}


def write_graph(
    graph: CausalGraph,
    directory: Path,
    stem: str,
    frequencies: pl.DataFrame | None = None,
    strengths: pl.DataFrame | None = None,
) -> list[Path]:
    """Write `stem`.json, .graphml, .dot, .tex and, with frequencies, .parquet into `directory`.

    `frequencies`: an edge table as `EdgeCounts.table` gives it; pairs that are no edge of
    `graph` are in the Parquet table only. `strengths`: of its edges, as
    discovery.graph.strengths.edge_strengths gives them. Returns the paths. Raises RunError where the disk is
    full."""
    paths = [directory / f"{stem}.{suffix}" for suffix in ("json", "graphml", "dot", "tex")]
    rows = edge_rows(graph, frequencies, strengths)
    write_text(paths[0], to_json(graph, rows))
    write_graphml(graph, paths[1], rows)
    write_text(paths[2], to_dot(graph, rows))
    write_text(paths[3], to_latex(graph, rows))
    if frequencies is not None:
        paths.append(directory / f"{stem}.parquet")
        write_atomic(paths[-1], with_kinds(frequencies, graph, strengths).write_parquet)
    return paths


def edge_rows(
    graph: CausalGraph, frequencies: pl.DataFrame | None = None, strengths: pl.DataFrame | None = None
) -> list[dict[str, Any]]:
    """One dict per edge: `source`, `target`, `kind`, with frequencies those of the pair and with strengths
    those of the edge (discovery.graph.strengths.COLUMNS).

    `forward` is source → target; where the edge points against column order, the pair is turned round."""
    strong = {}
    if strengths is not None:
        for row in strengths.iter_rows(named=True):
            strong[row["source"], row["target"]] = {name: row[name] for name in STRENGTHS}
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
        rows.append(head | by_pair.get((source, target), {}) | strong.get((source, target), {}))
    return rows


def with_kinds(
    frequencies: pl.DataFrame, graph: CausalGraph, strengths: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The edge table with a column `graph_edge`: the edge of `graph` read from a to b, null where a or b is
    not in the graph; and the `strengths` of its edges, whichever way they point."""
    index = {name: i for i, name in enumerate(graph.names)}
    kinds = [
        str(graph.edge_kind(index[a], index[b])) if a in index and b in index else None
        for a, b in frequencies.select("a", "b").iter_rows()
    ]
    table = frequencies.with_columns(pl.Series("graph_edge", kinds, pl.String))
    if strengths is None:
        return table
    ends = [pl.col("source").alias("a"), pl.col("target").alias("b")]
    turned_ends = [pl.col("target").alias("a"), pl.col("source").alias("b")]
    pairs = pl.concat([strengths.select(*order, *STRENGTHS) for order in (ends, turned_ends)])
    return table.join(pairs, on=["a", "b"], how="left", maintain_order="left")


def to_json(graph: CausalGraph, rows: list[dict[str, Any]] | None = None) -> str:
    """JSON with a schema name, the kind of graph, the values in order and the edges: `rows` of `edge_rows`,
    those without frequencies by default."""
    document = {
        "schema": SCHEMA,
        "kind": str(graph.kind),
        "values": list(graph.names),
        "edges": edge_rows(graph) if rows is None else rows,
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def load_graph(path: Path) -> CausalGraph:
    """Read a graph that `to_json` wrote; one that names no kind is a CPDAG. Raises InputError for a file that
    is not one."""
    return _read(path)[0]


def _read(path: Path) -> tuple[CausalGraph, list[dict[str, Any]]]:
    """The graph in a file, and its edges as they stand there; errors as `load_graph`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise InputError(str(path), f"schema {SCHEMA!r}", f"{document['schema']!r}", "Discover again.")
        edges = document["edges"]
        return _from_rows(document["values"], edges, document.get("kind")), edges
    except OSError as error:
        raise InputError(
            str(path), "a graph file", f"{error.strerror}", "Give the path of a graph.json."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(path), "a graph written by axiograph", f"{type(error).__name__}: {error}", "Discover again."
        ) from error


def load_strengths(path: Path) -> pl.DataFrame | None:
    """The strengths of the edges in a file of `to_json`, as discovery.graph.strengths.edge_strengths gives
    them; None where the file has none. Raises InputError as `load_graph`."""
    _, rows = _read(path)
    if rows and "partial" not in rows[0]:
        return None
    schema = {"source": pl.String, "target": pl.String} | dict.fromkeys(STRENGTHS, pl.Float64)
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)


def write_graphml(graph: CausalGraph, path: Path, rows: list[dict[str, Any]] | None = None) -> None:
    """GraphML with node ids v0, v1, … in column order, `label` the value, and `kind` on every edge.

    GraphML cannot mix directed and undirected edges in networkx's reader, so all are directed and `kind`
    says what they are."""
    import networkx as nx

    document: Any = nx.DiGraph(schema=SCHEMA, kind=str(graph.kind))
    index = {name: i for i, name in enumerate(graph.names)}
    for name, i in index.items():
        document.add_node(f"v{i}", label=name)
    for row in edge_rows(graph) if rows is None else rows:
        ends = (f"v{index[row['source']]}", f"v{index[row['target']]}")
        numbers = {key: value for key, value in row.items() if key not in ("source", "target")}
        document.add_edge(*ends, **{key: value for key, value in numbers.items() if value is not None})
    with atomic_path(path) as temporary:
        nx.write_graphml(document, temporary)


def to_dot(graph: CausalGraph, rows: list[dict[str, Any]] | None = None) -> str:
    """Graphviz DOT; edge labels are the strengths and the adjacency frequencies, in percent."""
    lines = [f"// {graph.kind}", "digraph values {", "  node [shape=box];"]
    lines += [f"  {_quoted(name)};" for name in graph.names]
    for row in edge_rows(graph) if rows is None else rows:
        style = _DOT[EdgeKind(row["kind"])]
        labels = [] if strength_of(row) is None else [f"{strength_of(row):+.2f}"]
        if row.get("adjacent") is not None:
            labels.append(f"{100 * row['adjacent']:.0f}%")
            style += f", penwidth={0.5 + 3 * row['adjacent']:.2f}"
        style += f', label="{", ".join(labels)}"' if labels else ""
        lines.append(f"  {_quoted(row['source'])} -> {_quoted(row['target'])} [{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def to_latex(graph: CausalGraph, rows: list[dict[str, Any]] | None = None) -> str:
    """A LaTeX tabular (booktabs) with a row per edge; frequencies and strengths that are not known are left
    empty."""
    unsettled = EdgeKind.CIRCLE_CIRCLE if graph.kind is GraphKind.PAG else EdgeKind.UNDIRECTED
    rows = edge_rows(graph) if rows is None else rows
    strong = {name: head for name, head in _LATEX_STRENGTH.items() if any(name in row for row in rows)}
    heads = ["value", "", "value", "adjacent", "as drawn", _LATEX_ARROW[unsettled], *strong.values()]
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(heads)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
    ]
    for row in rows:
        kind = EdgeKind(row["kind"])
        cells = [escaped(row["source"]), _LATEX_ARROW[kind], escaped(row["target"])]
        cells += [_number(row.get(name)) for name in ("adjacent", MASS[kind], MASS[unsettled])]
        cells += [_with_interval(row, name) for name in strong]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _from_rows(names: list[str], rows: list[dict[str, Any]], kind: str | None) -> CausalGraph:
    kinds = [EdgeKind(row["kind"]) for row in rows]
    edges = [(row["source"], edge, row["target"]) for row, edge in zip(rows, kinds, strict=True)]
    return CausalGraph.from_kinds(names, edges, GraphKind.CPDAG if kind is None else GraphKind(kind))


def turned(row: dict[str, Any]) -> dict[str, Any]:
    """The frequencies of a pair read from its other end."""
    return {name: row[_TURNED.get(name, name)] for name in row}


def strength_of(row: dict[str, Any]) -> float | None:
    """The number that stands for an edge, of a row of `edge_rows`: its coefficient, without a direction its
    partial correlation; None where neither is known."""
    coefficient: float | None = row.get("coefficient")
    return row.get("partial") if coefficient is None else coefficient


def _with_interval(row: dict[str, Any], name: str) -> str:
    if row.get(name) is None:
        return ""
    return f"${row[name]:+.2f}$ [${row[f'{name}_low']:+.2f}$, ${row[f'{name}_high']:+.2f}$]"


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

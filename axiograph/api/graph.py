"""A value graph by its names: edges and frequencies as frames, as a networkx graph, as a figure."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from axiograph.api.display import frame_html
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import edge_rows, turned
from axiograph.discovery.graph.figure import graph_figure
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.discovery.graph.reading import read_graph as read_graph_file

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class ValueGraph:
    """A causal graph between values, with the frequencies of its edges over replicates where there are any.

    `causal_graph`: the marks as arrays, for computing. `frequencies`: one row per pair (columns of
    edges.parquet in the data dictionary); None where the graph has no replicates. `strengths`: of the edges,
    see `edges`; None where they are not known."""

    causal_graph: CausalGraph
    frequencies: pl.DataFrame | None = field(default=None, repr=False)
    title: str = ""
    strengths: pl.DataFrame | None = field(default=None, repr=False)

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the values."""
        return self.causal_graph.names

    @property
    def edges(self) -> pl.DataFrame:
        """One row per edge: source, kind (→ as `-->`, — as `---`, … of EdgeKind), target, the frequencies of
        its pair, read from source to target, and its strength: `coefficient` (standardised, given the other
        causes; null without a direction) and `partial` correlation, with their 95 % intervals."""
        schema: dict[str, Any] = {"source": pl.String, "kind": pl.String, "target": pl.String}
        rows = edge_rows(self.causal_graph, self.frequencies, self.strengths)
        frame = pl.DataFrame(rows) if rows else pl.DataFrame(schema=schema)
        return frame.select(*schema, pl.exclude(list(schema)))

    def edge(self, a: str, b: str) -> str:
        """The edge between two values, read from a to b, such as `-->`; empty where there is none.

        ValueError for a name that is no value of the graph."""
        names = self.values
        return str(self.causal_graph.edge_kind(names.index(a), names.index(b)))

    def descendants(self, value: str) -> tuple[str, ...]:
        """The values to which a directed path leads from `value`, in the order of the columns."""
        row = self.causal_graph.definite_descendants()[self.values.index(value)]
        return tuple(name for name, reached in zip(self.values, row, strict=True) if reached)

    def to_networkx(self) -> nx.Graph | nx.DiGraph:
        """The graph for networkx, with `kind`, frequencies and strengths on every edge.

        networkx has no graphs of both sorts. A graph without any directed edge is an `nx.Graph`. Any other
        is an `nx.DiGraph` in which a directed edge is one arc, and an edge without a settled direction
        (undirected, bidirected, circles) is an arc both ways, marked `directed=False`: neither direction is
        taken for it, and `[e for e in g.edges(data=True) if e[2]["directed"]]` are the arrows alone."""
        import networkx as nx

        rows = edge_rows(self.causal_graph, self.frequencies, self.strengths)
        arrows = any(row["kind"] == EdgeKind.FORWARD for row in rows)
        graph: Any = nx.DiGraph(kind=str(self.causal_graph.kind)) if arrows else nx.Graph()
        graph.add_nodes_from(self.values)
        for row in rows:
            source, target = row.pop("source"), row.pop("target")
            directed = row["kind"] == EdgeKind.FORWARD
            graph.add_edge(source, target, directed=directed, **row)
            if arrows and not directed:
                kind = self.edge(target, source)
                graph.add_edge(target, source, directed=False, **(turned(row) | {"kind": kind}))
        return graph

    def figure(self, title: str | None = None) -> Figure:
        """A matplotlib figure: values on a circle, edges as wide as they are frequent, and their
        strengths."""
        shown = self.title if title is None else title
        return graph_figure(self.causal_graph, self.frequencies, shown, self.strengths)

    def __repr__(self) -> str:
        directed = int(self.causal_graph.directed_mask().sum())
        return (
            f"ValueGraph({len(self.values)} values, {self.causal_graph.n_edges} edges, {directed} of them "
            "directed)"
        )

    def _repr_html_(self) -> str:
        buffer = io.StringIO()
        self.figure().savefig(buffer, format="svg", metadata={"Date": None}, facecolor="white")
        svg = buffer.getvalue()
        return f"{svg[svg.index('<svg') :]}{frame_html(self.edges)}"


def read_graph(path: Path | str, name: str | None = None) -> ValueGraph:
    """A graph from a file: axiograph's JSON, GraphML, or a list of edges (CSV); `name`: which of several.

    Raises InputError for a file that is none of these."""
    reading = read_graph_file(Path(path), name)
    return ValueGraph(reading.graph, title=Path(path).stem)

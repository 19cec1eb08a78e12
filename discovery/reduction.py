"""A graph without the directed edges that its other directed edges imply."""

from __future__ import annotations

from discovery.graph import CausalGraph
from discovery.marks import Endpoint
from engine.errors import InputError


def transitively_reduced(graph: CausalGraph, name: str = "the graph") -> CausalGraph:
    """The graph without each directed edge i → j beside which another directed path leads from i to j
    (networkx.transitive_reduction); undirected and other edges stay, and lie on no such path.

    Not the paper's reduction (discovery.paper), which takes an undirected edge as both directions. InputError
    for a directed cycle: with one, what is left is not unique."""
    import networkx as nx

    cycles = graph.cycles()
    if cycles:
        raise InputError(
            f"transitive reduction of {name}",
            "no directed cycle",
            f"one of {', '.join(cycles[0])}",
            "Draw the whole graph.",
        )
    whole = nx.DiGraph(graph.directed_edges())
    marks = graph.marks.copy()
    for i, j in set(whole.edges) - set(nx.transitive_reduction(whole).edges):
        marks[i, j] = marks[j, i] = Endpoint.NONE
    return CausalGraph(graph.names, marks, graph.kind)

"""A value graph by names: its edges read from source to target, and undirected ones stay undirected."""

import networkx as nx
import polars as pl
import pytest
from hypothesis import given

from axiograph.api.graph import ValueGraph, read_graph
from axiograph.discovery.graph.causal_graph import CausalGraph
from tests.discovery.graph.test_causal_graph import graphs

FREQUENCIES = pl.DataFrame(
    {
        "a": ["A", "A", "B"],
        "b": ["B", "C", "C"],
        "replicates": [10, 10, 10],
        "adjacent": [0.9, 0.1, 0.8],
        "forward": [0.7, 0.1, 0.1],
        "backward": [0.1, 0.0, 0.3],
        "undirected": [0.1, 0.0, 0.4],
        "bidirected": [0.0, 0.0, 0.0],
        "absent": [0.1, 0.9, 0.2],
    }
)


def graph() -> ValueGraph:
    """B → A, against the order of the columns, and B — C."""
    return ValueGraph(CausalGraph.from_edges("ABC", [("B", "A")], [("B", "C")]), FREQUENCIES, "title")


def test_edges_are_read_from_source_to_target():
    edges = graph().edges
    assert edges.select("source", "kind", "target").rows() == [("B", "-->", "A"), ("B", "---", "C")]
    # The pair is stored as A, B: its share of B → A is what is called backward there.
    assert edges.row(0, named=True)["forward"] == 0.1 and edges.row(0, named=True)["backward"] == 0.7
    assert graph().edge("A", "B") == "<--" and graph().edge("A", "C") == "none"
    assert graph().descendants("B") == ("A",) and graph().descendants("C") == ()


def test_an_undirected_edge_is_an_arc_both_ways_with_its_frequencies_turned():
    g = graph().to_networkx()
    assert set(g.edges) == {("B", "A"), ("B", "C"), ("C", "B")}
    assert g.edges["B", "A"]["directed"] and not g.edges["B", "C"]["directed"]
    assert not g.edges["C", "B"]["directed"] and g.edges["C", "B"]["kind"] == "---"
    assert g.edges["B", "C"]["forward"] == g.edges["C", "B"]["backward"] == 0.1


def test_a_graph_without_arrows_is_an_undirected_one():
    g = ValueGraph(CausalGraph.from_edges("ABC", [], [("A", "B")])).to_networkx()
    assert type(g) is nx.Graph and set(g.nodes) == set("ABC") and set(g.edges) == {("A", "B")}


@given(graphs())
def test_networkx_has_the_same_arrows_and_lines(made):
    value_graph = ValueGraph(made)
    g = value_graph.to_networkx()
    arrows = {(a, b) for a, b, directed in g.edges(data="directed") if directed}
    names = made.names
    assert arrows == {(names[i], names[j]) for i, j in made.directed_edges()}
    lines = {frozenset((a, b)) for a, b, directed in g.edges(data="directed") if not directed}
    others = [(i, j) for i, kind, j in made.edges() if str(kind) != "-->"]
    assert lines == {frozenset((names[i], names[j])) for i, j in others}
    assert all(g.has_edge(a, b) and g.has_edge(b, a) for a, b in map(tuple, lines))


def test_it_shows_its_figure_and_its_edges():
    html = graph()._repr_html_()
    assert (
        html.startswith("<svg") and "<table>" in html and repr(graph()).startswith("ValueGraph(3 values, 2")
    )
    assert graph().figure().get_suptitle() == "title"


@pytest.mark.parametrize("text", ["source,target,kind\nA,B,-->\nB,C,---\n"])
def test_a_graph_from_a_file(tmp_path, text):
    (tmp_path / "human.csv").write_text(text)
    assert read_graph(tmp_path / "human.csv").edges.rows() == [("A", "-->", "B"), ("B", "---", "C")]

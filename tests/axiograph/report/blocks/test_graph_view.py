"""Graphs for the page: marks, frequencies, and which pairs are left out."""

import polars as pl
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.discovery.stored import GraphChoice, StoredDiscovery
from axiograph.report.blocks import graph_view
from axiograph.report.blocks.graph_view import Ancestry, discovery_pairs, marks, view_of


@pytest.fixture
def stored(run):
    return StoredDiscovery.find(run.path)


def test_marks_read_from_the_first_value():
    assert marks(EdgeKind.FORWARD) == "ta" and marks(EdgeKind.BACKWARD) == "at"
    assert marks(EdgeKind.CIRCLE_FORWARD) == "ca" and marks(EdgeKind.NONE) == ""


def test_a_graph_without_frequencies():
    view = view_of(CausalGraph.from_edges(["b", "a"], [("b", "a")]))
    assert view["pairs"] == [{"a": 0, "b": 1, "graph": "ta"}]
    assert [node["name"] for node in view["nodes"]] == ["b", "a"]


def test_frequencies_are_those_of_the_edge_table(stored):
    table, graph = pl.read_parquet(stored.directory / "edges.parquet"), stored.graph()
    found = discovery_pairs(stored, graph.names, table)
    rows = {(graph.names[row["a"]], graph.names[row["b"]]): row for row in found.rows}
    for row in table.iter_rows(named=True):
        shown = rows.get((row["a"], row["b"]))
        assert (shown is not None) == (row["adjacent"] >= graph_view.LEAST or _any_edge(stored, row))
        if shown:
            assert shown["forward"] == pytest.approx(
                [row["forward"], row["forward_mc_low"], row["forward_mc_high"]], abs=1e-4
            )


def _any_edge(stored, row):
    graphs = [stored.graph(choice) for choice in GraphChoice]
    return any(
        g.edge_kind(g.names.index(row["a"]), g.names.index(row["b"])) is not EdgeKind.NONE for g in graphs
    )


def test_hiding_rarer_pairs_gives_the_consensus_at_any_threshold(stored):
    graph = stored.graph()
    found = discovery_pairs(stored, graph.names, pl.read_parquet(stored.directory / "edges.parquet"))
    for threshold in (0.1, 0.5, 0.8):
        consensus = stored.consensus(threshold)
        kept = {
            (r["a"], r["b"]): r["frequency"]
            for r in found.rows
            if r.get("frequency") and r["adjacent"][0] >= threshold
        }
        expected = {
            (i, j): marks(consensus.edge_kind(i, j))
            for i in range(len(graph.names))
            for j in range(i + 1, len(graph.names))
        }
        assert kept == {pair: text for pair, text in expected.items() if text}


def test_the_rarest_pairs_are_left_out_and_counted(stored, monkeypatch):
    table, graph = pl.read_parquet(stored.directory / "edges.parquet"), stored.graph()
    monkeypatch.setattr(graph_view, "MOST_PAIRS", 3)
    found = discovery_pairs(stored, graph.names, table)
    frequent = [row for row in found.rows if row.get("frequency")]
    assert 0 < len(frequent) <= 3
    assert (
        found.left_out == table.filter((pl.col("adjacent") > 0) & (pl.col("adjacent") < found.least)).height
    )
    assert all(row["adjacent"][0] >= found.least for row in frequent)


def test_ancestors_below_the_least_are_not_carried():
    columns = {
        "ancestor": ["a", "a"],
        "descendant": ["b", "c"],
        "definite": [0.9, 0.01],
        "possible": [0.0, 0.02],
    }
    table = pl.DataFrame(columns | {"definite_mc_low": [0.8, 0.0], "definite_mc_high": [0.95, 0.02]})
    assert Ancestry.of(table, ("a", "b", "c")).rows == [[0, 1, 0.9, 0.8, 0.95, 0.0]]
    assert Ancestry.of(None, ("a",)).rows == []

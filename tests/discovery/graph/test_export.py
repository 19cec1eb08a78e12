import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import (
    edge_rows,
    load_graph,
    to_dot,
    to_latex,
    write_graph,
    write_graphml,
)
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.reading import read_graph
from axiograph.discovery.pc.search import pc
from axiograph.engine.errors import InputError
from tests.discovery.bootstrapped import bootstrapped
from tests.discovery.graph.test_causal_graph import either

AWKWARD = ('a "quoted" & <b>', "50 % _x_", "déjà\\vu", "plain")
GRAPH = CausalGraph.from_edges(AWKWARD, [(AWKWARD[1], AWKWARD[0])], [AWKWARD[1:3]], [AWKWARD[2:4]])


def frequencies():
    data = np.random.default_rng(0).normal(size=(20, 4))
    return bootstrapped(
        data, AWKWARD, full=pc(data, AWKWARD).graph, replicates=5, null_replicates=0, alpha=0.9
    ).edges.table()


def test_every_format_is_written_and_reads_back(tmp_path):
    paths = write_graph(GRAPH, tmp_path / "new", "graph", frequencies())
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in paths)
    assert {p.suffix for p in paths} == {".json", ".graphml", ".dot", ".tex", ".parquet"}
    assert load_graph(tmp_path / "new" / "graph.json") == GRAPH
    assert read_graph(tmp_path / "new" / "graph.graphml").graph == GRAPH
    table = pl.read_parquet(tmp_path / "new" / "graph.parquet")
    assert table.drop("graph_edge").equals(frequencies())
    assert table["graph_edge"].to_list() == ["<--", "none", "none", "---", "none", "<->"]


@settings(max_examples=25, deadline=None)
@given(either)
def test_round_trips_of_any_graph(tmp_path_factory, graph):
    folder = tmp_path_factory.mktemp("graphs")
    write_graph(graph, folder, "g")
    assert load_graph(folder / "g.json") == graph
    assert read_graph(folder / "g.graphml").graph == graph


def test_frequencies_follow_the_direction_of_the_edge():
    table = frequencies()
    pair = table.filter((pl.col("a") == AWKWARD[0]) & (pl.col("b") == AWKWARD[1])).row(0, named=True)
    edge = edge_rows(GRAPH, table)[0]
    assert (edge["source"], edge["target"]) == (AWKWARD[1], AWKWARD[0])
    assert edge["forward"] == pair["backward"]
    assert edge["backward"] == pair["forward"]
    assert edge["adjacent"] == pair["adjacent"]


def test_circles_keep_their_end_in_every_text():
    edges = [("b", "o->", "a"), ("b", "o-o", "c"), ("c", "--o", "d")]
    graph = CausalGraph.from_kinds("abcd", edges, GraphKind.PAG)
    dot = to_dot(graph)
    assert dot.startswith("// pag")
    assert '"b" -> "a" [dir=both, arrowtail=odot];' in dot
    assert '"b" -> "c" [dir=both, arrowtail=odot, arrowhead=odot];' in dot
    assert '"d" -> "c" [dir=back, arrowtail=odot];' in dot
    latex = to_latex(graph)
    assert r"b & $\circ\!\!\rightarrow$ & a &" in latex
    assert r"d & $\circ\!\!{-}$ & c &" in latex


def test_frequencies_of_circles_turn_with_the_edge():
    row = {"a": "a", "b": "b", "replicates": 9, "adjacent": 0.9, "forward": 0.1, "backward": 0.2}
    row |= {"undirected": 0.0, "bidirected": 0.0, "circle_forward": 0.3, "circle_backward": 0.15}
    row |= {"circle_circle": 0.05, "circle_tail": 0.04, "tail_circle": 0.06, "absent": 0.1}
    graph = CausalGraph.from_kinds("ab", [("b", "o->", "a")], GraphKind.PAG)
    (edge,) = edge_rows(graph, pl.DataFrame([row]))
    assert (edge["source"], edge["forward"], edge["backward"]) == ("b", 0.2, 0.1)
    assert (edge["circle_forward"], edge["circle_backward"]) == (0.15, 0.3)
    assert (edge["circle_tail"], edge["tail_circle"], edge["circle_circle"]) == (0.06, 0.04, 0.05)
    assert r" & 0.90 & 0.15 & 0.05 \\" in to_latex(graph, edge_rows(graph, pl.DataFrame([row])))


def test_graph_files_without_a_kind_are_cpdags(tmp_path):
    path = tmp_path / "g.json"
    path.write_text('{"schema": "axiograph-graph/1", "values": ["a"], "edges": []}')
    assert load_graph(path).kind is GraphKind.CPDAG


def test_dot_is_read_by_a_dot_parser():
    pydot = pytest.importorskip("pydot")
    (parsed,) = pydot.graph_from_dot_data(to_dot(GRAPH))
    edges = {(e.get_source(), e.get_destination(), e.get("dir")) for e in parsed.get_edges()}
    assert len(edges) == 3
    assert {direction for *_, direction in edges} == {"forward", "none", "both"}
    assert len(parsed.get_nodes()) == 5  # four values and the default of the nodes


def test_latex_escapes_what_tex_would_read():
    text = to_latex(GRAPH)
    assert r"50 \% \_x\_ & $\rightarrow$ & a " in text
    assert r"\&" in text
    assert r"\textbackslash{}vu" in text


def test_null_frequencies_are_null_in_json_and_absent_in_graphml(tmp_path):
    table = frequencies().with_columns(pl.lit(None, pl.Float64).alias("adjacent"))
    write_graph(GRAPH, tmp_path, "g", table)
    assert json.loads((tmp_path / "g.json").read_text())["edges"][0]["adjacent"] is None
    assert read_graph(tmp_path / "g.graphml").graph == GRAPH


def test_a_failed_write_leaves_the_old_files(tmp_path, monkeypatch):
    write_graph(GRAPH, tmp_path, "g")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(self, *args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(RuntimeError):
        write_graph(CausalGraph.empty(AWKWARD), tmp_path, "g")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"schema": "other/9"}', "other/9"),
        ('{"schema": "axiograph-graph/1", "values": ["a"]}', "edges"),
        ('{"schema": "axiograph-graph/1", "values": ["a"], "edges": [{"kind": "?"}]}', "ValueError"),
    ],
)
def test_files_that_are_no_graph(tmp_path, text, says):
    path = tmp_path / "g.json"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_graph(path)


def test_missing_files(tmp_path):
    for read in (load_graph, read_graph):
        with pytest.raises(InputError, match="No such file"):
            read(tmp_path / "none.json")


def test_broken_graphml(tmp_path):
    path = tmp_path / "g.graphml"
    write_graphml(GRAPH, path)
    path.write_text(path.read_text()[:-200])
    with pytest.raises(InputError, match="GraphML"):
        read_graph(path)

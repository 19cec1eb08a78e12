"""Graphs from files: what export writes reads back, and every mistake of a person is one paragraph."""

import contextlib
import json

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.graph import reading as reference
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import write_graph, write_graphml
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.reading import MAX_VALUES, of_kind, read_graph, with_values
from axiograph.engine.errors import InputError
from tests.discovery.comparison.test_graphs import pairs_of_graphs
from tests.discovery.graph.test_export import AWKWARD, GRAPH


def written(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


@settings(max_examples=25, deadline=None)
@given(pairs_of_graphs(marks=(1, 2, 3)) | pairs_of_graphs())
def test_what_export_writes_reads_back(tmp_path_factory, pair):
    folder = tmp_path_factory.mktemp("graphs")
    for graph in pair:
        write_graph(graph, folder, "g")
        for name in ("g.json", "g.graphml"):
            reading = read_graph(folder / name)
            assert reading.graph == graph and reading.complete and reading.kind_is_known
        rows = [[graph.names[i], graph.names[j], str(kind)] for i, kind, j in graph.edges()]
        rows += [[name] for name in graph.names]
        text = "\n".join(",".join(row) for row in rows)
        for reading in (
            read_graph(written(folder, "g.csv", text)),
            read_graph(written(folder, "g.tsv", "source\ttarget\tkind\n" + text.replace(",", "\t"))),
            read_graph(written(folder, "e.json", json.dumps(rows))),
        ):
            found = reading.graph.reordered(graph.names)
            # A list of edges does not say that it is a PAG where there is no circle to see.
            assert CausalGraph(found.names, found.marks, graph.kind) == graph
            assert not reading.complete and not reading.notes


def test_awkward_names(tmp_path):
    write_graph(GRAPH, tmp_path, "g")
    for name in ("g.json", "g.graphml"):
        assert read_graph(tmp_path / name).graph == GRAPH
    text = '# "comment", "x\n"a ""quoted"" & <b>", plain, ---\n"x, y", déjà\\vu\n'
    assert read_graph(written(tmp_path, "g.csv", text)).graph.names == (
        AWKWARD[0],
        "plain",
        "x, y",
        AWKWARD[2],
    )


KINDS = {
    "": "-->", "->": "-->", "→": "-->", " - -> ": "-->", "<-": "<--", "←": "<--", "--": "---", "-": "---",
    "—": "---", "–": "---", "<-->": "<->", "↔": "<->", "o→": "o->", "o-->": "o->", "o–o": "o-o", "∘—∘": "o-o",
    "--o": "--o",
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), KINDS.items())
def test_kinds_as_a_person_writes_them(tmp_path, text, kind):
    graph = read_graph(written(tmp_path, "g.csv", f"a,b,{text}\n")).graph
    assert graph.edge_kind(0, 1) == kind
    assert graph.kind is (GraphKind.PAG if "o" in kind else GraphKind.CPDAG)


def test_a_list_as_a_person_writes_it(tmp_path):
    text = "# Schwartz 1992\n\nTo, weight, From\nb, 1, a\nc, 2, b\n\n"
    graph = read_graph(written(tmp_path, "g.csv", text, "utf-8-sig")).graph
    assert graph == CausalGraph.from_edges("abc", [("a", "b"), ("b", "c")])


def test_pairs_in_both_directions_are_undirected_and_said(tmp_path):
    reading = read_graph(written(tmp_path, "g.csv", "a,b\nb,a\na,b\nb,c,<--\nc,b,<--\n"))
    assert reading.graph == CausalGraph.from_edges("abc", [], [("a", "b"), ("b", "c")])
    assert reading.notes == (
        "2 pairs are listed in both directions and read as undirected: a and b; b and c.",
    )


def test_a_file_of_several_graphs(tmp_path):
    path = written(tmp_path, "g.json", json.dumps({"one": [["a", "b"]], "two": [["b", "c"]], "n": 3}))
    assert read_graph(path, "two").graph.names == ("b", "c")
    with pytest.raises(InputError, match=r"several graphs \(one, two\).*g\.json#one"):
        read_graph(path)
    with pytest.raises(InputError, match=r"one of .*found 'three'"):
        read_graph(path, "three")


def test_graphml_of_others(tmp_path):
    path = tmp_path / "g.graphml"
    nx.write_graphml(nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")]), path)
    reading = read_graph(path)
    assert reading.graph == CausalGraph.from_edges("abc", [("b", "c")], [("a", "b")])
    assert reading.complete and not reading.kind_is_known and len(reading.notes) == 1
    nx.write_graphml(nx.Graph([("a", "b")]), path)
    assert read_graph(path).graph == CausalGraph.from_edges("ab", [], [("a", "b")])


def test_values_and_kind_that_a_list_leaves_open(tmp_path):
    reading = read_graph(written(tmp_path, "g.csv", "a,b\n"))
    assert with_values(reading.graph, ("c", "a")) == CausalGraph.from_edges("abc", [("a", "b")])
    assert of_kind(reading, GraphKind.PAG).kind is GraphKind.PAG
    lines = read_graph(written(tmp_path, "g.csv", "a,b,---\n"))
    assert of_kind(lines, GraphKind.PAG).kind is GraphKind.CPDAG


ENTITIES = '<?xml version="1.0"?><!DOCTYPE g [<!ENTITY a "{}">]><graphml>&a;</graphml>'
MISTAKES = [
    ("g.csv", "a,b\na,b,---\n", r"line 2: expected one kind of edge a pair, found another than in .*line 1"),
    ("g.csv", "a,b\nc,c\n", r"line 2: expected two different values, found 'c' twice"),
    ("g.csv", "a,b\n,c\n", r"line 2: expected the names of two values"),
    ("g.csv", "a,,-->\n", r"line 1: expected the names of two values"),
    ("g.csv", "a,b,causes\n", r"line 1: expected a kind of edge .*found 'causes'"),
    ("g.csv", "a,b,-<\n", r"found '-<'"),
    ("g.csv", "a,b,o\n", r"found 'o'"),
    ("g.csv", "a;b;-->;c,d,e,f\n", r"line 1: expected source, target and kind, found 4 cells"),
    ("g.csv", 'a,"b\n', r"line 1: expected cells, in double quotes or without"),
    ("g.csv", "# nothing\n", r"1 to 2,000 values, found none"),
    ("g.json", "{", r"expected JSON"),
    ("g.json", "[" * 100_000, r"expected JSON"),
    ("g.json", "3", r"a graph.json or a list of edges"),
    ("g.json", "{}", r"one of \[\]"),
    ("g.json", '[["a", 1]]', r"edge 1: expected \[source, target\]"),
    ("g.json", '[["a", "b"], {"from": "a"}]', r"edge 2"),
    ("g.json", '{"schema": "other/9"}', r"other/9"),
    ("g.json", '{"schema": "axiograph-graph/1", "values": "ab", "edges": []}', r"values \(names\)"),
    ("g.json", '{"schema": "axiograph-graph/1", "values": [1, 2], "edges": []}', r"values \(names\)"),
    ("g.json", '{"schema": "axiograph-graph/1", "values": ["a"], "edges": [{}]}', r"KeyError"),
    ("g.graphml", "<graphml>", r"expected GraphML"),
    ("g.graphml", "<html/>", r"expected GraphML"),
    ("g.graphml", "a,b\n", r"expected GraphML"),
    ("g.graphml", ENTITIES.format("x"), r"found <!DOCTYPE g>"),
    ("g.xml", '<!DOCTYPE g SYSTEM "file:///etc/passwd"><graphml/>', r"found <!DOCTYPE g>"),
    ("g.graphml", '<?xml version="1.0" encoding="no-such"?><graphml/>', r"expected GraphML"),
    ("g.dot", "digraph {}", r"found the suffix '\.dot'"),
    ("graph", "a,b", r"found no suffix"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "says"), MISTAKES)
def test_mistakes_are_named_with_their_place(tmp_path, name, text, says):
    path = written(tmp_path, name, text)
    with pytest.raises(InputError, match=says) as caught:
        read_graph(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_unreadable_files(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="No such file"):
        read_graph(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="directory"):
        read_graph(tmp_path / "folder.csv")
    (tmp_path / "latin.csv").write_bytes("Größe,b\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_graph(tmp_path / "latin.csv")
    with pytest.raises(InputError, match="no #key"):
        read_graph(tmp_path / "latin.csv", "one")
    with pytest.raises(InputError, match="1 to 2,000 values, found 2,002"):
        read_graph(written(tmp_path, "many.csv", "\n".join(f"v{k}" for k in range(MAX_VALUES + 2))))
    monkeypatch.setattr(reference, "MAX_BYTES", 3)
    with pytest.raises(InputError, match="at most 3 bytes, found 4"):
        read_graph(written(tmp_path, "big.csv", "a,b\n"))


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_no_content_whatever_escapes_as_another_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    for name in ("g.csv", "g.tsv", "g.json", "g.graphml"):
        (folder / name).write_bytes(content)
        with contextlib.suppress(InputError):
            assert read_graph(folder / name).graph.names


def test_the_papers_reference_graph(paper_data):
    path = paper_data / "gemma" / "expected_graph.json"
    human, reduced = (read_graph(path, f"{name}_edges") for name in ("human_reference", "reduced"))
    assert (len(human.graph.names), human.graph.n_edges, human.notes) == (14, 18, ())
    # 28 edges, three pairs in both directions.
    assert (len(reduced.graph.names), reduced.graph.n_edges, len(reduced.notes)) == (17, 25, 1)


def test_graphml_is_not_unpacked(tmp_path):
    import gzip

    path = tmp_path / "g.graphml"
    write_graphml(GRAPH, path)
    packed = tmp_path / "packed.graphml"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match="expected GraphML"):
        read_graph(packed)

import numpy as np
import pytest
from hypothesis import given

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.engine.errors import InputError
from tests.discovery.graph.test_causal_graph import either, graphs


def pack(found: list[CausalGraph]) -> PackedGraphs:
    n = len(found[0].names)
    marks = np.stack([graph.marks for graph in found])
    ones = np.ones((len(found), n), dtype=bool)
    return PackedGraphs.pack(found[0].names, marks, ones, ones[:, 0], found[0].kind)


@given(either)
def test_packing_keeps_every_mark(graph):
    packed = PackedGraphs.join(graph.names, [pack([graph, graph]), pack([graph])])
    assert packed.kind is graph.kind
    assert [packed.graph(k) for k in range(3)] == [graph] * 3


def test_four_bits_a_pair_of_a_pag_hand_worked():
    # Pairs ab, ac, bc: marks 2, 0, 1 at the second and 3, 0, 1 at the first. Low and high bits of the second
    # 001 100, of the first 101 100.
    graph = CausalGraph.from_kinds("abc", [("a", "o->", "b"), ("b", "---", "c")], GraphKind.PAG)
    assert pack([graph]).edges.tolist() == [[0b00110010, 0b11000000]]


@given(graphs(kind=GraphKind.PAG))
def test_archives_of_pags_read_back(tmp_path_factory, graph):
    path = tmp_path_factory.mktemp("packed") / "replicates.npz"
    pack([graph]).save(path)
    assert PackedGraphs.load(path).graph(0) == graph


def test_archives_without_a_kind_hold_cpdags(tmp_path):
    graph = CausalGraph.from_edges("abc", [("a", "b"), ("c", "a")])
    packed = pack([graph])
    path = tmp_path / "old.npz"
    np.savez(path, names=np.array(packed.names), edges=packed.edges, present=packed.present, used=packed.used)
    assert PackedGraphs.load(path).graph(0) == graph


def test_arrays_that_do_not_fit_their_kind_are_refused(tmp_path):
    packed = pack([CausalGraph.empty([f"v{k}" for k in range(6)])])
    path = tmp_path / "x.npz"
    arrays = {"edges": packed.edges, "present": packed.present, "used": packed.used}
    np.savez(path, names=np.array(packed.names), kind=np.array("pag"), **arrays)
    with pytest.raises(InputError, match="expected"):
        PackedGraphs.load(path)


def test_circles_in_a_cpdag_are_refused():
    pag = CausalGraph.from_kinds("ab", [("a", "o-o", "b")], GraphKind.PAG)
    with pytest.raises(InputError, match="circles"):
        PackedGraphs.pack("ab", pag.marks[None], np.ones((1, 2), bool), np.ones(1, bool))
    with pytest.raises(ValueError, match="too many values"):
        PackedGraphs.join("ab", [pack([pag]), pack([CausalGraph.empty("ab")])])


def test_three_bits_a_pair_hand_worked():
    # Pairs ab, ac, bc. Adjacent 110, arrowhead at the second 100, at the first 010: 1101 0001 0.
    graph = CausalGraph.from_edges("abc", [("a", "b"), ("c", "a")])
    packed = pack([graph])
    assert packed.edges.tolist() == [[0b11010001, 0b00000000]]
    assert packed.present.tolist() == [[0b11100000]]


def test_absent_columns_and_failed_replicates():
    marks = np.zeros((3, 3, 3), np.uint8)
    marks[0, 0, 1], marks[0, 1, 0] = 2, 1
    present = np.array([[True, True, False], [True, True, True], [False] * 3])
    packed = PackedGraphs.pack("abc", marks, present, np.array([True, True, False]))
    assert packed.graph(0) == CausalGraph.from_edges("ab", [("a", "b")])
    assert packed.graph(1) == CausalGraph.empty("abc")
    assert packed.graph(2) is None
    assert packed.presence().tolist() == present.tolist()
    joined = PackedGraphs.join("abc", [packed, packed])
    assert len(joined) == 6
    assert np.array_equal(joined.marks(3), packed.marks())
    assert len(PackedGraphs.join("abc", [])) == 0


def test_saved_graphs_read_back(tmp_path):
    packed = pack([CausalGraph.from_edges(("Größe", "b"), [("b", "Größe")])])
    path = tmp_path / "deep" / "replicates.npz"
    packed.save(path)
    assert PackedGraphs.load(path).graph(0) == packed.graph(0)
    first = path.read_bytes()
    packed.save(path)
    assert path.read_bytes() == first
    assert packed.nbytes == 1 + 1 + 1


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.npz"):
        PackedGraphs.load(path)

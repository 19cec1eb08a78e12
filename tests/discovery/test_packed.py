import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.graph import CausalGraph
from discovery.packed import PackedGraphs
from engine.errors import InputError
from tests.discovery.test_graph import graphs


def pack(found: list[CausalGraph]) -> PackedGraphs:
    n = len(found[0].names)
    marks = np.stack([graph.marks for graph in found])
    ones = np.ones((len(found), n), dtype=bool)
    return PackedGraphs.pack(found[0].names, marks, ones, ones[:, 0])


@given(st.lists(graphs(), min_size=1, max_size=5))
def test_packing_keeps_every_mark(found):
    for graph in found:
        assert pack([graph]).graph(0) == graph


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

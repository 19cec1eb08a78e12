import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.graph.ancestors import ancestor_counts, ancestor_table
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from tests.discovery.graph.test_causal_graph import either
from tests.discovery.graph.test_packed import pack


@settings(deadline=None)  # the first example compiles
@given(st.lists(either, min_size=1, max_size=4))
def test_counts_are_those_of_the_graphs(found):
    for graph in found:
        definite, possible, together = ancestor_counts(pack([graph]))
        assert np.array_equal(definite, graph.definite_descendants())
        assert np.array_equal(possible, graph.possible_descendants())
        assert np.array_equal(together, 1 - np.eye(len(graph.names)))


def test_more_than_one_word_of_nodes():
    names = tuple(f"v{k}" for k in range(70))
    chain = CausalGraph.from_edges(names, [(names[k], names[k + 1]) for k in range(69)])
    definite, possible, _ = ancestor_counts(pack([chain, chain]))
    assert np.array_equal(definite, 2 * np.triu(np.ones((70, 70), int), k=1))
    assert not possible.any()


def test_frequencies_hand_worked():
    a_to_c = CausalGraph.from_edges("abc", [("a", "b"), ("b", "c")])
    open_end = CausalGraph.from_edges("abc", [("a", "b")], [("b", "c")])
    packed = pack([a_to_c, a_to_c, open_end])
    without_c = PackedGraphs.pack(
        "abc", CausalGraph.empty("abc").marks[None], np.array([[True, True, False]]), np.array([True])
    )
    failed = PackedGraphs.pack(
        "abc", CausalGraph.empty("abc").marks[None], np.zeros((1, 3), bool), np.array([False])
    )
    table = ancestor_table(PackedGraphs.join("abc", [packed, without_c, failed]))
    rows = {(r["ancestor"], r["descendant"]): r for r in table.iter_rows(named=True)}
    assert (rows["a", "c"]["replicates"], rows["a", "c"]["definite"], rows["a", "c"]["possible"]) == (
        3,
        2 / 3,
        1 / 3,
    )
    assert (rows["a", "b"]["replicates"], rows["a", "b"]["definite"]) == (4, 3 / 4)
    assert (rows["c", "b"]["definite"], rows["c", "b"]["possible"]) == (0.0, 1 / 3)
    assert rows["c", "a"]["possible"] == 0.0
    assert table.height == 6


def test_pair_that_was_never_together_is_null():
    marks = np.zeros((1, 2, 2), np.uint8)
    packed = PackedGraphs.pack("ab", marks, np.array([[True, False]]), np.array([True]))
    assert ancestor_table(packed)["definite"].null_count() == 2

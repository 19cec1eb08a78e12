import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from axiograph.discovery.effects.relations import (
    DrawnGraphs,
    Relation,
    Source,
    Weights,
    among,
    judges_note,
    relations,
)
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.engine.errors import InputError
from tests.discovery.graph.test_causal_graph import graphs
from tests.discovery.made_profiles import ABCD, packed


@given(graphs())
def test_relations_hold_every_other_value_once(graph):
    total = sum(mask.astype(int) for mask in relations(graph).values())
    assert np.array_equal(total, 1 - np.eye(len(graph.names), dtype=int))


def test_graphs_that_judge_are_counted_by_what_they_were_made_without():
    assert judges_note({}) == []
    (note,) = judges_note({"d0:+1": "d0", "d0:+2": "d0", "d1:+2": "d1"}, "own graph")
    assert note.startswith("The own graph was made with") and "each of 2 levers" in note


def test_relations_are_named_in_order():
    assert list(relations(ABCD)) == list(Relation)


def test_weights_are_frequencies_over_the_replicates_that_hold_both():
    # a → b, a → b → c, a — b; b is not in the last.
    made = packed(
        "abc",
        [([("a", "b")], []), ([("a", "b"), ("b", "c")], []), ([], [("a", "b")]), ([], [])],
        absent={3: "b"},
    )
    weights = Weights.of(CausalGraph.from_edges("abc", [("a", "b")]), made)
    assert weights.sources == (Source.GRAPH, Source.REPLICATES)
    expected, possible, unexpected = weights.table[1]
    assert (expected[0, 1], possible[0, 1], unexpected[0, 1]) == pytest.approx((2 / 3, 1 / 3, 0))
    assert (expected[0, 2], possible[0, 2], unexpected[0, 2]) == pytest.approx((1 / 4, 0, 3 / 4))
    assert (expected[1, 2], possible[1, 0]) == pytest.approx((1 / 3, 1 / 3))
    assert weights.counted[0].tolist() == [0, 3, 4]
    row = weights.frame().filter((pl.col("value") == "a") & (pl.col("other") == "c")).row(0, named=True)
    assert (row["relation"], row["replicates"], row["expected"]) == ("unexpected", 4, 0.25)


def test_a_pair_that_was_never_counted_has_no_weight_and_a_null_frequency():
    made = packed("ab", [([], []), ([], [])], absent={0: "a", 1: "b"})
    weights = Weights.of(CausalGraph.from_edges("ab", [("a", "b")]), made)
    assert weights.counted.tolist() == [[0, 0], [0, 0]]
    assert not weights.table[1].any()
    assert weights.frame().row(0) == ("a", "b", "expected", 0, None, None, None)


def test_without_replicates_there_are_no_frequencies():
    frame = Weights.of(ABCD, None).frame()
    assert frame.height == 12 and frame["expected"].null_count() == 12
    assert frame["replicates"].unique().to_list() == [0]


@settings(deadline=None)  # the first call compiles
@given(graphs())
def test_one_replicate_weighs_as_the_graph_does(graph):
    made = PackedGraphs.pack(
        graph.names, graph.marks[None], np.ones((1, len(graph.names)), bool), np.ones(1, bool)
    )
    weights = Weights.of(graph, made)
    assert np.array_equal(weights.table[0], weights.table[1])
    codes = DrawnGraphs.of(made, graph.names, 3, np.random.default_rng(0)).codes
    for code, mask in enumerate(relations(graph).values(), start=1):
        assert all(np.array_equal(drawn == code, mask) for drawn in codes)


def test_drawn_graphs_are_those_of_the_replicates_that_pc_could_find():
    made = packed("ab", [([("a", "b")], []), ([("b", "a")], []), ([], [])])
    usable = PackedGraphs(made.names, made.edges, made.present, np.array([True, False, True]))
    # In the order of the graph's names, which is not that of the replicates.
    codes = DrawnGraphs.of(usable, "ba", 400, np.random.default_rng(0)).codes
    drawn, counts = np.unique(codes.reshape(400, 4), axis=0, return_counts=True)
    assert drawn.tolist() == [[0, 3, 1, 0], [0, 3, 3, 0]]  # a → b: b is 1 from a; no edge
    assert 160 <= counts[0] <= 240
    none = PackedGraphs(made.names, made.edges, made.present, np.zeros(3, bool))
    assert DrawnGraphs.of(none, "ab", 5, np.random.default_rng(0)) is None


def test_sums_by_the_relation_of_every_draw():
    made = packed("abc", [([("a", "b")], []), ([("c", "a")], [("a", "b")])], absent={})
    drawn = DrawnGraphs.of(made, "abc", 50, np.random.default_rng(1))
    outcomes = np.random.default_rng(2).normal(size=(50, 3, 2))
    found = drawn.sums(np.array([2, 0]), outcomes)
    for b in range(50):
        for t, j in enumerate((2, 0)):
            for r in range(3):
                others = [k for k in range(3) if drawn.codes[b, j, k] == r + 1]
                assert found[b, t, r] == pytest.approx(outcomes[b, others].sum(axis=0))


def test_replicates_of_other_values_are_refused():
    made = packed("ab", [([], [])])
    with pytest.raises(InputError, match="none with 'c'"):
        Weights.of(CausalGraph.empty("abc"), made)


def test_indicators_of_steering_are_left_out_and_nothing_else_changes():
    whole = CausalGraph.from_edges(["steering", "a", "b"], [("steering", "a"), ("a", "b")])
    part = among(whole, ["a", "b"])
    assert part == CausalGraph.from_edges("ab", [("a", "b")])
    made = packed(["steering", "a", "b"], [([("steering", "a"), ("a", "b")], [])])
    assert Weights.of(part, made).table[1, 0].tolist() == [[0, 1], [0, 0]]

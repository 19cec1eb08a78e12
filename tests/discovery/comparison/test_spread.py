"""Pairs of replicates: every number against the comparison of the two graphs themselves."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.comparison import spread as module
from axiograph.discovery.comparison.agreement import Stack, count
from axiograph.discovery.comparison.spread import Pairing, exceeds, spread_of_runs, spread_to_graph
from axiograph.discovery.graph.causal_graph import CausalGraph, shd
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.engine.errors import InputError
from tests.discovery.graph.test_packed import pack

VALUES = ("a", "b", "c", "d")


def run(rng: np.random.Generator, number: int, names=VALUES, spoilt=True) -> PackedGraphs:
    """Random graphs; of some, a value was constant, and some failed."""
    n = len(names)
    ends = np.array([(0, 0), (0, 0), (1, 2), (2, 1), (1, 1), (2, 2)], np.uint8)
    marks = np.zeros((number, n, n), np.uint8)
    used, present = np.ones(number, bool), np.ones((number, n), bool)
    for r in range(number):
        for i in range(n):
            for j in range(i + 1, n):
                marks[r, i, j], marks[r, j, i] = rng.choice(ends)
        if spoilt and rng.random() < 0.2:
            used[r] = rng.random() < 0.5
            lost = [int(rng.integers(n))] if used[r] else list(range(n))
            present[r, lost] = False
            marks[r, lost], marks[r, :, lost] = 0, 0
    return PackedGraphs.pack(names, marks, present, used)


def expected(pairs):
    """Counts of the pairs of whole graphs, one by one; how many were failed and incomplete."""
    counts, failed, incomplete = [], 0, 0
    for ours, theirs in pairs:
        if ours is None or theirs is None:
            failed += 1
        elif not set(VALUES) <= set(ours.names) & set(theirs.names):
            incomplete += 1
        else:
            found = count(Stack.of(ours, VALUES), Stack.of(theirs, VALUES))
            counts.append({name: int(number[0]) for name, number in found.items()})
    return counts, failed, incomplete


def check(spread, pairs):
    counts, failed, incomplete = expected(pairs)
    assert (spread.pairs, spread.failed, spread.incomplete) == (len(counts), failed, incomplete)
    assert {name: numbers.tolist() for name, numbers in spread.counts.items()} == {
        name: [these[name] for these in counts] for name in spread.counts
    }


@pytest.mark.parametrize("cells", [4_000_000, 75, 1])
def test_every_pairing_against_the_graphs(cells, monkeypatch):
    monkeypatch.setattr(module, "_CELLS", cells)  # 25 cells a graph: parts of many, three and one
    rng = np.random.default_rng(0)
    ours, theirs = run(rng, 23), run(rng, 20, ("x", "d", "c", "b", "a"))
    found = spread_of_runs(ours, theirs, VALUES)
    left, right = [ours.graph(r) for r in range(20)], [theirs.graph(r) for r in range(20)]
    assert set(found) == set(Pairing) - {Pairing.FIXED}
    check(found[Pairing.SAME], zip(left, right, strict=True))
    check(found[Pairing.OTHER], zip(left, right[1:], strict=False))
    check(found[Pairing.GRAPH], pairwise(left))
    check(found[Pairing.REFERENCE], pairwise(right))
    assert all(spread.failed and spread.incomplete and spread.pairs for spread in found.values())


@pytest.mark.parametrize("cells", [4_000_000, 40])
def test_replicates_of_one_run_against_one_graph(cells, monkeypatch):
    monkeypatch.setattr(module, "_CELLS", cells)
    replicates = run(np.random.default_rng(1), 15)
    graph = CausalGraph.from_edges("dcbay", [("a", "b"), ("c", "y"), ("y", "d")], [("b", "c")])
    each = [replicates.graph(r) for r in range(15)]
    check(spread_to_graph(replicates, graph, VALUES), ((g, graph) for g in each))
    check(spread_to_graph(graph, replicates, VALUES), ((graph, g) for g in each))


def test_summary_by_hand():
    ab, bc, both = (
        CausalGraph.from_edges("abc", edges) for edges in ([("a", "b")], [("b", "c")], ["ab", "bc"])
    )
    none = CausalGraph.empty("abc")
    spread = spread_to_graph(pack([ab, bc, both, none]), ab, tuple("abc"))
    assert spread.values("shd").tolist() == [0, 2, 1, 1]
    assert spread.summary("shd")["median"] == 1
    assert spread.summary("skeleton_precision") == pytest.approx(
        {"low": 0.05, "median": 0.5, "high": 0.95, "pairs": 3, "undefined": 1}
    )
    assert spread.document()["skeleton_recall"]["undefined"] == 0


def test_no_pair_at_all_is_a_state():
    graph = CausalGraph.from_edges("ab", [("a", "b")])
    found = spread_of_runs(pack([graph]), pack([graph]), ("a", "b"))
    assert found[Pairing.SAME].values("shd").tolist() == [0]
    lonely = found[Pairing.OTHER]
    assert lonely.pairs == 0 and lonely.summary("shd")["median"] is None
    assert lonely.summary("skeleton_f1") == {
        "low": None,
        "median": None,
        "high": None,
        "pairs": 0,
        "undefined": 0,
    }
    assert exceeds(lonely, found[Pairing.SAME]) is None
    assert lonely.document()["pairs"] == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "ab", "abc"]), min_size=3, max_size=9), st.integers(0, 5))
def test_exceeds_over_all_combinations(edges, shift):
    graphs = [CausalGraph.from_edges("abc", list(pairwise(text))) for text in edges]
    turned = graphs[shift % len(graphs) :] + graphs[: shift % len(graphs)]
    found = spread_of_runs(pack(graphs), pack(turned), tuple("abc"))
    between = [shd(a, b) for a, b in zip(graphs, turned[1:], strict=False)]
    within = [shd(a, b) for a, b in pairwise(graphs)]
    wins = [(b > w) + (b == w) / 2 for b in between for w in within]
    assert exceeds(found[Pairing.OTHER], found[Pairing.GRAPH]) == pytest.approx(np.mean(wins))


def test_a_run_against_itself_differs_as_much_as_from_itself():
    replicates = run(np.random.default_rng(2), 30, spoilt=False)
    found = spread_of_runs(replicates, replicates, VALUES)
    assert not found[Pairing.SAME].values("shd").any()
    assert exceeds(found[Pairing.OTHER], found[Pairing.GRAPH]) == 0.5


def test_replicates_of_other_values_are_refused():
    graph = CausalGraph.empty("ab")
    with pytest.raises(InputError, match="not of one run"):
        spread_to_graph(pack([graph]), CausalGraph.empty("abc"), ("a", "c"))

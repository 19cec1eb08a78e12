"""Places of values: stable, and causes above effects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.report.blocks.graph_view import (
    BOXES_UP_TO,
    ellipse_positions,
    layered_positions,
    ordered_layers,
    positions,
)

NAMES = ["Empathy", "achievement", "Order", "Benevolence"]


def test_the_same_values_have_the_same_places_in_every_graph():
    one = CausalGraph.from_edges(NAMES, [("Order", "Empathy")])
    other = CausalGraph.from_edges(NAMES[::-1], [("Empathy", "Benevolence")], [("Order", "achievement")])
    assert {n: p.fixed for n, p in positions(one).items()} == {
        n: p.fixed for n, p in positions(other).items()
    }


def test_names_stand_clockwise_from_the_top_in_alphabetical_order():
    found = ellipse_positions(NAMES)
    top, right, bottom, left = (found[name][0] for name in ("achievement", "Benevolence", "Empathy", "Order"))
    assert top[0] == pytest.approx(0) and top[1] < 0 and bottom[1] > 0
    assert right[0] > 0 and left[0] < 0


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.randoms(use_true_random=False))
def test_every_cause_stands_above_its_effect(n, random):
    names = [f"v{k}" for k in range(n)]
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n) if random.random() < 0.3]
    order = random.sample(names, n)
    graph = CausalGraph.from_edges(names, [(order[a], order[b]) for a, b in pairs])
    at = layered_positions(graph)
    assert all(at[graph.names[i]][1] < at[graph.names[j]][1] for i, j in graph.directed_edges())
    assert len(set(at.values())) == n
    assert layered_positions(graph) == at


def test_a_directed_cycle_shares_a_row():
    graph = CausalGraph.from_edges(list("abcd"), [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    at = layered_positions(graph)
    assert at["a"][1] == at["b"][1] == at["c"][1] < at["d"][1]


def test_layers_cross_no_edges_that_need_not_cross():
    graph = CausalGraph.from_edges(list("abcxyz"), [("a", "z"), ("b", "y"), ("c", "x")])
    first, second = ordered_layers(graph)
    assert [{"a": "z", "b": "y", "c": "x"}[name] for name in first] == second


@pytest.mark.parametrize("n", [17, BOXES_UP_TO, BOXES_UP_TO + 1, 224])
def test_neighbours_on_the_ellipse_keep_apart(n):
    spots = np.array([place for place, _ in ellipse_positions([f"v{k}" for k in range(n)]).values()])
    gaps = np.abs(spots[:, None] - spots[None])
    far = (
        (gaps[..., 0] > 130) | (gaps[..., 1] > 32)
        if n <= BOXES_UP_TO
        else np.hypot(*gaps.transpose(2, 0, 1)) > 18
    )
    np.fill_diagonal(far, True)
    assert far.all()

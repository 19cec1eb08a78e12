"""Members of a graph's class, path coefficients, total effects."""

import numpy as np
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.guide.paths import Paths, causes

NAMES = ("a", "b", "c")


def drawn(graph, draws=40):
    rng = np.random.default_rng(0)
    return [causes(graph, rng) for _ in range(draws)]


def edges(found, names=NAMES):
    """Cause → effect."""
    return {(names[j], names[i]) for i, j in np.argwhere(found)}


def test_arrows_are_kept():
    graph = CausalGraph.from_edges(NAMES, [("a", "b"), ("c", "b")])
    assert all(edges(found) == {("a", "b"), ("c", "b")} for found in drawn(graph))


def test_open_edges_make_no_new_collider_and_come_in_every_way():
    graph = CausalGraph.from_edges(NAMES, [], [("a", "b"), ("b", "c")])
    ways = {frozenset(edges(found)) for found in drawn(graph)}
    assert frozenset({("a", "b"), ("c", "b")}) not in ways
    assert len(ways) == 3


def test_a_cycle_and_a_hidden_cause_end_in_a_graph_without_cycles():
    cycle = CausalGraph.from_edges(NAMES, [("a", "b"), ("b", "c"), ("c", "a")])
    for found in drawn(cycle):
        assert np.linalg.matrix_power(found.astype(int), 3).sum() == 0
    hidden = CausalGraph.from_edges(NAMES, [], bidirected=[("a", "b")])
    assert all(not found.any() for found in drawn(hidden))


def test_circles_of_a_pag_are_open():
    graph = CausalGraph.from_kinds(NAMES, [("a", "o->", "b"), ("b", "o-o", "c")], GraphKind.PAG)
    for found in drawn(graph):
        assert ("a", "b") in edges(found)
        assert len(edges(found)) == 2


def test_total_effects_of_a_chain_are_products():
    rng = np.random.default_rng(1)
    a = rng.normal(size=4000)
    b = 0.6 * a + 0.1 * rng.normal(size=4000)
    c = -0.5 * b + 0.1 * rng.normal(size=4000)
    graph = CausalGraph.from_edges(NAMES, [("a", "b"), ("b", "c")])
    found = Paths.of(np.stack([a, b, c], axis=1), NAMES, graph, None, 20, rng)
    expected = [[1, 0, 0], [0.6, 1, 0], [-0.3, -0.5, 1]]
    assert found.total.mean(axis=0) == pytest.approx(np.array(expected), abs=0.01)


def test_replicates_are_drawn_and_values_outside_have_no_causes():
    with_edge = CausalGraph.from_edges(("a", "b"), [("a", "b")])
    none = CausalGraph.empty(("a", "b"))
    packed = PackedGraphs.pack(
        ("a", "b"), np.stack([with_edge.marks, none.marks]), np.ones((2, 2), bool), np.ones(2, bool)
    )
    rng = np.random.default_rng(2)
    a = rng.normal(size=500)
    rows = np.stack([a, a + 0.1 * rng.normal(size=500), rng.normal(size=500)], axis=1)
    rows[0, 0] = np.nan
    found = Paths.of(rows, NAMES, with_edge, packed, 400, rng)
    share = (found.coefficients[:, 1, 0] != 0).mean()
    assert 0.4 < share < 0.6
    assert not found.coefficients[:, 2].any() and not found.coefficients[:, :, 2].any()


def test_coefficients_of_replicates_are_taken_over_in_the_order_and_scale_of_the_values():
    # a → b by 0.5 standard deviations; on the other scale b spreads twice as far, and z is in no graph.
    rng = np.random.default_rng(0)
    weights = np.zeros((3, 2, 2))
    weights[:, 1, 0] = (0.4, 0.5, 0.6)  # over (b, a)
    a = rng.standard_normal(2000)
    positions = np.stack([rng.standard_normal(2000), a / a.std(), 2 * a / a.std()], axis=1)
    found = Paths.of_weights(weights, ("b", "a"), positions, ("z", "a", "b"), 300, rng)
    assert set(found.coefficients[:, 2, 1].round(9)) == {0.8, 1.0, 1.2}
    assert (
        np.count_nonzero(found.coefficients) == 300
        and (found.total[:, 2, 1] == found.coefficients[:, 2, 1]).all()
    )


def test_a_value_that_never_varies_gives_and_takes_nothing():
    weights = np.full((1, 2, 2), 0.5) * np.array([[0, 1], [0, 0]])
    positions = np.stack([np.zeros(50), np.linspace(-1, 1, 50)], axis=1)
    with np.errstate(all="raise"):
        found = Paths.of_weights(weights, ("a", "b"), positions, ("a", "b"), 5, np.random.default_rng(0))
    assert not found.coefficients.any()

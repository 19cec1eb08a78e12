"""Best-order search as a search of the registry: planted graphs and background knowledge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder, best_dag, parents_bound
from axiograph.engine.errors import InputError
from tests.discovery.orders.exact import best_score, random_scores
from tests.discovery.sem import cpdag_of, exact_data, weights_of

CHAIN = exact_data(weights_of("xyz", "xy", "yz"), rows=500)
COLLIDER = exact_data(weights_of("abc", "ac", "bc"), rows=500)


@pytest.mark.parametrize("seed", range(6))
def test_recovers_a_linear_model_up_to_its_class(seed):
    rng = np.random.default_rng(seed)
    dag = np.triu(rng.random((6, 6)) < 0.4, k=1)
    data = exact_data(dag * rng.uniform(0.5, 1.0, size=(6, 6)), rows=100_000, seed=seed)
    assert BestOrder()(data, [f"v{i}" for i in range(6)]).graph == cpdag_of(dag)


def test_forbidding_a_pair_that_is_not_adjacent_changes_nothing():
    both = Knowledge(forbidden=frozenset({("x", "z"), ("z", "x")}))
    free = BestOrder()(CHAIN, "xyz").graph
    assert free == CausalGraph.from_edges("xyz", [], [("x", "y"), ("y", "z")])
    assert BestOrder()(CHAIN, "xyz", knowledge=both).graph == free


@pytest.mark.parametrize(
    ("knowledge", "directed", "undirected"),
    [
        (Knowledge(required=frozenset({("x", "y")})), ["xy", "yz"], []),
        (Knowledge(forbidden=frozenset({("y", "z")})), ["zy", "yx"], []),
        (Knowledge(tiers={"y": 0, "x": 1}), ["yx"], ["yz"]),
        (Knowledge(tiers={"z": 0, "y": 1, "x": 2}), ["zy", "yx"], []),
        # Required although nothing speaks for it; y may then stand anywhere.
        (Knowledge(required=frozenset({("x", "z")})), ["xz"], ["xy", "yz"]),
        (Knowledge(required=frozenset({("x", "z")}), tiers={"y": 0, "z": 1}), ["xz", "yz"], ["xy"]),
    ],
)
def test_what_is_known_settles_what_follows_from_it(knowledge, directed, undirected):
    expected = CausalGraph.from_edges("xyz", [tuple(e) for e in directed], [tuple(e) for e in undirected])
    assert BestOrder()(CHAIN, "xyz", knowledge=knowledge).graph == expected


def test_an_effect_in_the_first_tier_makes_its_causes_dependent():
    # c before a and b: no collider is possible there, so a and b become adjacent.
    graph = BestOrder()(COLLIDER, "abc", knowledge=Knowledge(tiers={"c": 0, "a": 1, "b": 1})).graph
    assert graph == CausalGraph.from_edges("abc", [("c", "a"), ("c", "b")], [("a", "b")])


@pytest.mark.parametrize(
    ("knowledge", "match"),
    [
        (Knowledge(required=frozenset({("a", "b")}), forbidden=frozenset({("a", "b")})), "a → b required"),
        (Knowledge(required=frozenset({("a", "b")}), tiers={"a": 1, "b": 0}), "a → b required"),
        (Knowledge(required=frozenset({("a", "b"), ("b", "c"), ("c", "a")})), "circle among a, b, c"),
        (
            Knowledge(required=frozenset({("a", "c"), ("c", "b")}), tiers={"a": 1, "b": 0}),
            "circle among a, b, c",
        ),
    ],
)
def test_knowledge_that_no_graph_agrees_with(knowledge, match):
    with pytest.raises(InputError, match=match):
        BestOrder()(COLLIDER, "abc", knowledge=knowledge)


def test_more_required_causes_than_rows_can_tell():
    data = np.random.default_rng(0).normal(size=(6, 5))
    causes = Knowledge(required=frozenset((name, "e") for name in "abcd"))
    with pytest.raises(InputError, match="at most 3 required causes of a value with 6 roles, found 4"):
        BestOrder()(data, "abcde", knowledge=causes)


@st.composite
def known_scores(draw):
    """Scores, and knowledge that agrees with some order of the values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = random_scores(rng, range(3, 7))
    p = data.shape[1]
    names = "abcdef"[:p]
    order = rng.permutation(p)
    later = [(names[order[i]], names[order[j]]) for i in range(p) for j in range(i + 1, p)]
    required = {pair for pair in later if rng.random() < 0.15}
    anywhere = [(a, b) for a in names for b in names if a != b]
    forbidden = {pair for pair in anywhere if rng.random() < 0.2} - required
    cut = rng.integers(p + 1)
    tiers = {names[v]: int(k >= cut) for k, v in enumerate(order) if rng.random() < 0.4}
    return data, names, Knowledge(frozenset(forbidden), frozenset(required), tiers)


@settings(max_examples=60, deadline=None)
@given(known_scores())
def test_graphs_agree_with_knowledge_and_the_best_score_is_that_under_it(case):
    data, names, knowledge = case
    told = constraints(knowledge, names)
    n, p = data.shape
    found = best_dag(np.corrcoef(data.T), n, BestOrder(), told)
    assert not (found.dag.astype(bool) & (told.allowed == 0) & (told.required == 0)).any()
    assert (found.dag >= told.required).all()
    allowed, required = told.allowed.astype(bool), told.required.astype(bool)
    best = best_score(data, 2.0, parents_bound(n, p, told), allowed, required)
    assert found.score == pytest.approx(best, abs=1e-6)
    climb = best_dag(np.corrcoef(data.T), n, BestOrder(starts=30), told, most=0)
    assert climb.score <= best + 1e-6
    assert (climb.dag >= told.required).all()
    assert not (climb.dag.astype(bool) & ~allowed & ~required).any()
    graph = BestOrder()(data, names, knowledge=knowledge).graph
    drawn = graph.directed_mask()
    assert not (drawn & (told.allowed == 0) & (told.required == 0)).any()
    assert drawn[told.required.astype(bool)].all()
    assert not graph.cycles()
    # A pair of which one direction is forbidden is drawn the other way, or not at all.
    assert not (graph.undirected_mask() & (told.allowed == 0)).any()


def test_surplus_penalty_leaves_no_edge_and_alpha_changes_nothing():
    assert BestOrder(penalty=1000.0)(CHAIN, "xyz").graph.n_edges == 0
    assert BestOrder()(CHAIN, "xyz", 0.5).graph == BestOrder()(CHAIN, "xyz", 0.001).graph

"""The best graph against all graphs, and directions by experiments."""

from itertools import combinations, permutations

import numpy as np
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.interventions.local import local_score, make_bench
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.pc.inputs import SearchInput
from tests.discovery.interventions.worlds import experiments_on, linear_world, random_weights, search_of


def inputs_of(data, names):
    return SearchInput(data, np.corrcoef(data.T), tuple(names), len(data), 0.05, None, True)


def best_of_all_orders(evidence, cost):
    """The highest score of any order of the values, every set of predecessors tried."""
    p, bench = len(evidence.corr), make_bench(evidence)
    scores = {}
    for y in range(p):
        others = [x for x in range(p) if x != y]
        for size in range(p):
            for causes in combinations(others, size):
                bench.causes[:size] = causes
                scores[y, frozenset(causes)] = local_score(evidence, bench, y, size) - cost * size
    best = -np.inf
    for order in permutations(range(p)):
        total = 0.0
        for k, y in enumerate(order):
            before = [frozenset(s) for size in range(k + 1) for s in combinations(order[:k], size)]
            total += max(scores[y, s] for s in before)
        best = max(best, total)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_best_of_all_graphs_is_found(seed):
    rng = np.random.default_rng(seed)
    weights = random_weights(5, rng)
    data = linear_world(weights, 60, rng)
    tried = experiments_on(weights, np.eye(5)[:3] * 1.5, 8, rng, noise=0.5)
    search = search_of(data, tried)
    inputs = inputs_of(data, tried.names)
    found = search.joint(inputs, constraints(None, tried.names))
    best = best_of_all_orders(search.evidence(inputs), search.penalty * np.log(60))
    assert found.score == pytest.approx(best, abs=1e-4)


CHAIN = np.diag([0.8, 0.8], 1)  # v0 → v1 → v2


def graph_of(pushes, knowledge=None, noise=0.2):
    rng = np.random.default_rng(0)
    data = linear_world(CHAIN, 300, rng)
    tried = experiments_on(CHAIN, pushes, 8, rng, noise)
    return search_of(data, tried)(data, tried.names, knowledge=knowledge).graph


def test_roles_alone_do_not_tell_the_direction_of_a_chain():
    assert graph_of(np.zeros((1, 3)), noise=0.01) == CausalGraph.from_edges(
        ("v0", "v1", "v2"), [], [("v0", "v1"), ("v1", "v2")]
    )


@pytest.mark.parametrize("pushed", [0, 1])
def test_moving_a_cause_shows_where_it_leads(pushed):
    # v0 moves both others in proportion; v1 moves v2 and leaves v0 where it is.
    assert graph_of([np.eye(3)[pushed]]) == CausalGraph.from_edges(
        ("v0", "v1", "v2"), [("v0", "v1"), ("v1", "v2")]
    )


def test_an_experiment_that_acts_on_two_values_is_no_edge_between_them():
    # v0 and v3 are moved together by one of four experiments: it costs the limit once, and makes no edge.
    weights = np.zeros((4, 4))
    weights[0, 1] = weights[1, 2] = 0.8
    rng = np.random.default_rng(1)
    data = linear_world(weights, 300, rng)
    pushes = [[1, 0, 0, 0.5], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    tried = experiments_on(weights, pushes, 8, rng, noise=0.2)
    graph = search_of(data, tried)(data, tried.names).graph
    assert graph == CausalGraph.from_edges(tried.names, [("v0", "v1"), ("v1", "v2")])


def test_what_is_known_is_in_the_graph_whatever_experiments_say():
    backwards = Knowledge(required=frozenset({("v1", "v0")}))
    graph = graph_of([np.eye(3)[0]], backwards)
    assert (1, 0) in graph.directed_edges()
    apart = graph_of([np.eye(3)[0]], Knowledge(tiers={"v2": 0, "v0": 1, "v1": 1}))
    assert not any(effect == 2 for _, effect in apart.directed_edges())


@pytest.mark.parametrize("values", [14, 20])
def test_more_values_than_have_room_as_candidates(values):
    rng = np.random.default_rng(values)
    weights = np.diag(np.full(values - 1, 0.9), 1)
    data = linear_world(weights, 400, rng)
    tried = experiments_on(weights, np.eye(values)[::2], 8, rng, noise=0.2)
    graph = search_of(data, tried)(data, tried.names).graph
    chain = [(f"v{k}", f"v{k + 1}") for k in range(values - 1)]
    assert graph == CausalGraph.from_edges(tried.names, chain)

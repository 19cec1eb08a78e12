import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.algorithms.causal_learn import MAX_VALUES, Exact, cpdag_of
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.errors import InputError, RunError
from tests.discovery import sem


@pytest.mark.parametrize("search", ["astar", "dp"])
@pytest.mark.parametrize("seed", range(4))
def test_recovers_a_linear_model_up_to_its_class(seed, search):
    rng = np.random.default_rng(seed)
    dag = np.triu(rng.random((5, 5)) < 0.5, k=1)
    order = rng.permutation(5)
    dag = dag[np.ix_(order, order)]
    data = sem.exact_data(dag * rng.uniform(0.5, 1.0, size=(5, 5)), rows=100_000, seed=seed)
    data = data * [1, 100, 1, 0.01, 1] + [0, 5, -3, 0, 1000]  # neither scale nor mean matters
    assert Exact(search=search)(data, [f"v{i}" for i in range(5)]).graph == sem.cpdag_of(dag)


def test_it_is_causal_learns_graph_of_centred_data():
    from causallearn.search.ScoreBased.ExactSearch import bic_exact_search

    for seed in range(5):
        data = np.random.default_rng(seed).normal(size=(80, 5)) @ np.random.default_rng(9).normal(size=(5, 5))
        dag, _ = bic_exact_search(data - data.mean(axis=0))
        ours = Exact()(data, "abcde").graph
        assert np.array_equal(ours.marks, sem.cpdag_of(dag == 1).marks)
        assert ours.n_edges > 2


@settings(max_examples=60, deadline=None)  # the first example imports
@given(st.integers(2, 5), st.randoms(use_true_random=False))
def test_class_of_a_graph_is_that_of_its_definition(n, random):
    order = random.sample(range(n), n)
    dag = np.zeros((n, n), dtype=bool)
    for a in range(n):
        for b in range(a + 1, n):
            dag[order[a], order[b]] = random.random() < 0.6
    assert cpdag_of([f"v{i}" for i in range(n)], dag) == sem.cpdag_of(dag)


def test_limit_of_parents():
    data = sem.exact_data(sem.weights_of("abcd", "ad", "bd", "cd"))
    assert Exact()(data, "abcd").graph.n_edges == 3
    limited = Exact(max_parents=1)(data, "abcd").graph
    assert limited != Exact()(data, "abcd").graph


def test_too_many_values_and_too_few_rows():
    wide = np.random.default_rng(0).normal(size=(60, MAX_VALUES + 1))
    with pytest.raises(InputError, match="at most 20 values"):
        Exact()(wide, [f"v{k}" for k in range(MAX_VALUES + 1)])
    with pytest.raises(RunError, match="more roles than the 6 values"):
        Exact()(wide[:6, :6], "abcdef")
    constant = np.c_[np.ones(60), wide[:, :2]]
    assert Exact()(constant, "abc").constant == ("a",)
    assert Exact()(constant, "abc").graph == CausalGraph.empty("bc")

"""Best-order search against regressions, the best of all DAGs, and causal-learn's BOSS."""

import random
import warnings

import numpy as np
import pytest

from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder, best_dag, parents_bound
from tests.discovery.orders.exact import best_score, random_scores, score

NEAR = 1e-6


def found(data, penalty=2.0, starts=3, told=None):
    n, p = data.shape
    told = told or constraints(None, [f"v{k}" for k in range(p)])
    return best_dag(np.corrcoef(data.T), n, BestOrder(penalty, starts), told)


@pytest.mark.parametrize("seed", range(30))
def test_the_score_is_that_of_the_regressions_and_rises_with_starts(seed):
    data = random_scores(np.random.default_rng([1, seed]), range(2, 15))
    scores = []
    for starts in (1, 3, 10):
        best = found(data, 1 + seed % 3, starts)
        assert best.score == pytest.approx(score(data, best.dag, 1 + seed % 3), abs=NEAR)
        assert not np.linalg.matrix_power(best.dag.astype(int), data.shape[1]).any()
        scores.append(best.score)
    assert scores == sorted(scores)


def shares_of_best(sets, values, starts):
    """How often the best of all DAGs is found; it is never surpassed."""
    reached = []
    for seed in range(sets):
        data = random_scores(np.random.default_rng([2, seed]), values)
        n, p = data.shape
        bound = parents_bound(n, p, constraints(None, [str(k) for k in range(p)]))
        penalty = (1.0, 2.0)[seed % 2]
        best, ours = best_score(data, penalty, bound), found(data, penalty, starts).score
        assert ours <= best + NEAR
        reached.append(ours >= best - NEAR)
    return np.mean(reached)


def test_the_best_of_all_dags_is_nearly_always_found():
    # Not always: two parents of which neither helps without the other are added by no greedy step.
    assert shares_of_best(40, range(2, 9), 40) >= 0.95


@pytest.mark.slow
def test_the_best_of_all_dags_at_up_to_12_values():
    assert shares_of_best(300, range(3, 13), 60) >= 0.93


def causal_learn(data, penalty, monkeypatch):
    """The score of the DAG that causal-learn's BOSS finds from the order of the columns."""
    from causallearn.search.PermutationBased import BOSS

    monkeypatch.setattr(BOSS, "dag2cpdag", lambda dag: dag)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dag = BOSS.boss(data, parameters={"lambda_value": penalty / 2}, verbose=False).graph
    return score(data, (dag == -1) & (dag.T == 1), penalty)


def never_worse(sets, monkeypatch):
    from axiograph.discovery.orders.kernel import own_order

    better = 0
    for seed in range(sets):
        data = random_scores(np.random.default_rng([3, seed]), range(3, 13), (60, 400))
        data = data[:, own_order(np.corrcoef(data.T))]  # so that both begin with the order of the columns
        random.seed(seed)
        theirs = causal_learn(data, 2.0, monkeypatch)
        ours = found(data, 2.0, 200).score  # with 3, 28 of 500 are worse and 80 better; with 40, 1 and 99
        assert ours >= theirs - NEAR, seed
        better += ours > theirs + NEAR
    return better


def test_never_worse_than_causal_learns(monkeypatch):
    assert never_worse(40, monkeypatch) > 0


@pytest.mark.slow
def test_never_worse_than_causal_learns_on_500_sets(monkeypatch):
    assert never_worse(500, monkeypatch) > 50


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_the_columns_changes_nothing(seed):
    rng = np.random.default_rng([4, seed])
    corr = np.corrcoef(random_scores(rng, range(3, 18)).T)
    p = len(corr)
    told = constraints(None, [str(k) for k in range(p)])
    dag = best_dag(corr, 80, BestOrder(), told).dag
    order = rng.permutation(p)
    again = best_dag(corr[np.ix_(order, order)], 80, BestOrder(), told).dag
    assert np.array_equal(again, dag[np.ix_(order, order)])


def test_more_values_than_fit_a_word_and_than_rows():
    rng = np.random.default_rng(5)
    data = rng.normal(size=(300, 90))
    for k in range(1, 90):
        data[:, k] += 0.9 * data[:, k - 1]
    best = found(data)
    chain = np.abs(np.subtract.outer(np.arange(90), np.arange(90))) == 1
    adjacent = (best.dag | best.dag.T).astype(bool)
    assert adjacent[chain].all()
    assert adjacent.sum() <= chain.sum() + 12  # 3,916 other pairs, a few of them by chance
    few = found(data[:40])
    assert few.dag.sum(axis=0).max() <= 39 // 4
    assert few.score == pytest.approx(score(data[:40], few.dag, 2.0), abs=NEAR)


def test_bound_of_parents():
    free = constraints(None, "abcdefghij")
    assert [parents_bound(n, 10, free) for n in (5, 9, 25, 1000)] == [1, 2, 6, 9]


def test_correlations_that_are_nearly_singular_give_a_finite_graph():
    rng = np.random.default_rng(6)
    base = rng.normal(size=(50, 1))
    data = base + 1e-5 * rng.normal(size=(50, 6))
    best = found(data)
    assert np.isfinite(best.score)
    assert best.dag.sum() >= 5

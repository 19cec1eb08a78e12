"""Best-order search against regressions, the best of all DAGs, and causal-learn's BOSS."""

import random
import warnings

import numpy as np
import pytest

from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.orders.constraints import constraints
from axiograph.discovery.orders.search import BestOrder, best_dag, parents_bound
from tests.discovery.orders.exact import best_score, random_scores, score

NEAR = 1e-6


def found(data, penalty=2.0, starts=3, told=None, most=None):
    n, p = data.shape
    told = told or constraints(None, [f"v{k}" for k in range(p)])
    return best_dag(np.corrcoef(data.T), n, BestOrder(penalty, starts), told, most)


def climbed(data, penalty=2.0, starts=3):
    """Without the search of all DAGs."""
    return found(data, penalty, starts, most=0)


@pytest.mark.parametrize("seed", range(30))
def test_the_score_is_that_of_the_regressions_and_rises_with_starts(seed):
    data = random_scores(np.random.default_rng([1, seed]), range(2, 15))
    scores = []
    for starts in (1, 3, 10):
        best = climbed(data, 1 + seed % 3, starts)
        assert best.score == pytest.approx(score(data, best.dag, 1 + seed % 3), abs=NEAR)
        assert not np.linalg.matrix_power(best.dag.astype(int), data.shape[1]).any()
        scores.append(best.score)
    assert scores == sorted(scores)


@pytest.mark.parametrize("seed", range(40))
def test_of_few_values_the_best_of_all_dags_is_found(seed):
    data = random_scores(np.random.default_rng([2, seed]), range(2, 9))
    assert_best(data, (1.0, 2.0)[seed % 2])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_of_up_to_12_values_the_best_of_all_dags_is_found(seed):
    assert_best(random_scores(np.random.default_rng([2, seed]), range(3, 13)), (1.0, 2.0)[seed % 2])


def assert_best(data, penalty):
    """The score is the oracle's and that of the regressions; a climb from many orders does not surpass it."""
    n, p = data.shape
    ours = found(data, penalty)
    bound = parents_bound(n, p, constraints(None, [str(k) for k in range(p)]))
    assert ours.score == pytest.approx(best_score(data, penalty, bound), abs=NEAR)
    assert ours.score == pytest.approx(score(data, ours.dag, penalty), abs=NEAR)
    assert ours.score >= climbed(data, penalty, 20).score - NEAR


def test_the_climb_nearly_always_finds_the_best_of_all_dags():
    # Not always: two parents of which neither helps without the other are added by no greedy step.
    pairs = []
    for seed in range(40):
        data = random_scores(np.random.default_rng([2, seed]), range(2, 9))
        pairs.append(climbed(data, starts=40).score >= found(data).score - NEAR)
    assert np.mean(pairs) >= 0.95


def test_two_causes_of_which_neither_shows_alone_are_found():
    # y follows the difference of a and b, which are nearly the same: neither is worth its cost without the
    # other.
    rng = np.random.default_rng(0)
    a = rng.normal(size=400)
    b = a + 0.1 * rng.normal(size=400)
    data = np.stack([a, b, 10 * (a - b) + 0.5 * rng.normal(size=400)], axis=1)
    told = constraints(Knowledge(tiers={"a": 0, "b": 0, "y": 1}), "aby")
    best = best_dag(np.corrcoef(data.T), 400, BestOrder(), told)
    climb = best_dag(np.corrcoef(data.T), 400, BestOrder(starts=40), told, most=0)
    assert best.dag[:, 2].tolist() == [1, 1, 0]
    assert climb.dag[:, 2].tolist() == [0, 0, 0]
    assert best.score > climb.score + 100


def causal_learn(data, penalty, monkeypatch):
    """The score of the DAG that causal-learn's BOSS finds from the order of the columns."""
    from causallearn.search.PermutationBased import BOSS

    monkeypatch.setattr(BOSS, "dag2cpdag", lambda dag: dag)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dag = BOSS.boss(data, parameters={"lambda_value": penalty / 2}, verbose=False).graph
    return score(data, (dag == -1) & (dag.T == 1), penalty)


def never_worse(sets, monkeypatch):
    better = 0
    for seed in range(sets):
        data = random_scores(np.random.default_rng([3, seed]), range(3, 13), (60, 400))
        random.seed(seed)
        theirs = causal_learn(data, 2.0, monkeypatch)
        ours = found(data).score
        assert ours >= theirs - NEAR, seed
        better += ours > theirs + NEAR
    return better


def test_never_worse_than_causal_learns(monkeypatch):
    assert never_worse(40, monkeypatch) > 0


@pytest.mark.slow
def test_never_worse_than_causal_learns_on_500_sets(monkeypatch):
    assert never_worse(500, monkeypatch) > 50


@pytest.mark.slow
def test_of_more_values_the_climb_is_never_worse_than_causal_learns_from_the_same_order(monkeypatch):
    from axiograph.discovery.orders.kernel import own_order

    for seed in range(100):
        data = random_scores(np.random.default_rng([5, seed]), range(13, 18), (60, 400))
        data = data[:, own_order(np.corrcoef(data.T))]  # so that both begin with the order of the columns
        random.seed(seed)
        assert found(data, starts=200).score >= causal_learn(data, 2.0, monkeypatch) - NEAR, seed


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

"""Monotone trends: Kendall's tau within roles, tested over roles."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from axiograph.discovery.effects.doses import Sweep, kendall, trend_table
from axiograph.engine.study.schema import EffectsSpec


def sweep(scores, name="f1"):
    scores = np.asarray(scores, float)
    strengths = np.arange(scores.shape[1], dtype=float)
    points = pl.DataFrame({"feature": [1] * len(strengths), "unit": "raw", "strength": strengths})
    return Sweep(name, points, scores)


def test_tau_by_hand():
    # Role 1: 1 2 2 has steps +, +, 0; role 2: 3 1 2 has −, −, +; role 3 lacks one score: one pair, down.
    scores = np.array([[1, 2, 2], [3, 1, 2], [5, np.nan, 4]], float)[:, :, None]
    assert kendall(scores)[:, 0] == pytest.approx([2 / 3, -1 / 3, -1.0])
    assert np.isnan(kendall(np.array([[1, np.nan, np.nan]], float)[:, :, None])).all()


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=6, unique=True))
def test_tau_without_ties_is_scipys(scores):
    wanted = stats.kendalltau(range(len(scores)), scores).statistic
    assert kendall(np.array(scores, float)[None, :, None])[0, 0] == pytest.approx(wanted)


def test_table():
    rising = np.tile([0.0, 1.0, 2.0], (12, 1))
    flat = np.zeros((12, 3))
    found = trend_table(
        [sweep(np.stack([rising, -rising, flat], axis=2))], ["A", "B", "C"], EffectsSpec(resamples=200)
    )
    assert found["trend"].to_list() == ["rising", "falling", "none"]
    assert found["tau"].to_list() == [1.0, -1.0, 0.0]
    # No tau varies: the exact p of twelve equal signs.
    assert found["p"].to_list() == [2 / 4096, 2 / 4096, 1.0]
    assert found["roles"].to_list() == [12, 12, 12]
    assert found["low"].to_list() == [1.0, -1.0, None]


def test_p_and_interval_are_those_of_students_t():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(10, 5, 6)).cumsum(axis=1) + 0.3 * np.arange(5)[:, None]
    found = trend_table([sweep(scores)], list("ABCDEF"), EffectsSpec())
    taus = kendall(scores)
    wanted = stats.ttest_1samp(taus, 0)
    assert found["p"].to_list() == pytest.approx(wanted.pvalue)
    low, high = wanted.confidence_interval(0.95)
    assert found["low"].to_list() == pytest.approx(np.maximum(low, -1))
    assert found["high"].to_list() == pytest.approx(np.minimum(high, 1))


def test_two_strengths_and_few_roles_are_not_tested():
    short = sweep(np.zeros((9, 2, 1)))
    few = sweep(np.zeros((5, 3, 1)), "f2")
    # As a run has it: the same roles in every sweep.
    few = Sweep("f2", few.points, np.concatenate([few.scores, np.full((4, 3, 1), np.nan)]))
    found = trend_table([short, few], ["A"], EffectsSpec())
    assert found["trend"].to_list() == [None, None]
    assert found["reason"].to_list() == ["fewer than 3 strengths", "fewer than 6 roles"]
    assert found["p"].null_count() == found["low"].null_count() == 2


def test_no_sweep_is_an_empty_table():
    found = trend_table([], ["A"], EffectsSpec(resamples=100))
    assert found.is_empty() and "trend" in found.columns


@pytest.mark.slow
def test_roles_that_drift_are_no_trend_here_but_are_one_for_pages_test():
    """20 roles drift through 7 strengths, each its own way: nothing is true of roles in general."""
    rng = np.random.default_rng(0)
    trials = 2000
    walks = rng.normal(size=(trials, 20, 7)).cumsum(axis=2)
    taus = kendall(walks.reshape(-1, 7)[:, :, None]).reshape(trials, 20).T
    own = (stats.ttest_1samp(taus, 0).pvalue <= 0.05).mean()
    ranks = np.arange(1, 8)
    page = []
    for walk in walks[:400]:
        up, down = (
            stats.page_trend_test(walk, predicted_ranks=order, method="asymptotic").pvalue
            for order in (ranks, ranks[::-1])
        )
        page.append(2 * min(up, down) <= 0.05)
    assert own == pytest.approx(0.05, abs=0.015)
    assert np.mean(page) > 0.15  # 0.24 in this draw

"""The interval of Cronbach's alpha."""

import numpy as np
import pytest
from scipy.stats import f

from axiograph.discovery.matrix.corrections import Disattenuation
from axiograph.engine.scoring.reliability import (
    NO_MATRIX,
    alpha_interval,
    alpha_interval_with_gaps,
    cronbach_alpha,
    mcdonald_omega,
)


def test_ends_are_where_the_test_just_rejects():
    low, high = alpha_interval(0.8, 5, 41, level=0.1)
    assert low < 0.8 < high
    # Under a true alpha at an end, the estimate is the 5 % point of its distribution.
    assert f.cdf((1 - low) / (1 - 0.8), 40, 160) == pytest.approx(0.95)
    assert f.cdf((1 - high) / (1 - 0.8), 40, 160) == pytest.approx(0.05)


def test_it_holds_the_true_alpha_as_often_as_it_says():
    rng, items, roles = np.random.default_rng(0), 6, 40
    true = items * 0.5 / (1 + (items - 1) * 0.5)  # items that correlate by 0.5
    inside = 0
    for _ in range(400):
        table = rng.normal(size=(roles, 1)) + rng.normal(size=(roles, items))
        alpha, _ = cronbach_alpha(table)
        low, high = alpha_interval(alpha, items, roles)
        inside += low <= true <= high
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize("alpha, items, roles", [(None, 5, 50), (0.5, 1, 50), (0.5, 5, 1)])
def test_without_alpha_there_is_no_interval(alpha, items, roles):
    assert alpha_interval(alpha, items, roles) == (None, None)


def test_constant_items_do_not_count():
    """True correlation .5 of two values with 3 items that vary and 4 that all answer alike: corrected by
    items it is .5 and not .62."""
    rng = np.random.default_rng(0)
    values = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 20_000)
    varying = values[:, :, None] + rng.standard_normal((20_000, 2, 3))
    parts = np.concatenate([varying, np.ones((20_000, 2, 4))], axis=2)
    scores = parts.mean(axis=2)
    alphas = [cronbach_alpha(parts[:, k])[0] for k in (0, 1)]
    assert alphas == pytest.approx([0.75, 0.75], abs=0.02)
    observed = np.corrcoef(scores.T)[0, 1]
    assert observed / np.sqrt(alphas[0] * alphas[1]) == pytest.approx(0.5, abs=0.02)
    correction = Disattenuation(scores, parts.reshape(len(parts), -1), np.repeat([0, 1], 7), 2)
    assert correction.correlation(np.arange(20_000)).matrix[0, 1] == pytest.approx(0.5, abs=0.02)
    assert cronbach_alpha(parts[:, 0, 2:]) == (None, "fewer than 2 items that vary")


def test_gaps_that_leave_no_covariance_matrix_leave_no_alpha():
    """Two items with 2 roles in common, in which they rise together steeply, and others in which they hardly
    vary."""
    none = np.nan
    table = np.array([[9, 9], [-9, -9], *[[0.1 * (-1) ** k, none] for k in range(9)]], float)
    table = np.r_[table, [[none, 0.1 * (-1) ** k] for k in range(9)]]
    assert cronbach_alpha(table) == (None, NO_MATRIX)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_intervals_hold_the_true_alpha(share):
    """Of 200 tables of 40 roles and 8 items with alpha .8."""
    rng, held = np.random.default_rng(1), []
    for _ in range(200):
        table = rng.standard_normal((40, 1)) + np.sqrt(2) * rng.standard_normal((40, 8))
        asked = rng.permuted(np.tile(np.arange(8) < 8 * share, (40, 1)), axis=1)
        table = np.where(asked, table, np.nan)
        ends = (
            alpha_interval(cronbach_alpha(table)[0], 8, 40) if share == 1 else alpha_interval_with_gaps(table)
        )
        held.append(ends[0] <= 0.8 <= ends[1])
    assert np.mean(held) >= 0.91
    if share == 1:
        assert np.mean(held) <= 0.985  # with gaps the jackknife is wide: 99 %


def test_omega_of_unequal_loadings():
    """Loadings .9 .7 .5 .3, error variances 1 − λ²: omega = 2.4² / (2.4² + 4 − 1.64)."""
    rng = np.random.default_rng(2)
    loadings = np.array([0.9, 0.7, 0.5, 0.3])
    errors = 1 - loadings**2
    table = rng.standard_normal((50_000, 1)) * loadings + rng.standard_normal((50_000, 4)) * np.sqrt(errors)
    omega, reason = mcdonald_omega(table)
    assert reason is None
    assert omega == pytest.approx(2.4**2 / (2.4**2 + errors.sum()), abs=0.01)
    assert cronbach_alpha(table)[0] < omega


def test_omega_is_undefined_with_a_reason():
    rng = np.random.default_rng(3)
    assert mcdonald_omega(rng.standard_normal((10, 2))) == (None, "fewer than 3 items that vary")
    assert (
        mcdonald_omega(np.c_[rng.standard_normal((10, 2)), np.ones(10)])[1] == "fewer than 3 items that vary"
    )
    twins = rng.standard_normal((30, 1)) + np.c_[np.zeros((30, 2)), rng.standard_normal((30, 2))]
    assert mcdonald_omega(twins)[1] == "no one-factor model fits"
    gaps = np.full((6, 3), np.nan)
    gaps[:3, 0], gaps[1:5, 1], gaps[4:, 2] = [1, 2, 3], [2, 1, 4, 3], [1, 2]
    assert mcdonald_omega(gaps)[1] == "two items without 2 roles in common"

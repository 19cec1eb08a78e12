"""The interval of Cronbach's alpha."""

import numpy as np
import pytest
from scipy.stats import f

from axiograph.engine.scoring.reliability import alpha_interval, cronbach_alpha


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

"""Whether roles differ: by hand, at its error rate with style and gaps, and with power where they do."""

import numpy as np
import pytest

from axiograph.engine.scoring.role_differences import role_differences

OWNER = np.repeat(np.arange(5), 4)
KEYS = np.tile([1, -1], 10)


def answers(generator, roles=12, sd=0.0, style=0.0, missing=0.0):
    values = sd * generator.normal(size=(roles, 5))
    odds = values[:, OWNER] * KEYS + style * generator.normal(size=(roles, 1))
    odds += 0.7 * generator.normal(size=(1, 20)) + generator.normal(size=(roles, 20))
    return np.where(generator.random((roles, 20)) < missing, np.nan, np.sign(odds))


def test_by_hand():
    # One value, two items keyed + and −; items' and roles' means are 0 already. Keyed answers are (1, 1),
    # (−1, −1) and (0, 0): all of it lies between roles.
    found = role_differences(np.array([[1.0, -1], [-1, 1], [0, 0]]), np.array([0, 0]), np.array([1, -1]))
    assert found is None  # 2 degrees between, 3 · 2 − 2 − 2 = 2 less 2: none within
    table = np.array([[1.0, -1, 1, 1], [-1, 1, 1, 1], [0, 0, -2, 2]])
    found = role_differences(table, np.array([0, 0, 1, 1]), np.array([1, -1, 1, -1]))
    # Means of items 0, 0, 0, 4/3 and of roles 1/2, 1/2, 0 less 1/3 (their mean): by hand below.
    rest = table - table.mean(0)
    rest = rest - rest.mean(1, keepdims=True)
    keyed = rest * [1, -1, 1, -1]
    means = keyed.reshape(3, 2, 2).mean(2)
    between = 2 * (means**2).sum() / 4
    within = ((keyed.reshape(3, 2, 2) - means[..., None]) ** 2).sum() / (12 - 4 - 3 + 1 - 4)
    f = between / within
    assert found.icc == pytest.approx((f - 1) / (f + 1))
    assert (found.roles, found.values, found.items) == (3, 2, 2)
    assert found.icc_low < found.icc < found.icc_high


def test_spearman_brown():
    found = role_differences(answers(np.random.default_rng(0), sd=1), OWNER, KEYS)
    assert found.reliability(1) == pytest.approx(found.icc)
    assert found.reliability(3, icc=0.25) == pytest.approx(0.5)
    assert found.reliability(3, icc=-0.2) == 0


@pytest.mark.parametrize(("style", "missing"), [(0, 0), (1.5, 0.1)])
def test_roles_that_do_not_differ_are_said_to_at_the_rate_of_the_level(style, missing):
    generator = np.random.default_rng(1)
    found = [
        role_differences(answers(generator, style=style, missing=missing), OWNER, KEYS) for _ in range(200)
    ]
    assert np.mean([one.p <= 0.05 for one in found]) < 0.09  # 3 standard errors above 0.05
    assert abs(np.mean([one.icc for one in found])) < 0.03
    assert np.mean([one.icc_low <= 0 <= one.icc_high for one in found]) > 0.9


def test_roles_that_differ_are_seen():
    generator = np.random.default_rng(2)
    found = [role_differences(answers(generator, sd=1, style=1), OWNER, KEYS) for _ in range(60)]
    assert np.mean([one.p <= 0.05 for one in found]) > 0.85


def test_style_alone_is_no_difference():
    table = np.where(np.arange(12)[:, None] < 6, 1.0, -1.0) * np.ones((12, 20))
    assert role_differences(table, OWNER, KEYS) is None


@pytest.mark.parametrize(
    "table",
    [np.full((12, 20), np.nan), np.ones((12, 20)), np.eye(2), np.where(np.eye(12, 20) > 0, 1, np.nan)],
)
def test_too_little_to_compare(table):
    assert role_differences(table, OWNER[: table.shape[1]], KEYS[: table.shape[1]]) is None

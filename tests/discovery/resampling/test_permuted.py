import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.resampling.rows import null_sources

NONE = np.empty(0, np.int64)


@st.composite
def layouts(draw):
    """(data, groups, indicators): rows of some roles under some conditions, in any order, unequal numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    roles, conditions = draw(st.integers(2, 8)), draw(st.integers(1, 4))
    rows = draw(st.integers(roles, 40))
    groups = rng.permutation(np.r_[np.arange(roles), rng.integers(0, roles, rows - roles)])
    condition = rng.integers(0, conditions, rows)
    data = np.c_[rng.normal(size=(rows, 3)), condition == 1, 2.0 * (condition == 2)]
    return data, groups, np.array([3, 4]), rng


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_every_column_is_permuted_within_its_condition_and_indicators_stay(layout):
    data, groups, indicators, rng = layout
    for chosen in (groups, None):
        sources = null_sources(data, chosen, indicators, rng)
        for column in range(3):
            assert sorted(sources[:, column]) == list(range(len(data)))
            assert np.array_equal(data[sources[:, column]][:, 3:], data[:, 3:])
        for column in indicators:
            assert np.array_equal(sources[:, column], np.arange(len(data)))


def test_whole_roles_move_in_complete_designs():
    # Six roles under three conditions, rows shuffled: what one role gets comes from one role.
    rng = np.random.default_rng(0)
    roles, conditions = np.divmod(rng.permutation(18), 3)
    for indicators in (NONE, np.array([2])):
        data = np.c_[rng.normal(size=(18, 2)), conditions]
        sources = null_sources(data, roles, indicators, rng)
        for column in (0, 1):
            givers = [set(roles[sources[roles == g, column]].tolist()) for g in range(6)]
            assert all(len(giver) == 1 for giver in givers)
            assert set.union(*givers) == set(range(6))


def test_without_indicators_a_condition_does_not_keep_values_together():
    rng = np.random.default_rng(1)
    roles, conditions = np.repeat(np.arange(300), 4), np.tile(np.arange(4), 300)
    data = np.c_[5.0 * conditions, 5.0 * conditions] + rng.normal(size=(1200, 2))
    null = np.take_along_axis(data, null_sources(data, roles, NONE, rng), axis=0)
    assert np.corrcoef(data.T)[0, 1] > 0.9
    assert abs(np.corrcoef(null.T)[0, 1]) < 0.12


def test_with_indicators_values_depend_on_the_condition_alone():
    rng = np.random.default_rng(2)
    roles, treated = np.repeat(np.arange(400), 2), np.tile([0.0, 1.0], 400)
    trait = np.repeat(rng.normal(size=400), 2)
    data = np.c_[trait + treated, trait + treated, treated] + np.c_[rng.normal(size=(800, 2)), np.zeros(800)]
    null = np.take_along_axis(data, null_sources(data, roles, np.array([2]), rng), axis=0)
    for column in (0, 1):
        effect = null[treated == 1, column].mean() - null[treated == 0, column].mean()
        assert effect == pytest.approx(data[treated == 1, column].mean() - data[treated == 0, column].mean())
    residual = null[:, :2] - np.outer(treated, np.ones(2))
    assert np.corrcoef((data[:, :2] - np.outer(treated, np.ones(2))).T)[0, 1] > 0.4
    assert abs(np.corrcoef(residual.T)[0, 1]) < 0.15


def test_rows_of_a_role_stay_as_alike_as_they_were():
    rng = np.random.default_rng(3)
    roles = np.repeat(np.arange(200), 5)
    data = np.repeat(rng.normal(size=(200, 2)), 5, axis=0) + 0.3 * rng.normal(size=(1000, 2))
    null = np.take_along_axis(data, null_sources(data, roles, NONE, rng), axis=0)
    between = [table.reshape(200, 5, 2).mean(axis=1).var(axis=0) for table in (data, null)]
    assert np.allclose(*between)


def test_one_row_a_role_is_a_plain_permutation_of_each_column():
    counts = np.zeros((4, 4))
    for seed in range(2000):
        sources = null_sources(np.zeros((4, 1)), None, NONE, np.random.default_rng(seed))
        counts[np.arange(4), sources[:, 0]] += 1
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from axiograph.discovery.numerics.intervals import RoleDraws, mean_of_known, percentile_range, t_interval


def test_every_draw_has_as_many_roles_and_more_draws_begin_with_the_same():
    few, many = RoleDraws.of(300, 40, 7), RoleDraws.of(300, 90_000, 7)
    assert (many.counts.sum(axis=1) == 300).all()
    assert np.array_equal(few.counts, many.first(40).counts)
    assert not np.array_equal(few.counts, RoleDraws.of(300, 40, 8).counts)
    assert abs(many.counts.mean(axis=0) - 1).max() < 0.02


@given(st.integers(0, 1000), st.floats(0, 0.6))
def test_means_and_errors_are_those_of_the_roles_written_out(seed, missing):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(7, 4))
    table[rng.random(table.shape) < missing] = np.nan
    draws = RoleDraws.of(7, 5, seed)
    means, errors = draws.means_and_errors(table)
    assert np.allclose(means, draws.means(table))
    for b, counts in enumerate(draws.counts):
        written = np.repeat(table, counts, axis=0)
        for k in range(4):
            column, whole = (a[:, k][~np.isnan(a[:, k])] for a in (written, table))
            of = column if len(column) else whole
            assert means[b, k] == pytest.approx(of.mean() if len(of) else 0.0, abs=1e-12)
            spread = column if len(column) > 1 else whole
            error = spread.std(ddof=1) / np.sqrt(len(spread)) if len(spread) > 1 else 0.0
            assert errors[b, k] == pytest.approx(error, abs=1e-7)


def test_range_of_the_known_draws():
    draws = np.random.default_rng(0).permutation(np.arange(1.0, 200.0))  # 1 … 199
    assert [float(end) for end in percentile_range(draws, 0.1)] == [10.0, 190.0]
    padded = np.concatenate([draws, np.full(150, np.nan)])
    assert [float(end) for end in percentile_range(padded, 0.1)] == [10.0, 190.0]
    too_many_unknown = np.concatenate([draws, np.full(200, np.nan)])
    assert np.isnan(percentile_range(too_many_unknown, 0.1)).all()
    assert np.isnan(percentile_range(draws[:5], 0.1)).all()  # too few for the level
    assert mean_of_known(np.array([[1.0, np.nan, 3.0], [np.nan] * 3]))[0] == 2.0


def test_t_interval_is_scipys_and_knows_nothing_of_few():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(9, 4))
    table[:4, 1], table[1:, 2], table[:, 3] = np.nan, np.nan, 0.25
    low, high = t_interval(table, 0.1)
    for k in (0, 1):
        column = table[~np.isnan(table[:, k]), k]
        wanted = stats.t.interval(0.9, len(column) - 1, column.mean(), stats.sem(column))
        assert (low[k], high[k]) == pytest.approx(wanted)
    assert np.isnan([low[2], high[2]]).all() and (low[3], high[3]) == (0.25, 0.25)
    assert np.isnan(t_interval(table, 0.1, 6)[0]).tolist() == [False, True, True, False]


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    low, high = t_interval(rng.normal(loc=0.3, size=(6, 4000)), 0.05)  # 4,000 studies of 6 roles
    assert np.mean((low <= 0.3) & (high >= 0.3)) == pytest.approx(0.95, abs=0.01)

"""The moderated t: its prior by hand and by simulation, its rates, its behaviour where nothing varies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, polygamma

from axiograph.discovery.effects.changes import two_stages
from axiograph.discovery.effects.moderation import MIN_CELLS, MeanTests, Prior, moments


def outcome(table, least=6):
    """Of differences [n_roles, …]."""
    table = np.asarray(table, float)
    count, mean, variance = moments(table.reshape(len(table), -1))
    shape = table.shape[1:]
    return MeanTests.of(mean.reshape(shape), variance.reshape(shape), count.reshape(shape), least)


def drawn_variances(df, variance, roles, cells, rng):
    true = df * variance / rng.chisquare(df, cells)
    return true * rng.chisquare(roles - 1, cells) / (roles - 1)


@pytest.mark.parametrize(("df", "variance"), [(4.0, 0.2), (12.0, 3.0)])
def test_prior_is_that_which_the_variances_came_from(df, variance):
    found = drawn_variances(df, variance, 8, 40_000, np.random.default_rng(1))
    prior = Prior.of(found, np.full(40_000, 7.0))
    assert prior.df == pytest.approx(df, rel=0.05)
    assert prior.variance == pytest.approx(variance, rel=0.02)
    assert (prior.cells, prior.cells_df) == (40_000, 280_000)


def test_prior_by_hand():
    # Log variances 0, 1, 5 with 4, 4, 10 degrees of freedom, centred as Smyth's e.
    d = np.array([4.0, 4.0, 10.0])
    e = np.array([0.0, 1.0, 5.0]) - digamma(d / 2) + np.log(d / 2)
    excess = e.var(ddof=1) - polygamma(1, d / 2).mean()
    prior = Prior.of(np.exp([0.0, 1.0, 5.0]), d)
    assert polygamma(1, prior.df / 2) == pytest.approx(excess)
    assert np.log(prior.variance) == pytest.approx(e.mean() + digamma(prior.df / 2) - np.log(prior.df / 2))
    moderated, total = prior.moderate(np.array([2.0]), np.array([5.0]))
    assert moderated == pytest.approx((prior.df * prior.variance + 5 * 2) / (prior.df + 5))
    assert total == pytest.approx(prior.df + 5)


def test_equal_variances_are_pooled_and_df_end_with_all_of_them():
    prior = Prior.of(np.full(4, 2.0), np.full(4, 7.0))
    assert np.isinf(prior.df) and prior.cells_df == 28
    moderated, total = prior.moderate(np.array([2.0, 0.0]), np.array([7.0, 7.0]))
    assert moderated.tolist() == [prior.variance] * 2 and total.tolist() == [28.0] * 2


def test_what_never_varies_does_not_count_and_too_few_make_no_prior():
    rng = np.random.default_rng(0)
    some = drawn_variances(6.0, 1.0, 8, 60, rng)
    assert Prior.of(np.concatenate([some, np.zeros(500)]), np.full(560, 7.0)) == Prior.of(
        some, np.full(60, 7.0)
    )
    few = Prior.of(np.array([1.0] * (MIN_CELLS - 1) + [0.0]), np.full(MIN_CELLS, 7.0))
    assert few.df == 0 and few.moderate(np.array([3.0]), np.array([7.0])) == (3.0, 7.0)


def test_a_tiny_variance_does_not_spoil_the_prior():
    some = drawn_variances(20.0, 1.0, 8, 60, np.random.default_rng(0))
    with_tiny = Prior.of(np.append(some, 1e-14), np.full(61, 7.0))
    assert with_tiny.df > 5 and with_tiny.variance > 0.7


@pytest.mark.parametrize("df", [0.0, 3.5, np.inf])
def test_a_prior_is_read_as_it_was_written(df):
    prior = Prior(df, 0.3, 12, 84.0)
    assert Prior.read(prior.document()) == prior


def test_without_a_prior_it_is_students_t():
    table = np.random.default_rng(3).normal(0.5, 1, (9, MIN_CELLS - 1))
    found, prior = outcome(table)
    wanted = stats.ttest_1samp(table, 0)
    assert prior.df == 0 and found.p == pytest.approx(wanted.pvalue)
    low, high = wanted.confidence_interval(0.9)
    assert found.mean - found.reach(0.1) == pytest.approx(low)
    assert found.mean + found.reach(0.1) == pytest.approx(high)


def test_where_nothing_varies():
    table = np.stack([np.full(8, 0.5), np.zeros(8), np.full(8, 0.3) - (0.1 + 0.2)], axis=1)
    found, _ = outcome(table)
    assert found.p.tolist() == [2 / 256, 1.0, 1.0]
    # The signs' own interval: the point, or nothing known.
    assert found.reach(0.05).tolist() == [0.0, np.inf, np.inf]
    assert found.reach(0.001).tolist() == [np.inf] * 3
    # Beside contrasts that vary, eight equal differences are tested with what these say of variances.
    beside = np.concatenate([table, np.random.default_rng(0).normal(size=(8, 20))], axis=1)
    found, prior = outcome(beside)
    moderated = prior.df * prior.variance / (prior.df + 7)
    assert found.p[0] == pytest.approx(2 * stats.t.sf(0.5 / np.sqrt(moderated / 8), prior.df + 7))
    assert found.p[1:3].tolist() == [1.0, 1.0] and np.isfinite(found.reach(0.05)).all()


def test_few_are_not_tested_and_teach_nothing():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(8, 12))
    table[:3, 4] = np.nan
    found, prior = outcome(table)
    assert np.isnan([found.p[4], found.reach(0.05)[4]]).all() and np.isfinite(np.delete(found.p, 4)).all()
    assert prior == outcome(np.delete(table, 4, axis=1))[1]


def test_a_scale_changes_no_p():
    table = np.random.default_rng(5).normal(0.2, 1, (8, 5, 4))
    one, other = outcome(table)[0], outcome(table * 40)[0]
    assert one.p == pytest.approx(other.p) and 40 * one.reach(0.05) == pytest.approx(other.reach(0.05))


ITEMS = np.linspace(-2, 2, 12)


def sampled(latent, rng):
    """Mean of twelve sampled answers of yes and no, as in the demonstration."""
    yes = 1 / (1 + np.exp(-1.7 * (latent[..., None] - ITEMS)))
    return np.where(rng.random(yes.shape) < yes, 1.0, -1.0).mean(axis=-1)


def study(roles, share, rng, conditions=16, values=8):
    """Differences [roles, conditions, values] to one baseline, and which contrasts move (by 0.7)."""
    latent = rng.normal(size=(roles, values))
    moved = rng.random((conditions, values)) < share
    shift = 0.7 * moved * rng.choice([-1, 1], moved.shape)
    return sampled(latent[:, None] + shift, rng) - sampled(latent, rng)[:, None], moved


def rates(roles, share, studies):
    """Over studies: those with a false change, false changes, share of false among changes, power."""
    rows = []
    for seed in range(studies):
        table, moved = study(roles, share, np.random.default_rng([seed, roles, 17]))
        changed = two_stages(outcome(table)[0].p, 0.05)[1]
        false = (changed & ~moved).sum()
        rows.append(
            (false > 0, false, false / max(1, changed.sum()), (changed & moved).sum() / max(1, moved.sum()))
        )
    return np.mean(rows, axis=0)


def test_null_studies_of_eight_roles_find_nothing():
    any_false, false, _, _ = rates(8, 0.0, 200)
    assert any_false <= 0.05 + 0.035 and false <= 0.2  # the bootstrap before it: 0.90 and 3.9


def test_power_and_false_discoveries_at_twelve_roles():
    _, _, share, power = rates(12, 0.2, 60)
    assert share <= 0.05 and power >= 0.72


@pytest.mark.slow
def test_the_promise_over_many_studies():
    any_false, false, _, _ = rates(8, 0.0, 1500)
    assert any_false <= 0.055 and false <= 0.11
    _, _, share, power = rates(12, 0.2, 300)
    assert share <= 0.05 and power >= 0.74


@pytest.mark.parametrize("roles", [6, 8, 12, 25, 50])
def test_intervals_cover(roles):
    """True differences are drawn from all sizes, so that the steps of scores do not decide."""
    grid = np.linspace(-3, 3, 121)
    people = np.linspace(-6, 6, 2001)
    weight = np.exp(-(people**2) / 2) / np.exp(-(people**2) / 2).sum()
    yes = 1 / (1 + np.exp(-1.7 * (people[:, None] + grid[:, None, None] - ITEMS)))
    true = (weight * (2 * yes - 1).mean(axis=-1)).sum(axis=-1)
    covered = []
    for seed in range(60):
        rng = np.random.default_rng([seed, roles])
        latent, shift = rng.normal(size=(roles, 8)), rng.normal(0, 0.4, (16, 8))
        table = sampled(latent[:, None] + shift, rng) - sampled(latent, rng)[:, None]
        found, _ = outcome(table)
        covered.append(
            (np.abs(found.mean - np.interp(shift, grid, true - true[60])) <= found.reach(0.05)).mean()
        )
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)

"""Designs of experiments tried on studies simulated from a pilot."""

import numpy as np
import pytest

from axiograph.discovery.interventions.design import (
    LeverPush,
    Pilot,
    StudyDesign,
    _causes_first,
    _own_variances,
    _try,
    advise,
    designs,
)
from axiograph.discovery.interventions.search import total_effects
from axiograph.engine.errors import InputError
from tests.discovery.interventions.worlds import experiments_on, linear_world

CHAIN = np.diag([0.6, 0.6, 0.6], 1)


def pilot(weights=CHAIN, noise=0.1, roles=8, pushes=None, levers=None):
    rng = np.random.default_rng(0)
    p = len(weights)
    data = linear_world(weights, 200, rng)
    tried = experiments_on(weights, 1.5 * np.eye(p) if pushes is None else pushes, roles, rng, noise, levers)
    names = tuple(f"v{k}" for k in range(p))
    scale = data.std(axis=0)
    scaled = weights * scale[:, None] / scale[None, :]
    return Pilot.of(names, scaled, tried, scale, np.full(p, 0.9))


def test_what_levers_do_themselves_is_told_from_what_follows():
    found = pilot()
    for k, lever in enumerate(found.levers):
        assert lever.own == k
        assert np.flatnonzero(lever.pushes[0]).tolist() == [k]


def test_simulated_values_have_variance_1():
    rng = np.random.default_rng(1)
    weights = pilot().weights
    total = total_effects(weights)
    order = rng.permutation(4)
    mixed = weights[np.ix_(order, order)]
    np.testing.assert_allclose(
        np.diag(total.T @ np.diag(_own_variances(weights, total)) @ total), 1.0, atol=1e-9
    )
    assert _own_variances(mixed, total_effects(mixed)) == pytest.approx(_own_variances(weights, total)[order])
    assert _causes_first(weights).tolist() == [0, 1, 2, 3]


def test_strongest_conditions_and_best_levers():
    lever = LeverPush("f", ("a", "b", "c"), np.array([[0.5, 0.0], [1.0, 0.0], [-0.7, 0.0]]))
    assert lever.strongest(1).conditions == ("b",)
    assert lever.strongest(2).conditions == ("b", "c")
    # Two levers of v1: the one that does less to others is taken.
    pushes = [[1.5, 0, 0, 0], [0, 1.5, 0, 0.9], [0, 1.5, 0, 0]]
    best = pilot(pushes=pushes, levers=["f0", "f1", "f2"]).best_levers()
    assert [lever.name for lever in best] == ["f2", "f0"]  # v1 has two edges, v0 one


def test_requests_of_a_design():
    levers = tuple(lever.strongest(1) for lever in pilot().best_levers())
    assert StudyDesign(50, 8, levers, 0.5).requests(12) == 6 * (50 + 8 * (1 + 4))


def test_the_advised_design_is_the_cheapest_that_will_do_and_more_of_everything_is_no_worse():
    found = pilot(noise=0.3)
    advice = advise(found, 12.0)
    assert advice.advised is not None and advice.advised is advice.tried[-1]
    assert not any(one.will_do for one in advice.tried[:-1])
    costs = advice.table()["requests"].to_list()
    assert costs == sorted(costs)
    richest = designs(found, 12.0)[-1]
    assert _try(found, richest, 20, np.random.default_rng(0)).will_do
    assert advice.without_lever == ()


def test_without_levers_roles_leave_the_chain_without_directions():
    one = pilot(pushes=[[0, 0, 0, 1.5]], levers=["f"])
    advice = advise(one, 12.0, most=3000)
    assert advice.advised is None and advice.without_lever == ("v0", "v1", "v2")
    assert advice.nearest.settled < 0.5


def test_what_cannot_be_advised_is_said():
    still = pilot(pushes=np.zeros((1, 4)))
    with pytest.raises(InputError, match="a lever that moves a value"):
        advise(still, 12.0)
    with pytest.raises(InputError, match="--budget"):
        advise(pilot(), 12.0, most=10)

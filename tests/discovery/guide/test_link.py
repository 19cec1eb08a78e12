"""The link between shifts and mean scores."""

import numpy as np
import pytest

from axiograph.discovery.guide.link import Link, position, response
from tests.discovery.guide.guide_world import World


def test_width_0_is_the_hyperbolic_tangent():
    link = Link.of(np.zeros((1, 1)), 0.0)
    shifts = np.array([[-1.0], [0.0], [0.5], [2.0]])
    # The table has steps of 0.03, between which it is straight.
    assert link.change(shifts) == pytest.approx(np.tanh(shifts), abs=1e-4)


def test_response_is_the_mean_over_spread_thresholds():
    thresholds = np.linspace(-2, 2, 20001)
    for u in (-3.0, 0.4, 1.7):
        assert response(np.array(u), 2.0) == pytest.approx(np.tanh(u - thresholds).mean(), abs=1e-4)


def test_position_undoes_the_response_and_keeps_what_is_missing():
    u = np.array([-1.2, 0.0, 0.7])
    assert position(response(u, 1.0), 1.0) == pytest.approx(u, abs=1e-3)
    assert np.isnan(position(np.array([np.nan]), 1.0)).all()
    assert np.isfinite(position(np.array([-1.0, 1.0]), 1.0)).all()


@pytest.mark.parametrize("width", [0.0, 2.0, 4.0])
def test_shift_undoes_the_change(width):
    rng = np.random.default_rng(0)
    link = Link.of(rng.uniform(-0.8, 0.8, (30, 2)), width)
    shift = rng.uniform(-1.5, 1.5, (7, 2))
    assert link.shift(link.change(shift)) == pytest.approx(shift, abs=1e-6)
    assert link.change(np.zeros((1, 2))) == pytest.approx(np.zeros((1, 2)), abs=1e-9)


def test_two_raises_together_do_less_than_their_sum_but_opposites_cancel():
    link = Link.of(np.full((5, 1), 0.4), 1.0)
    one = link.change(np.array([1.0]))
    assert one < link.change(np.array([2.0])) < 2 * one
    assert link.change(np.array([1.0 - 1.0])) == pytest.approx(0.0)


def test_a_change_that_no_shift_can_give_is_the_largest():
    link = Link.of(np.zeros((3, 1)), 0.0)
    assert link.shift(np.array([1.5])) == link.shifts[-1]


def test_roles_without_a_score_do_not_count():
    with_gap = np.array([[0.2], [np.nan], [0.4]])
    assert Link.of(with_gap, 1.0).changes == pytest.approx(Link.of(with_gap[[0, 2]], 1.0).changes)


def test_the_width_is_found_from_how_roles_move():
    rng = np.random.default_rng(3)
    u = rng.normal(0, 1.2, (200, 1))
    steep = {"c": np.tanh(u + 1.0) - np.tanh(u)}
    assert Link.fitted(np.tanh(u), steep).width == 0.0
    # Thresholds spread over ±2 and sharp answers: scores rise straight between the ends.
    world = World.respondent()
    values = world.roles(200, rng)
    before = world.answers(values, {}, rng).mean(axis=2)
    after = world.answers(values, {"f112": 2.0}, rng).mean(axis=2)
    assert Link.fitted(before, {"c": after - before}).width == 4.0

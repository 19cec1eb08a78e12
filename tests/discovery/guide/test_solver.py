"""The choice of levers: by hand, and against trying every grid point."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.guide.solver import COUNT, STRENGTH, LeverGrid, Problem, solve

GRID = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
FREE = np.full(2, np.inf)


def course(name, effect, strengths=GRID, **flags):
    return LeverGrid(name, strengths, np.outer(strengths, effect), **flags)


def problem(grids, wanted, *, cost=(5.0, 1.0), gain=(0.0, 0.0), bound=FREE, budget=3, banned=()):
    return Problem(
        tuple(grids), np.array(wanted), np.array(cost), np.array(gain), np.array(bound), budget, banned
    )


def test_one_lever_reaches_the_target_between_grid_points():
    found = solve(problem([course("a", [1.0, 0.0])], [1.5, 0.0]))
    assert found == {"a": pytest.approx(1.5)}


def test_an_opposing_lever_holds_the_second_value():
    levers = [course("a", [1.0, 0.5]), course("b", [0.0, 1.0])]
    found = solve(problem(levers, [1.0, 0.0]))
    assert found == {"a": pytest.approx(1.0), "b": pytest.approx(-0.5)}


def test_a_budget_of_one_leaves_the_side_effect():
    levers = [course("a", [1.0, 0.5]), course("b", [0.0, 1.0])]
    assert set(solve(problem(levers, [1.0, 0.0], budget=1))) == {"a"}


def test_a_lever_that_is_not_worth_it_is_left_out():
    levers = [course("a", [1.0, 0.001]), course("b", [0.0, 1.0])]
    assert set(solve(problem(levers, [1.0, 0.0]))) == {"a"}


def test_a_switch_is_used_as_measured_or_not_at_all():
    lever = course("h", [1.0, 0.0], np.array([0.0, 1.0]), switch=True)
    assert solve(problem([lever], [0.9, 0.0])) == {"h": pytest.approx(1.0)}
    assert solve(problem([lever], [0.2, 0.0])) == {}


def test_a_solo_lever_comes_alone():
    hint = course("h", [1.0, 0.5], np.array([0.0, 1.0]), switch=True, solo=True)
    other = course("b", [0.0, 1.0])
    assert set(solve(problem([hint, other], [1.0, 0.0]))) == {"h"}


def test_as_far_as_possible_within_the_bound_of_a_held_value():
    far = problem([course("a", [1.0, 0.5])], [np.nan, 0.0], gain=(1.0, 0.0), bound=(np.inf, 0.6))
    assert solve(far) == {"a": pytest.approx(1.2)}
    down = problem([course("a", [1.0, 0.5])], [np.nan, 0.0], gain=(-1.0, 0.0), cost=(5.0, 0.1))
    assert solve(down) == {"a": pytest.approx(-2.0)}


def test_banned_sets_and_what_holds_them_are_not_proposed_again():
    levers = [course("a", [1.0, 0.0]), course("b", [0.9, 0.2])]
    assert set(solve(problem(levers, [1.0, 0.0]))) == {"a"}
    assert set(solve(problem(levers, [1.0, 0.0], banned=[frozenset({"a"})]))) == {"b"}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=12, max_size=12),
    st.lists(st.floats(-1.5, 1.5), min_size=2, max_size=2),
)
def test_nothing_on_the_grid_is_better(numbers, wanted):
    strengths = np.array([-1.0, 0.0, 1.0])
    shifts = np.array(numbers).reshape(3, 2, 2)
    levers = [
        LeverGrid(f"l{i}", strengths, np.stack([own[0], np.zeros(2), own[1]])) for i, own in enumerate(shifts)
    ]
    task = problem(levers, wanted, budget=2)
    found = solve(task)

    def cost(chosen):
        x, extra = np.zeros(2), 0.0
        for lever in levers:
            s = chosen.get(lever.name, 0.0)
            x += np.array([np.interp(s, strengths, column) for column in lever.shifts.T])
            extra += (s != 0) * COUNT + STRENGTH * abs(s)
        return float(np.abs(x - wanted) @ np.array([5.0, 1.0])) + extra

    points = itertools.product(strengths, repeat=3)
    tried = [dict(zip(("l0", "l1", "l2"), p, strict=True)) for p in points if np.count_nonzero(p) <= 2]
    assert len(found) <= 2
    best = min(cost(p) for p in tried)
    assert cost(found) <= best * (1 + 1e-3) + 1e-6

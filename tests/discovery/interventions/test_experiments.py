"""Mean effects, their errors, and what takes part."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.interventions.experiments import Experiments, experiments
from axiograph.engine.errors import InputError


def measured(rng, conditions=60, roles=30, own=0.5, shared=0.3):
    """One value; every role has an error of its baseline and one of each condition."""
    before = shared * rng.normal(size=(roles, 1))
    differences = own * rng.normal(size=(conditions, roles, 1)) - before
    numbers = np.arange(conditions)
    names = tuple(f"c{k}" for k in numbers)
    return Experiments(("v",), names, numbers, names, differences, {})


def test_errors_of_the_conditions_and_of_the_baseline_are_told_apart():
    rng = np.random.default_rng(0)
    errors = [measured(rng).errors for _ in range(100)]
    own = np.mean([e.own.mean() for e in errors])
    shared = np.mean([e.shared[0] for e in errors])
    assert own == pytest.approx(0.5**2 / 30, rel=0.03)
    assert shared == pytest.approx(0.3**2 / 30, rel=0.06)


def test_strengths_of_one_experiment_say_nothing_of_the_baselines_error():
    # What they have in common over roles may as well be how differently roles respond to it.
    rng = np.random.default_rng(1)
    one = measured(rng, conditions=6)
    alone = Experiments(one.names, one.conditions, np.zeros(6, np.int64), one.levers, one.differences, {})
    assert alone.errors.shared[0] == 0
    assert one.errors.shared[0] > 0


def test_effects_of_drawn_roles_count_a_role_as_often_as_it_is_drawn():
    tried = measured(np.random.default_rng(2), conditions=2, roles=4)
    drawn = np.array([0, 0, 3, 2])
    expected = tried.differences[:, drawn, 0].mean(axis=1)
    np.testing.assert_allclose(tried.effects(drawn)[:, 0], expected)


def test_gaps_count_nowhere():
    tried = measured(np.random.default_rng(3), conditions=3, roles=5)
    tried.differences[0, :2, 0] = np.nan
    np.testing.assert_allclose(tried.effects()[0, 0], tried.differences[0, 2:, 0].mean())
    tried.differences[1, :, 0] = np.nan
    evidence = tried.evidence(["v"], np.eye(1), np.ones(1), 50, 16.0)
    assert evidence.effects[0, 1] == 0 and evidence.errors[0, 1] > 1e6


def three_values(rng):
    names = ("a", "b", "c")
    differences = rng.normal(size=(5, 4, 3))
    return Experiments(names, tuple("uvwxy"), np.array([0, 0, 1, 2, 2]), tuple("LLMNN"), differences, {})


def test_shuffling_keeps_every_values_effects_and_no_experiment():
    tried = three_values(np.random.default_rng(4))
    chance = tried.shuffled(np.random.default_rng(0))
    for value in range(3):
        before, after = (set(one.differences[:, 0, value]) for one in (tried, chance))
        assert after <= before
    assert not np.array_equal(chance.differences, tried.differences)


def test_flipping_keeps_every_size_and_flips_an_experiment_as_a_whole():
    tried = three_values(np.random.default_rng(5))
    chance = tried.flipped(np.random.default_rng(0))
    np.testing.assert_array_equal(np.abs(chance.differences), np.abs(tried.differences))
    signs = np.sign(chance.differences * tried.differences)
    np.testing.assert_array_equal(signs[0], signs[1])
    np.testing.assert_array_equal(signs[3], signs[4])


def test_a_lever_is_left_out_with_all_of_its_conditions():
    left = three_values(np.random.default_rng(6)).without("L")
    assert left.conditions == ("w", "x", "y")
    assert left.experiment.tolist() == [0, 1, 1]
    assert left.without("M").without("N").evidence(["a"], np.eye(1), np.ones(1), 9, 16.0).ends.tolist() == []


def profiles(roles=6):
    rows = [
        {"role": f"r{k}", "condition": condition, "split": "test", "a": float(k + shift), "b": float(-k)}
        for condition, shift in (("baseline", 0), ("f1:+1", 1), ("f1:-1", -1), ("f2:+1", 0))
        for k in range(roles)
    ]
    return pl.DataFrame(rows)


GROUPS = {"f1:+1": ("f1", "f1"), "f2:+1": ("f2", "f2"), "f1:-1": ("f1", "f1")}


def test_from_profiles_with_the_conditions_of_an_experiment_side_by_side():
    tried = experiments(profiles(), "baseline", ("a", "b"), GROUPS, "test")
    assert tried.conditions == ("f1:+1", "f1:-1", "f2:+1")
    assert tried.experiment.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(tried.effects(), [[1, 0], [-1, 0], [0, 0]])


def test_a_condition_that_most_roles_cannot_answer_is_left_out_and_said():
    unread = (pl.col("condition") == "f2:+1") & (pl.col("role") > "r1")
    gaps = profiles().with_columns(
        pl.when(unread).then(None).otherwise(pl.col(name)).alias(name) for name in ("a", "b")
    )
    tried = experiments(gaps, "baseline", ("a", "b"), GROUPS, "test")
    assert tried.left_out == {"f2:+1": "2 of 6 roles have scores in it"}
    with pytest.raises(InputError, match="half of them, have answered"):
        experiments(gaps, "baseline", ("a", "b"), {"f2:+1": ("f2", "f2")}, "test")

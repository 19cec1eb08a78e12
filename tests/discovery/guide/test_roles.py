"""Roles as proposals."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.guide.levers import LeverKind
from axiograph.discovery.guide.model import Measured, effects_model
from axiograph.discovery.guide.roles import RoleScores, role_proposals
from axiograph.discovery.guide.search import Search
from axiograph.discovery.guide.targets import parse_wishes

NAMES = ("a", "b")


def parts(scores):
    """role → value → item scores."""
    rows = [
        (role, value, f"{value}-{i}", score)
        for role, values in scores.items()
        for value, items in values.items()
        for i, score in enumerate(items)
    ]
    return pl.DataFrame(rows, schema=["role", "value", "part", "score"], orient="row")


def searching(scores, raised, held=()):
    measured = Measured(NAMES, scores.scores, {}, {})
    model = effects_model(measured, (), None)
    return Search(model, parse_wishes(raised, [], held, NAMES), 1, 1, frozenset({LeverKind.ROLE}))


def test_scores_errors_and_reference():
    table = parts({"": {"a": [1.0, 0.0], "b": [0.0, 0.0]}, "x": {"a": [1.0, 1.0], "b": [1.0, -1.0]}})
    found = RoleScores.of(table, NAMES, "")
    assert found.roles == ("", "x") and found.reference == 0
    assert found.scores.tolist() == [[0.5, 0.0], [1.0, 0.0]]
    assert found.errors.tolist() == [[0.25, 0.0], [0.0, 1.0]]  # variance over items / items
    assert RoleScores.of(table, NAMES, None).reference is None


def test_the_role_that_lies_the_wanted_way_is_drawn_towards_the_mean():
    rng = np.random.default_rng(0)
    true = {f"r{i}": {"a": rng.normal(0, 0.5), "b": rng.normal(0, 0.5)} for i in range(40)}
    noisy = {r: {v: m + rng.normal(0, 0.6, 8) for v, m in own.items()} for r, own in true.items()}
    scores = RoleScores.of(parts(noisy), NAMES, None)
    rho = scores.reliability()
    assert (rho < 1).all() and (rho > 0.5).all()
    search = searching(scores, ["a"], ["b"])
    found = role_proposals(scores, search, 5, ratio=1.0)
    best = next(iter(found[0].settings))
    raw = scores.scores[scores.roles.index(best)] - scores.scores.mean(axis=0)
    assert found[0].prediction.mean == pytest.approx(rho * raw)
    assert found[0].prediction.mean[0] > 0 and found[0].kind is LeverKind.ROLE
    assert [p.cost for p in found] == sorted(p.cost for p in found)


def test_a_role_without_a_score_is_left_out():
    table = parts(
        {
            "x": {"a": [1.0, 1.0, 0.0]},
            "y": {"a": [1.0, 0.0], "b": [0.0, 1.0]},
            "z": {"a": [0, 0.0], "b": [1.0, 1.0]},
        }
    )
    scores = RoleScores.of(table, NAMES, None)
    found = role_proposals(scores, searching(scores, ["b"]), 5, ratio=0.0)
    assert {next(iter(p.settings)) for p in found} <= {"y", "z"}


def test_a_role_that_answers_all_items_alike_is_no_surer_than_others():
    rng = np.random.default_rng(3)
    noisy = {f"r{i}": {v: np.sign(rng.normal(0.1 * i - 1, 1, 8)) for v in NAMES} for i in range(20)}
    noisy["sure"] = {v: np.ones(8) for v in NAMES}
    scores = RoleScores.of(parts(noisy), NAMES, None)
    assert scores.errors[scores.roles.index("sure")].tolist() == [0.0, 0.0]
    found = role_proposals(scores, searching(scores, ["a"]), 30, ratio=1.0)
    sure = next(p for p in found if p.name == "sure").prediction
    assert (sure.high - sure.low > 0.3).all()
    # No score lies beyond 1.
    assert (sure.high <= 1 - np.nanmean(scores.scores, axis=0) + 1e-9).all()

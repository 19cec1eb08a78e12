"""Predictions judged, guided against unguided, by hand."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.guide.validation import (
    HELD,
    OTHERS,
    Asked,
    draw_judged,
    judge,
    judged_roles,
    nothing_judged,
)

VALUES = ["t", "h", "o"]


def profiles(changes, roles=8):
    """`changes`: condition → change [3], the same for every role but for a jitter that has mean 0."""
    base = np.linspace(-0.5, 0.5, roles)[:, None] * [1.0, 1.0, 1.0]
    jitter = 0.01 * np.where(np.arange(roles) % 2, 1, -1)[:, None]
    frames = []
    for condition, change in ({"baseline": [0, 0, 0]} | changes).items():
        scores = base + np.array(change) + (jitter if condition != "baseline" else 0)
        columns = dict(zip(VALUES, scores.T, strict=True))
        frames.append(
            pl.DataFrame({"role": [f"r{i}" for i in range(roles)], "condition": condition} | columns)
        )
    return pl.concat(frames)


def prediction(change=(0.4, 0.0, 0.1), half=0.05):
    change = np.array(change)
    return pl.DataFrame(
        {
            "value": VALUES,
            "wish": ["raise", "hold", None],
            "wanted": [0.4, 0.0, None],
            "graph": ["steered", "must follow", "should stay"],
            "change": change,
            "low": change - half,
            "high": change + half,
        }
    )


def judged(guided, unguided):
    table = profiles({"g": guided, "u": unguided})
    return judge(table, [Asked(1, "f1", prediction(), "g", "u")])


def test_an_interval_is_right_where_it_holds_the_mean():
    found = judged([0.42, 0.2, 0.1], [0.4, 0.3, 0.1])
    assert found.predictions["inside"].to_list() == [True, False, True]
    assert found.coverage() == (2, 3)
    assert found.predictions["measured"].to_list() == pytest.approx([0.42, 0.2, 0.1])
    assert found.predictions["roles"].to_list() == [8, 8, 8]


def test_side_effects_are_compared_at_equal_change_of_the_target():
    found = judged([0.4, 0.03, 0.1], [0.8, 0.6, 0.1])
    deviation = np.std(np.linspace(-0.5, 0.5, 8), ddof=1)
    held = found.comparison.filter((pl.col("group") == HELD) & pl.col("value").is_null()).row(0, named=True)
    assert held["guided"] == pytest.approx(0.03 / deviation)
    # The unguided one moved the target twice as far: half of its side effect counts.
    assert held["unguided"] == pytest.approx(0.3 / deviation)
    assert held["ratio"] == pytest.approx(0.1)
    assert held["low"] > 0 and held["p"] < 0.01
    assert (held["guided_target"], held["unguided_target"]) == (pytest.approx(0.4), pytest.approx(0.8))
    other = found.comparison.filter((pl.col("group") == OTHERS) & pl.col("value").is_null()).row(
        0, named=True
    )
    assert other["ratio"] == pytest.approx(2.0) and other["high"] < 0


def test_the_same_condition_is_compared_with_nothing():
    table = profiles({"g": [0.4, 0.0, 0.1]})
    found = judge(table, [Asked(1, "f1", prediction(), "g", "g")])
    assert found.comparison.is_empty() and found.predictions.height == 3


def test_roles_are_judged_against_the_reference_role():
    before = pl.DataFrame(
        {
            "role": ["", "x", "j1", "j2"],
            "t": [0.1, 0.5, 0.0, 0.4],
            "h": [0.0, 0.02, 0, 0],
            "o": [0.0, None, 0, 0],
        }
    )
    roles = [Asked(2, "x", prediction(), "baseline")]
    found = judged_roles(before, roles, "", ["j1", "j2"])
    assert found["measured"].to_list() == [pytest.approx(0.4), pytest.approx(0.02), None]
    assert found["inside"].to_list() == [True, True, None]
    mean = judged_roles(before, roles, None, ["j1", "j2"])
    assert mean["measured"][0] == pytest.approx(0.3)
    whole = nothing_judged(0.05).with_predictions(found)
    assert whole.coverage() == (2, 2)


def test_the_figure_is_written(tmp_path):
    found = judged([0.42, 0.2, 0.1], [0.4, 0.3, 0.1])
    for name in ("c.png", "c.svg"):
        draw_judged(found, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000

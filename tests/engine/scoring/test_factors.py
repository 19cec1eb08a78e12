"""Factors of planted values, of noise, and of too few roles."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from axiograph.engine.scoring.factors import (
    find_factors,
    kept_factors,
    parallel_analysis,
    rotated_loadings,
)

VALUES = ("Zeal", "Awe", "Mirth")


def answers(rng, roles=200, r=0.0, noise=0.7):
    """[roles, 12]: graded answers, four items for each of three values that correlate at `r`."""
    true = rng.multivariate_normal(np.zeros(3), (1 - r) * np.eye(3) + r, size=roles)
    raw = np.repeat(true, 4, axis=1) + noise * rng.normal(size=(roles, 12))
    return np.clip(np.round(raw), -2, 2) / 2


def rows(table, values=VALUES):
    return pl.DataFrame(
        [
            (values[k // 4], f"i{k:02d}", f"r{role:03d}", float(score))
            for role, row in enumerate(table)
            for k, score in enumerate(row)
            if not np.isnan(score)
        ],
        schema=["value", "item_id", "role", "score"],
        orient="row",
    )


@pytest.mark.parametrize("r", [0.0, 0.5])
def test_planted_values_are_factors_and_items_lie_on_their_own(r):
    for seed in range(5):
        factors = find_factors(rows(answers(np.random.default_rng(seed), r=r)), VALUES)
        assert (factors.kept, factors.roles, factors.items, factors.reason) == (3, 200, 12, None)
        assert factors.values["value"].to_list() == list(VALUES)
        assert factors.values["share"].to_list() == [1.0] * 3
        assert sorted(factors.values["factor"]) == [1, 2, 3]
        assert factors.values["others"].list.len().sum() == 0
        assert (factors.loadings["loading"] > 0.5).all() and factors.loadings["on_value"].all()
        assert factors.eigenvalues["kept"].sum() == 3 and factors.eigenvalues.height == 12


def test_loadings_are_those_that_were_planted():
    """λ = 1 / √(1 + .49) of the item's SD; the sum of an item's squares is what it shares with the values."""
    rng = np.random.default_rng(0)
    table = np.repeat(rng.normal(size=(20_000, 3)), 4, axis=1) + 0.7 * rng.normal(size=(20_000, 12))
    loadings = rotated_loadings(table, 3)
    strongest = np.abs(loadings).max(axis=1)
    assert strongest == pytest.approx(np.full(12, 1 / np.sqrt(1.49)), abs=0.02)
    assert (loadings**2).sum(axis=1) == pytest.approx(np.full(12, 1 / 1.49), abs=0.02)


def test_noise_keeps_no_factor_in_95_percent():
    """Of 100 studies 5 ± 2.2, with items that nearly all roles answer alike among them."""
    rng = np.random.default_rng(5)
    kept = []
    for _ in range(100):
        table = np.where(rng.random((60, 12)) < np.linspace(0.03, 0.5, 12), 1.0, -1.0)
        kept.append(kept_factors(*parallel_analysis(table[:, np.ptp(table, axis=0) > 0])))
    assert 0.005 <= np.mean(np.array(kept) > 0) <= 0.12


def test_values_that_are_one_and_items_that_belong_elsewhere_show():
    rng = np.random.default_rng(7)
    table = answers(rng)
    table[:, 4:8] = table[:, :4] + 0.4 * rng.normal(size=(200, 4))  # Awe is Zeal
    table[:, 11] = table[:, 0] + 0.4 * rng.normal(size=200)  # an item of Mirth asks for Zeal
    factors = find_factors(rows(table), VALUES)
    values = {row["value"]: row for row in factors.values.iter_rows(named=True)}
    assert values["Zeal"]["others"] == ["Awe"] and values["Awe"]["others"] == ["Zeal"]
    assert values["Mirth"]["share"] == pytest.approx(0.75) and values["Mirth"]["others"] == []
    assert factors.loadings.filter(~pl.col("on_value"))["item_id"].to_list() == ["i11"]


def test_an_item_keyed_the_wrong_way_is_not_on_its_value():
    table = answers(np.random.default_rng(8))
    table[:, 5] *= -1
    factors = find_factors(rows(table), VALUES)
    assert factors.loadings.filter(~pl.col("on_value"))["item_id"].to_list() == ["i05"]


def test_too_few_roles_gaps_and_items_that_do_not_vary():
    table = answers(np.random.default_rng(9), roles=35)
    few = find_factors(rows(table), VALUES)
    assert few.kept is None and few.reason == "too few roles: 35 with 90 % of answers, 36 needed for 12 items"
    assert few.loadings.is_empty() and few.eigenvalues.is_empty()
    table[:, 3] = 1.0  # 11 items vary: 33 roles are enough
    assert find_factors(rows(table), VALUES).kept is not None
    gaps = table.copy()
    gaps[:5, 0] = np.nan  # one of 12 is less than a tenth
    assert find_factors(rows(gaps), VALUES).roles == 35
    gaps[:5, 1] = np.nan
    assert find_factors(rows(gaps), VALUES).roles == 30
    gaps[:, :2] = np.nan
    gaps[0, :2], gaps[0, 5:] = 1.0, np.nan
    assert find_factors(rows(gaps), VALUES).reason == "no role has a score on 90 % of the items"


def test_an_answer_in_a_hundred_that_is_missing_moves_loadings_little():
    rng = np.random.default_rng(10)
    table = answers(rng, roles=400)
    gaps = np.where(rng.random(table.shape) < 0.01, np.nan, table)
    whole, holed = find_factors(rows(table), VALUES), find_factors(rows(gaps), VALUES)
    assert holed.kept == 3 and holed.roles > 395
    assert holed.loadings["loading"].to_list() == pytest.approx(whole.loadings["loading"].to_list(), abs=0.04)
    assert find_factors(rows(table).clear(), VALUES).reason == "no scored answer"

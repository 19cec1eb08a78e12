"""Differences to the baseline as content and style, by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_1samp

from axiograph.discovery.effects.style import split_effects

ROLES = ["a", "b", "c"]


def tables(plain: dict[str, list[float]], style: list[float], taken: list[float], off: float = 0.0):
    """Baseline all 0; under x these scores; `off`: what missing answers add to plain scores."""
    names = {"role": ROLES * 2, "condition": ["baseline"] * 3 + ["x"] * 3, "split": ["test"] * 6}
    balance = {"v": 1.0, "w": 0.0}
    whole = pl.DataFrame(names | {k: [0.0] * 3 + v for k, v in plain.items()})
    keyed = {k: np.array([0.0] * 3 + taken) * balance[k] for k in plain}
    freed = whole.with_columns(
        pl.Series(k, whole[k].to_numpy() - keyed[k] - np.array([0.0] * 3 + [off] * 3)) for k in plain
    )
    styles = pl.DataFrame(names | {"style": [0.0] * 3 + style, "subtracted": [0.0] * 3 + taken})
    return whole, freed, styles, balance


@pytest.mark.parametrize("taken", [[0.0, 0.0, 0.0], [0.1, 0.2, 0.3]])
def test_parts_add_up_whether_or_not_style_was_taken_out(taken):
    found = split_effects(
        *tables({"v": [0.3, 0.2, 0.4], "w": [0.1, 0.1, 0.1]}, [0.1, 0.2, 0.3], taken), "test", 0.05
    )
    v, w = found.rows(named=True)
    assert (v["plain"], v["content"], v["style"], v["items"]) == pytest.approx((0.3, 0.1, 0.2, 0.0))
    assert (w["plain"], w["content"], w["style"], w["items"]) == pytest.approx((0.1, 0.1, 0.0, 0.0))
    assert v["subtracted"] == (taken[0] > 0)
    low, high = ttest_1samp([0.1, 0.2, 0.3], 0).confidence_interval(0.95)
    assert (v["style_low"], v["style_high"]) == pytest.approx((low, high))


def test_answers_that_lack_are_a_part_of_their_own():
    found = split_effects(
        *tables({"v": [0.3, 0.2, 0.4], "w": [0.0] * 3}, [0.1] * 3, [0.0] * 3, off=0.05), None, 0.05
    )
    (v, _) = found.rows(named=True)
    assert (v["plain"], v["content"], v["style"], v["items"]) == pytest.approx((0.3, 0.15, 0.1, 0.05))


def test_unknown_style_is_null_and_stays_in_content():
    plain, freed, styles, balance = tables({"v": [0.3, 0.2, 0.4], "w": [0.0] * 3}, [0.0] * 3, [0.0] * 3)
    styles = styles.with_columns(style=pl.lit(None, pl.Float64))
    (v, _) = split_effects(plain, freed, styles, balance, None, 0.05).rows(named=True)
    assert (v["style"], v["style_low"]) == (None, None)
    assert v["content"] == pytest.approx(0.3)

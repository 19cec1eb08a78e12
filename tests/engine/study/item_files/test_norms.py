"""Norms in the inventory's units, on the scale from −1 to 1."""

from __future__ import annotations

import pytest

from axiograph.engine.study.item_files.norms import Norm
from axiograph.engine.study.scales import Scale

FIVE = Scale.of("five", ["a", "b", "c", "d", "e"])
FROM_ZERO = Scale.of("zero", ["a", "b", "c", "d", "e"], codes=[0, 1, 2, 3, 4])


def test_a_mean_over_items():
    assert Norm("All", 3.0, 1.0).as_score([FIVE] * 8) == (0.0, 0.5)
    assert Norm("All", 5.0, None).as_score([FIVE]) == (1.0, None)


def test_a_sum_over_items():
    # 6 items from 0 to 4: the middle is 12, and 4 points of the sum are 1/3 of 2 points an item
    score, sd = Norm("All", 12.0, 4.0, of="sum").as_score([FROM_ZERO] * 6)
    assert score == pytest.approx(0)
    assert sd == pytest.approx(4 / 12)
    # 23 questions answered yes (1) or no (0)
    score, sd = Norm("Male", 11.5, 6.0, of="sum").as_score([None] * 23)
    assert score == pytest.approx(0)
    assert sd == pytest.approx(6 / 11.5)


def test_norms_that_are_no_linear_function_of_the_score_are_refused():
    weighted = Scale.of("w", ["a", "b", "c"], weights=[0, 1, 4])
    for scales in ([weighted], [FIVE, FROM_ZERO], [FIVE, None], []):
        with pytest.raises(ValueError, match=r"."):
            Norm("All", 3.0, 1.0).as_score(scales)

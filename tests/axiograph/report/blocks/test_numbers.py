"""Numbers as text: what is missing is a dash, a minus is a minus."""

import math

import pytest

from axiograph.report.blocks.numbers import MISSING, count, estimate, number


@pytest.mark.parametrize(
    "value, digits, signed, text",
    [
        (0.456, 2, False, "0.46"),
        (-0.456, 2, False, "−0.46"),
        (0.456, 1, True, "+0.5"),
        (-0.001, 2, True, "0.00"),
        (0.0, 2, True, "0.00"),
        (None, 2, False, MISSING),
        (math.nan, 2, True, MISSING),
    ],
)
def test_number(value, digits, signed, text):
    assert number(value, digits, signed=signed) == text


def test_estimate_stands_with_its_interval_or_alone():
    assert estimate((0.5, 0.25, 0.75)) == "0.50 [0.25, 0.75]"
    assert estimate((0.5, None, 0.75)) == "0.50"
    assert estimate((-0.5, -0.6, 0.1), 1, signed=True) == "−0.5 [−0.6, +0.1]"
    assert estimate((None, None, None)) == MISSING


def test_count():
    assert count(1234567) == "1,234,567" and count(None) == MISSING and count(-3) == "−3"

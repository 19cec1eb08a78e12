"""Wishes: what the texts of the command line mean, and which are refused."""

import numpy as np
import pytest

from axiograph.discovery.guide.targets import Target, check_measured, parse_wishes
from axiograph.engine.errors import InputError

NAMES = ("Power", "Order", "Joy, quiet")


def test_amounts_in_points_and_standard_deviations():
    wishes = parse_wishes(["Power=0.5"], ["Order=1.5sd"], [], NAMES)
    assert wishes.targets == (Target("Power", 1, 0.5), Target("Order", -1, 1.5, in_sd=True))
    assert [t.change(0.4) for t in wishes.targets] == [0.5, pytest.approx(-0.6)]
    assert parse_wishes(["Power=+0.5"], [], [], NAMES).targets == wishes.targets[:1]
    assert parse_wishes([], ["Order=-1.5SD"], [], NAMES).targets == wishes.targets[1:]


def test_no_amount_is_as_far_as_possible():
    wishes = parse_wishes(["Power"], [], ["Order"], NAMES)
    assert wishes.targets[0].change(0.4) is None and wishes.hold == ("Order",)
    assert "as far as possible" in wishes.words() and "hold Order" in wishes.words()
    assert wishes.slug() == "raise-Power_hold-Order"


def test_commas_separate_but_not_inside_a_name():
    wishes = parse_wishes(["Power, Order"], [], ["Joy, quiet"], NAMES)
    assert [t.value for t in wishes.targets] == ["Power", "Order"] and wishes.hold == ("Joy, quiet",)


def test_rest_is_every_value_that_is_not_named():
    assert parse_wishes(["Power"], [], ["rest"], NAMES).hold == ("Order", "Joy, quiet")


@pytest.mark.parametrize(
    "raised, lowered, held, words",
    [
        (["Pwer"], [], [], ["Pwer", "did you mean 'Power'", "that the run measured"]),
        (["Power"], ["Power"], [], ["one wish", "Power named more than once"]),
        (["Power"], [], ["Power"], ["moved and held"]),
        (["Power=much"], [], [], ["'much'", "1sd"]),
        (["Power=-1"], [], [], ["above 0"]),
        (["Power=3"], [], [], ["at most 2 points"]),
        (["Power=nan"], [], [], ["above 0"]),
        ([], [], ["Power"], ["a value to raise or to lower"]),
    ],
)
def test_bad_wishes_are_one_paragraph(raised, lowered, held, words):
    with pytest.raises(InputError) as error:
        parse_wishes(raised, lowered, held, NAMES)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_a_value_that_is_the_same_in_every_role_is_refused():
    wishes = parse_wishes(["Power"], [], ["Order"], NAMES)
    baseline = np.array([[0.1, 0.5, 0.0], [0.2, 0.5, 0.0]])
    with pytest.raises(InputError, match=r"value Order.*the same score 0\.5"):
        check_measured(wishes, NAMES, baseline)
    baseline[:, 1] = [np.nan, 0.5]
    with pytest.raises(InputError, match="fewer than two"):
        check_measured(wishes, NAMES, baseline)


def test_a_tolerance_that_is_none_is_refused():
    with pytest.raises(InputError, match="--tolerance"):
        parse_wishes(["Power"], [], [], NAMES, tolerance=0.0)

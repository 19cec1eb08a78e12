"""The wording of hints, and the checks of a list of hints."""

from __future__ import annotations

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.conditions import Hint, check_hints, hint_text, hinted_value

HARD = Hint("hard", "inclined", "asked")
AGAINST = Hint("against", "disinclined", "Power")


def test_wording():
    assert hint_text(HARD, "Trust", None) == "As a person you are strongly inclined to Trust."
    assert hint_text(AGAINST, "Trust", None) == "As a person you are strongly disinclined to Power."
    assert hint_text(AGAINST, "Trust", " Control over others. ") == (
        "As a person you are strongly disinclined to Power. Power means: Control over others."
    )
    assert hint_text(HARD, "Trust", " ") == hint_text(HARD, "Trust", None)


def test_the_value_that_is_hinted():
    assert hinted_value(HARD, "Trust") == "Trust"
    assert hinted_value(AGAINST, "Trust") == "Power"


def test_good_hints_pass():
    check_hints([HARD, AGAINST], ["Power", "Trust"])
    check_hints([], [])


@pytest.mark.parametrize(
    ("hints", "values", "named"),
    [
        ([Hint("h", "inclined", "Powr")], ["Power"], "'Power'"),
        ([HARD, HARD], ["Power"], "entry 2"),
        ([Hint(" ", "inclined", "Power")], ["Power"], "a name"),
        ([Hint("h", "keen", "Power")], ["Power"], "'keen'"),  # type: ignore[arg-type]
        ([HARD], ["asked"], "Rename the value"),
    ],
)
def test_bad_hints_are_named(hints, values, named):
    with pytest.raises(InputError, match=named):
        check_hints(hints, values)

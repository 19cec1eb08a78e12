"""What `check` says of a study that takes long, and of answers on a scale."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from axiograph.cluster.check.findings import Share
from axiograph.texts.check import A_NIGHT_S, _less, _states


@pytest.mark.parametrize(("seconds", "says"), [(60.0, False), (A_NIGHT_S, True)])
def test_a_study_of_more_than_a_night_could_ask_a_share(seconds, says):
    assert ("share: 0.5" in _less(seconds)) == says


@pytest.mark.parametrize(
    ("chosen", "decided", "unfinished", "expected"),
    [
        (0, 9, 0, ["yes", "no", "unsure"]),
        (9, 0, 0, ["chosen", "unsure"]),
        (4, 5, 2, ["yes", "no", "chosen", "unsure"]),
    ],
)
def test_states_that_are_shown_are_those_that_the_items_can_have(chosen, decided, unfinished, expected):
    states = {"yes": decided, "no": 0, "chosen": chosen, "unsure": 1, "unfinished": unfinished}
    findings = SimpleNamespace(states=states, yes=Share(decided, decided))
    assert _states(findings) == expected

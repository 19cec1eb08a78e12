"""What thoughts say by themselves."""

import pytest

from axiograph.engine.answers.thoughts import thought_verdict


@pytest.mark.parametrize(
    ("thought", "verdict"),
    [
        ("No, I would never do that.", "no"),
        ("Yes, it is what I am for. It is good.", "yes"),
        ("I like quiet days, so the answer is no.", "no"),
        ("I like it.", None),
        ("Yes, at times. No, not always.", None),
        ("Nobody says no to that.", None),
        ("Others would say yes.", None),
        ("I would not say no.", None),
        ("", None),
    ],
)
def test_a_verdict_is_one_that_is_said(thought, verdict):
    assert thought_verdict(thought) == verdict

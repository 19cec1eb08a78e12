"""Options of a scale as real and odd answers name them: a table labelled by hand, and what holds of any."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.answers.choices import Options, judge_choice, parse_choice

LABELS = ("Disagree strongly", "Disagree a little", "Neutral", "Agree a little", "Agree strongly")
SIGNED = ("Not at all like me", "Not like me", "Neither", "Like me", "Very much like me")
SCALES = {
    "numbers": Options(LABELS, ("1", "2", "3", "4", "5")),
    "labels": Options(LABELS),
    "letters": Options(LABELS, tuple("ABCDE")),
    "ten": Options(tuple(map(str, range(1, 11))), tuple(map(str, range(1, 11)))),
    "signed": Options(SIGNED, ("-2", "-1", "0", "1", "2")),
}


def table() -> list[tuple[str, str, str]]:
    lines = (Path(__file__).parent / "scale_answers.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [(kind, text, label) for kind, text, label in rows]


def test_the_table_is_large_and_has_every_state():
    labels = Counter("chosen" if label.isdigit() else label for _, _, label in table())
    assert len(table()) >= 200 and set(labels) == {"chosen", "unsure", "unparsed", "refused"}


@pytest.mark.parametrize(("kind", "text", "label"), table())
def test_answers_are_read_as_a_person_reads_them(kind, text, label):
    answer = parse_choice(f"I think so.\nAnswer: {text}\n", SCALES[kind])
    expected = ("chosen", int(label) - 1) if label.isdigit() else (label, None)
    assert (answer.state, answer.position) == expected, answer.reason
    assert answer.complete


@pytest.mark.parametrize("kind", SCALES)
def test_every_option_names_itself_in_any_order(kind):
    options = SCALES[kind]
    turned = Options(options.labels[::-1], options.marks[::-1])
    for position, label in enumerate(options.labels):
        assert judge_choice(label, options)[::2] == ("chosen", position)
        assert judge_choice(label, turned)[::2] == ("chosen", len(options.labels) - 1 - position)
        if options.marks:
            assert judge_choice(f"{options.marks[position]}. {label}", options)[::2] == ("chosen", position)


@settings(deadline=None)
@given(st.sampled_from(sorted(SCALES)), st.text(max_size=60), st.text(max_size=30))
def test_what_follows_a_complete_answer_changes_nothing(kind, text, more):
    """And nothing that is generated makes it fail."""
    answer = parse_choice(f"Answer: {text}", SCALES[kind], finished=False)
    if answer.complete:
        after = parse_choice(f"Answer: {text}{more}", SCALES[kind])
        assert (after.state, after.position) == (answer.state, answer.position)
    assert (answer.position is not None) == (answer.state == "chosen")


def test_texts_without_a_marker():
    numbers = SCALES["numbers"]
    assert parse_choice("4", numbers).position == 3
    assert parse_choice("I like people.\n4 - Agree a little.", numbers).position == 3
    assert parse_choice("I like 4 people.", numbers).state == "unparsed"
    assert parse_choice("As an AI, I cannot answer.", numbers).state == "refused"
    assert parse_choice("4", numbers, finished=False).state == "unparsed"  # a marker may still come


def test_behind_an_answer_marker_and_in_a_turn_of_its_own():
    numbers = SCALES["numbers"]
    assert parse_choice(" 2\n\nQuestion: more?\nAnswer: 5", numbers, lead="answer").position == 1
    assert parse_choice("2 - Disagree a little.\nAnswer: 5", numbers, lead="open").position == 1
    assert parse_choice("I have 2 kids.\nAnswer: 5", numbers, lead="open").position == 4

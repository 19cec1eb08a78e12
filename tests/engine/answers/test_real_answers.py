"""Answers of a real model, labelled by hand before any rule was held against them (README.md)."""

import json
from collections import Counter
from pathlib import Path

import pytest

from axiograph.engine.answers.parsing import is_complete, lead_of, parse_answer
from axiograph.engine.answers.thoughts import thought_verdict

FILE = Path(__file__).parent / "real_answers.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
AMBIGUOUS = "ambiguous:"  # how the note of a row begins on which careful readers may differ
OPPOSITE = {"yes": "no", "no": "yes"}


@pytest.fixture(scope="module")
def read():
    """id → how the text is read behind its prompt."""
    return {row["id"]: parse_answer(row["text"], lead=lead_of(row["prompt_tail"])) for row in ROWS}


def test_the_table_is_large_and_varied():
    assert len(ROWS) >= 500 and len({row["id"] for row in ROWS}) == len(ROWS)
    assert len({row["form"] for row in ROWS}) >= 5
    labels = Counter(row["expected"] for row in ROWS)
    assert min(labels["yes"], labels["no"], labels["unparsed"]) > 50
    assert sum(row["note"].startswith(AMBIGUOUS) for row in ROWS) < 0.1 * len(ROWS)


def test_answers_are_read_as_by_hand(read):
    clear = [row for row in ROWS if not row["note"].startswith(AMBIGUOUS)]
    other = [(row["id"], row["expected"], read[row["id"]].state) for row in clear]
    other = [(name, expected, state) for name, expected, state in other if expected != state]
    assert len(other) <= 0.01 * len(clear), other


def test_no_answer_is_read_as_its_opposite(read):
    assert not [row["id"] for row in ROWS if read[row["id"]].state == OPPOSITE.get(row["expected"])]


def test_ambiguous_answers_are_mostly_read_as_by_hand(read):
    rows = [row for row in ROWS if row["note"].startswith(AMBIGUOUS)]
    assert sum(row["expected"] == read[row["id"]].state for row in rows) >= 0.6 * len(rows)


def test_stopping_where_an_answer_is_complete_changes_none(read):
    stopped = 0
    for row in ROWS:
        text, lead = row["text"], lead_of(row["prompt_tail"])
        end = next((k for k in range(1, len(text)) if is_complete(text[:k], lead)), None)
        if end is not None:
            stopped += 1
            assert parse_answer(text[:end], lead=lead) == read[row["id"]], row["id"]
    assert stopped > 0.4 * len(ROWS)


def test_a_thoughts_verdict_is_never_the_opposite_of_what_it_says(read):
    """It finds a part of them: only those that say yes or no."""
    pairs = Counter((row["thought_says"], thought_verdict(read[row["id"]].thought)) for row in ROWS)
    assert not pairs["yes", "no"] and not pairs["no", "yes"]
    assert pairs["yes", "yes"] + pairs["no", "no"] > 3 * (pairs["none", "yes"] + pairs["none", "no"])

"""What thinking models write: a table labelled by hand, and what holds of any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.engine.answers.choices import Options, parse_choice
from axiograph.engine.answers.parsing import STATES, parse_answer
from axiograph.engine.answers.thinking import Thinking, tag_in

LABELS = ("Disagree strongly", "Disagree a little", "Neutral", "Agree a little", "Agree strongly")
SCALES = {"numbers": Options(LABELS, ("1", "2", "3", "4", "5")), "labels": Options(LABELS)}
THINK = Thinking("<think>", "</think>")
KINDS = {
    "opened": Thinking("<think>", "</think>", opened=True),
    "channel": Thinking("<|channel|>analysis", "<|channel|>final<|message|>"),
}


def table() -> list[tuple[str, str, str]]:
    lines = (Path(__file__).parent / "thinking_texts.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [(kind, text.replace("⏎", "\n"), label) for kind, text, label in rows]


def read(kind: str, text: str, finished: bool = True):
    thinking = KINDS.get(kind, THINK)
    if kind in SCALES:
        return parse_choice(text, SCALES[kind], finished, lead="open", thinking=thinking)
    return parse_answer(text, finished, lead="open", thinking=thinking)


def test_the_table_is_large_and_has_every_state():
    labels = {"chosen" if label.isdigit() else label for _, _, label in table()}
    assert len(table()) >= 100 and labels == set(STATES)
    assert {kind for kind, _, _ in table()} == {"think", *KINDS, *SCALES}


@pytest.mark.parametrize(("kind", "text", "label"), table())
def test_what_stands_behind_the_thought_is_read(kind, text, label):
    answer = read(kind, text)
    expected = ("chosen", int(label) - 1) if label.isdigit() else (label, None)
    assert (answer.state, answer.position) == expected, answer.reason


@pytest.mark.parametrize(("kind", "text", "label"), table())
def test_an_end_and_an_answer_behind_any_of_them_is_all_that_counts(kind, text, label):
    end = KINDS.get(kind, THINK).end
    for answer, state in (("Answer: yes", "yes"), ("Answer: no", "no")):
        assert read("opened" if kind in SCALES else kind, text + end + answer).state == state


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_thought_changes_an_answer(before, answer):
    """And what was thought is kept."""
    whole = parse_answer(f"<think>{before}</think>{answer}", lead="open", thinking=THINK)
    alone = parse_answer(answer, lead="open")
    assert (whole.state, whole.reason, whole.answer_text) == (alone.state, alone.reason, alone.answer_text)
    assert whole.thought == before.strip()


@given(st.text(max_size=60))
def test_without_an_end_a_thought_is_never_an_answer(text):
    for thinking, written in ((THINK, f"<think>{text}"), (KINDS["opened"], text)):
        answer = parse_answer(written, lead="open", thinking=thinking)
        assert (answer.state, answer.reason, answer.complete) == ("unfinished", "unclosed-thought", False)


def test_prompts_that_open_the_thought():
    for prompt in ("<|Assistant|><think>\n", "So: <think>", "a <think></think> <think>\n\n"):
        assert Thinking.of(("<think>", "</think>"), prompt).opened
    for prompt in ("", "Thought:", "<think>\n\n</think>\n\n", "What is <think>?\n<|assistant|>"):
        assert not Thinking.of(("<think>", "</think>"), prompt).opened


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("<think>Hm.</think>Answer: yes", "<think>"),
        ("Hm.\n</think>\nAnswer: yes", "</think>"),
        ("[THINK]Hm.[/THINK]yes", "[THINK]"),
        ("<|channel|>analysis<|message|>Hm.", "<|channel|>"),
        ("analysisHm.assistantfinalAnswer: yes", "analysis"),
        ("My analysis: I think so.\nAnswer: yes", None),
        ("analysis of it says so. Answer: yes", None),
        ("Answer: yes", None),
    ],
)
def test_tags_of_well_known_models_are_seen(text, tag):
    assert tag_in(text) == tag

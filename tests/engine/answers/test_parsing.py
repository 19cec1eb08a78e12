"""The parse against hand-made labels, the stop rule against the parse, and log-odds by hand."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from math import exp, inf, log
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axiograph.engine.answers.parsing import (
    NO_SPELLINGS,
    STATES,
    YES_SPELLINGS,
    Lead,
    can_end_marker,
    ends_in_marker,
    is_complete,
    lead_of,
    log_odds,
    logprob_state,
    marker_end,
    needs_check,
    parse_answer,
)
from axiograph.engine.errors import RunError
from axiograph.engine.workers.generation import StopCheck


def _labelled() -> list[tuple[str, str]]:
    with (Path(__file__).parent / "labelled_answers.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"].replace("\\n", "\n"), row["state"]) for row in csv.DictReader(file)]


LABELLED = _labelled()
PIECES = [
    *("yes", "no", "Yes", " No", "not", "ne", " sure", "none", "maybe", "I cannot answer", " is", "so"),
    *(" my", ".", "...", "…", "!", "?", "。", ",", " ", "\n", "\r\n", "\u2028", ":", "：", " -", "—", "="),
    *("**", "*", "`", '"', "(", ")", "[", "]", "<", ">", "b", "</b>", "-", "1", "A", "etc", "Mr"),
    *("/", "|", "e.g", "( ", "]:"),
    *("Answer", "answer", "ANSWER:", "Answer:", "Answer (yes/no)", "Question", "Question:", "Thought:"),
    *("是", "はい", "sí", "s\u0301", "\ufffd", "👍", "well", "Hmm", "I'm sorry", "Do I", "\t"),
    *("\nQuestion:", "\n\nUser:", "the answer is no", "Human 2:", "The person:"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=30)
MARKERS = st.sampled_from(["Answer:", "**Answer:**", "answer：", "\nAnswer -"])
ANSWERS = st.tuples(TEXTS, MARKERS, TEXTS).map("".join)
LEADS = st.sampled_from(["thought", "answer", "open"])
LOGS = st.lists(st.floats(-50, 0), min_size=1, max_size=6)


def test_the_table_is_large_and_varied():
    assert len(LABELLED) >= 150
    assert len({text for text, _ in LABELLED}) == len(LABELLED)
    counts = {state: sum(label == state for _, label in LABELLED) for state in STATES[:2] + STATES[3:6]}
    assert min(counts.values()) >= 15
    assert sum(counts.values()) == len(LABELLED)


@pytest.mark.parametrize(("text", "state"), LABELLED)
def test_labelled(text, state):
    assert parse_answer(text).state == state


@pytest.mark.parametrize("text", [text for text, _ in LABELLED])
def test_every_complete_prefix_of_a_labelled_answer_reads_as_the_whole(text):
    _check_prefixes(text)
    _check_prefixes(text + "\nAnswer: yes and no.\nQuestion: Do you?\nAnswer: I cannot answer.\n")


@pytest.mark.parametrize(
    "text",
    [
        *("answer (so Answer: yes.): no", "answer (Answer: yes\n): no", "Answer: answer (yes. or): no"),
        *("answer [Answer = no.]: yes", "Answer: so answer (no): yes\n", "Answer: <yes. b>no", "yes"),
        *("Answer: A.. no\n", "Answer: Question: yes. no", "Answer: my answer - no.\nyes"),
        "Answer: yes. Answer (no. ): no",
    ],
)
def test_a_marker_that_later_text_completes_changes_nothing(text):
    _check_prefixes(text)


@settings(max_examples=400, deadline=None)
@example("YEA\rQUESTION:", "open")  # the line's end had closed the answer
@given(st.one_of(ANSWERS, TEXTS), LEADS)
def test_stopping_early_never_changes_the_state(text, lead):
    _check_prefixes(text, lead)


def _check_prefixes(text: str, lead: Lead = "thought") -> None:
    """Complete stays complete, with state, reason and answer unchanged, and each flip passes the filter."""
    whole, before = parse_answer(text, lead=lead), False
    for end in range(1, len(text) + 1):
        now = is_complete(text[:end], lead)
        if now:
            read = parse_answer(text[:end], lead=lead)
            unfinished = parse_answer(text[:end], finished=False, lead=lead)
            assert read == unfinished == whole
            assert before or needs_check(text[end - 1])
        assert now or not before
        before = now


@settings(max_examples=400, deadline=None)
@given(st.one_of(ANSWERS, TEXTS), TEXTS, LEADS)
def test_needs_check_lets_every_completing_piece_through(text, piece, lead):
    if is_complete(text + piece, lead) and not is_complete(text, lead):
        assert needs_check(piece)


@settings(max_examples=200, deadline=None)
@given(ANSWERS, st.integers(1, 4))
def test_needs_check_with_characters_cut_between_tokens(text, width):
    """Tokens of a byte-level vocabulary: each piece is decoded alone, the answer is decoded as a whole."""
    raw = text.encode()
    cuts = [*range(width, len(raw), width), len(raw)]
    before, start = False, 0
    for end in cuts:
        now = is_complete(raw[:end].decode(errors="replace"))
        if now and not before:
            assert needs_check(raw[start:end].decode(errors="replace"))
        before, start = now, end


class _Pieces:
    """A tokenizer whose tokens are the pieces of `raw` of `width` bytes."""

    def __init__(self, raw: bytes, width: int) -> None:
        self.pieces = [raw[start : start + width] for start in range(0, len(raw), width)]

    def decode(self, ids: Sequence[int], **_: object) -> str:
        return b"".join(self.pieces[i] for i in ids).decode(errors="replace")


@settings(max_examples=300, deadline=None)
@given(st.one_of(ANSWERS, TEXTS), st.integers(1, 6), LEADS)
def test_a_stop_check_stops_where_reading_every_prefix_would(text, width, lead):
    tokenizer = _Pieces(text.encode(), width)
    ids, stop = range(len(tokenizer.pieces)), StopCheck(tokenizer, lead)
    for end in range(1, len(ids) + 1):
        now = is_complete(tokenizer.decode(ids[:end]), lead)
        assert stop(ids[:end]) == now
        # Nor does it matter what it has seen before.
        assert StopCheck(tokenizer, lead)(ids[:end]) == now
        if now:
            break


@pytest.mark.parametrize(
    "text",
    [
        *("Answer: no", "Answer: yes", "Answer: not sure", "Answer: none", "Answer: no, but yes"),
        *("Answer: 1.", "Answer:", "Answer: \n\n", "Answer: **", "Answer: A.", "Answer: Well."),
        *("Answer: I'm sorry.", "yes\n", "I like it.\nYes.\n", "Answer: Do I like it?", "Answer: Mr."),
        *("Answer: <b>", ""),
    ],
)
def test_incomplete(text):
    assert not is_complete(text)
    assert not parse_answer(text, finished=False).complete
    assert parse_answer(text).complete


@pytest.mark.parametrize(
    "text",
    [
        *("Answer: no.", "Answer: yes\n", "Answer:\nyes\n", "Answer: no!", "Answer: 是。", "Answer: yes…"),
        *("Answer: no Answer:", "Answer: yes Question:", "Answer: yes or no?", "Answer: nothing."),
        "**Answer:** yes\r",
    ],
)
def test_complete(text):
    assert is_complete(text)
    assert parse_answer(text, finished=False).complete


@settings(max_examples=200, deadline=None)
@given(st.one_of(ANSWERS, TEXTS))
def test_a_text_with_a_marker_has_a_character_that_can_end_one(text):
    assert marker_end(text) is None or can_end_marker(text)


def test_the_filter_filters():
    markers = ["answer:", "Answer：", "answer =", "Answer ＝", "answer -", "answer –", "answer —"]
    assert all(marker_end(marker) and can_end_marker(marker[-1]) for marker in markers)
    assert not any(map(can_end_marker, ["yes.", " no", "\n", "answer", "?", "**"]))
    assert not any(map(needs_check, ["yes", " no", "", " I like", "not", ",", "**", "是", "’s", ")"]))
    assert all(map(needs_check, [".", "\n", " no.\n", "!", "。", ":", "\ufffd", "s?"]))


def test_parts_and_reasons():
    answer = parse_answer("Thought: I like **it**.\n**Answer:** Yes, a lot.\n\nQuestion: more?")
    assert (answer.state, answer.reason, answer.complete) == ("yes", "answer-line", True)
    assert (answer.thought, answer.answer_text) == ("I like **it**.", "Yes, a lot.")
    reasons = {
        "Answer: not at all": "negation",
        "Answer: of course": "affirmation",
        "Answer: It is late, so no": "closing-verdict",
        "Answer: oui": "other-language",
        "Answer: maybe": "hedge",
        "Answer: yes and no": "contradiction",
        "Answer: no?": "question",
        "Answer: I cannot answer": "refusal",
        "Answer: yes/no": "both",
        "Answer: blue": "no-verdict",
        "Answer:": "empty-answer",
        "no": "bare",
        "I am unable to respond.": "refusal",
        "No, you can't.": "sentence",
        "It is late. The answer is no.": "named-answer",
        "I like it": "no-answer-marker",
        "": "empty",
    }
    assert {text: parse_answer(text).reason for text in reasons} == reasons


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("No, you can't.", "no"),  # to "Can I …?": no refusal
        ("Yes, I do like it. It is good.", "yes"),
        ("Well, no, I would not.", "no"),
        ("Thought: Yes, I would say so", "yes"),
        ("Yes and no.", "unsure"),
        ("I like it. The answer is no.", "no"),
        ("I think about it.\nMy final answer would be yes, surely.", "yes"),
        ("No one should. I am sure.", "unparsed"),
        ("Some would say the answer is no.", "unparsed"),
        ("I doubt the answer is no.", "unparsed"),
        ("The answer to this classic question is no.", "no"),
        ("The answer to this question will depend on the weather.", "unsure"),
        ("I'm not sure.", "unsure"),
        ("I'm not sure what to do.", "unparsed"),
        ("Depending on the day, I go out.", "unparsed"),
        ("Absolutely. It is right.", "yes"),
        ("less angry more quickly.\n\nYes", "yes"),
        ("The answer is not simple.", "unparsed"),
        ("No, I cannot answer that.", "refused"),
    ],
)
def test_a_finished_text_without_marker_may_have_answered(text, state):
    assert parse_answer(text).state == state
    # A thought may begin like that, and the marker is still to come.
    assert parse_answer(text, finished=False).state == "unparsed" and not is_complete(text)
    assert parse_answer(text + "\nAnswer: maybe").state == "unsure"


@pytest.mark.parametrize("label", ["Question:", "**Question 2:**", "User:", "Human:", "The person:"])
@pytest.mark.parametrize(("before", "state"), [("I like it.", "unparsed"), ("No, I don't.", "no")])
def test_what_the_model_asks_itself_is_nobodys_answer(label, before, state):
    text = f" {before}\n\n{label} Do you like cats?\nThought: I do.\nAnswer: yes\n"
    answer = parse_answer(text)
    assert (answer.state, answer.complete) == (state, True)
    assert is_complete(text[: text.index(":") + 3])  # "**" may close the label
    assert marker_end(text) is None


def test_behind_a_marker_that_ends_the_prompt_the_answer_begins_at_once():
    for text, state in {
        " No.\n\nThis is why": "no",
        " No, it's not": "no",
        " I like it.": "unparsed",
    }.items():
        assert parse_answer(text, lead="answer").state == state
    assert is_complete(" No.", lead="answer") and not is_complete(" No.")
    assert is_complete("\nyes\n", lead="answer")
    # A thought of its own comes first all the same.
    assert parse_answer("\nThought: No, never.\nAnswer: yes", lead="answer").state == "yes"
    assert parse_answer(" yes\nQuestion: more?\nAnswer: no", lead="answer").state == "yes"


def test_an_open_turn_may_begin_with_its_answer():
    text = "No, you can't. They have to answer:\nYes"
    assert parse_answer(text, lead="open").answer_text == "No, you can't."
    assert is_complete(text[:14], lead="open") and not is_complete(text[:13], lead="open")
    # One that does not begin with it thinks first, as does one that says so.
    for thought in ("I like it.\nAnswer: no", "Thought: No, never. Yes.\nAnswer: no"):
        assert parse_answer(thought, lead="open").state == "no"
        assert not is_complete(thought[: thought.index("\n")], lead="open")
    # Where the prompt has begun the thought, only its marker decides.
    assert parse_answer("No, you can't.\nAnswer: yes", lead="thought").state == "yes"


@pytest.mark.parametrize(
    ("prompt", "lead"),
    [
        ("Question: Is it so?\nAnswer:", "answer"),
        ("…\n**Answer:** ", "answer"),
        ("Answer (yes or no):", "answer"),
        ("Answer: yes\nThought:", "thought"),
        ("**Thought:** ", "thought"),
        ("<|im_start|>assistant\n", "open"),
        ("", "open"),
    ],
)
def test_what_prompts_lead_to(prompt, lead):
    assert lead_of(prompt) == lead
    assert ends_in_marker(prompt) is (lead == "answer")


@pytest.mark.parametrize(
    ("answer", "never"),
    [
        ("I would not say yes.", "yes"), ("I wouldn't say no.", "no"), ("I don't want to say yes.", "yes"),
        ("I refuse to say yes.", "yes"), ("I would never say no.", "no"),
        ("I doubt the answer is yes.", "yes"), ("You could say, therefore yes.", "no"),
        ("It would be wrong to say no.", "no"), ("It would be dishonest to say yes.", "yes"),
        ("It isn't true that the answer is no.", "no"), ("I would not go so far as to say yes.", "yes"),
        ("I used to say no.", "no"), ("Others might say yes.", "yes"),
        ("My mother would answer yes.", "no"), ("If I were rich I would say yes.", "yes"),
    ],
)  # fmt: skip
def test_a_closing_verdict_that_is_turned_round_is_none(answer, never):
    assert parse_answer(f"Answer: {answer}").state != never


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("It is late, so no.", "no"),
        ("I love it, I would say yes", "yes"),
        ("After all I would say yes", "yes"),
        ("Care comes first, therefore the answer is no", "no"),
        ("I would not like that, so no", "no"),
    ],
)
def test_closing_verdicts(answer, state):
    assert parse_answer(f"Answer: {answer}").state == state


def test_an_unfinished_text_is_read_so_far():
    assert parse_answer("Answer: no", finished=False).state == "no"
    assert parse_answer("Answer: not sure", finished=False).state == "unsure"
    assert parse_answer("no", finished=False).state == "unparsed"  # a marker may still come


def test_spellings_are_one_answer_each():
    assert {parse_answer(f"Answer:{text}").state for text in YES_SPELLINGS} == {"yes"}
    assert {parse_answer(f"Answer:{text}").state for text in NO_SPELLINGS} == {"no"}


def test_log_odds_by_hand():
    # P(yes) = 0.3 + 0.1, P(no) = 0.2: odds 2, mass 0.6.
    odds, mass = log_odds([log(0.3), log(0.1)], [log(0.2)])
    assert odds == pytest.approx(log(2))
    assert mass == pytest.approx(0.6)
    assert log_odds([-1000.0], [-1001.0])[0] == pytest.approx(1.0)  # no underflow
    assert log_odds([-inf, log(0.5)], [-inf]) == (inf, pytest.approx(0.5))
    assert log_odds([-inf], []) == (None, 0.0)
    with pytest.raises(RunError, match="NaN"):
        log_odds([0.0, float("nan")], [0.0])


@given(LOGS, LOGS)
def test_log_odds_against_plain_sums(yes, no):
    odds, mass = log_odds(yes, no)
    assert odds == pytest.approx(log(sum(map(exp, yes))) - log(sum(map(exp, no))), abs=1e-9)
    assert mass == pytest.approx(sum(map(exp, [*yes, *no])))
    assert log_odds(no, yes)[0] == pytest.approx(-odds)


def test_logprob_states():
    assert logprob_state(2.0, 0.9) == "yes"
    assert logprob_state(-2.0, 0.9) == "no"
    assert logprob_state(0.0, 0.9) == "unsure"
    assert logprob_state(2.0, 0.49) == "unparsed"
    assert logprob_state(2.0, 0.5) == "yes"
    assert logprob_state(2.0, 0.49, mass_threshold=0.4) == "yes"
    assert logprob_state(None, 1.0) == "unparsed"

"""Answers: what a generated text says (yes, no, unsure, refused, unparsed) and when generation may stop.

The text is that which follows the prompt: a thought, then `Answer:` and the answer (DESIGN 5). The deciding
segment is cut out first: it begins after the first `Answer:` marker (markdown, a repeated marker and white
space are skipped, so the content may stand on the next line) and ends at a newline, at a sentence end, or
where a new `Answer:`, `Question:` or `Thought:` begins. Whether a character ends the segment depends on the
text up to that character only; so nothing generated later can change an answer that was complete, and
stopping early gives the same state as reading on. The segment alone is then judged
(engine.answers.classification).

What the prompt ends in (`Lead`) decides where the answer may lie. Behind `Thought:` a thought comes first,
and may well begin with yes or no: only the marker decides as long as one may come. Behind `Answer:` the
answer is the beginning of the text. Behind anything else (the turn of an assistant) a first sentence that
begins with yes or no is the answer ("No, you can't."), else the marker decides.

A text that goes on with a question of its own invention ("Question: …", "User: …" on a new line) ends there:
what the model asks itself and answers is nobody's answer. A text that has come to its end without a marker
may have answered all the same: by a sentence that begins with yes or no or is nothing but a doubt, or by one
that names the answer ("The answer to this question is no.").

Decided here, where a reader could wonder:

- A first sentence without content of its own ("Well.", "I'm sorry.", an echoed question) does not end the
  segment. A full stop after a digit, a single letter or an abbreviation is no sentence end; an ellipsis is.
- "yes or no", "yes/no" repeat the instruction: unparsed ("both"). "yes and no", "no, but yes": unsure
  ("contradiction"). "Yes, it depends", "No, I'm not sure", "yes?": unsure. "Yes, sometimes": yes.
- "probably not" is no, "probably yes" and "I think so" are yes, "probably" alone is unsure, "maybe yes" too.
- A refusal to answer is refused even after "yes" or "no" ("No, I cannot answer that").
- Other languages count only as the whole answer: yes = sí si sì sim oui ja da да 是 是的 はい, no = non nein
  não nej net нет 不 不是 否 いいえ. Everything else in other languages is unparsed.
- An answer without yes or no that would need the question to be understood ("I like it") is unparsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isnan, log
from typing import Literal

from axiograph.engine.answers.classification import (
    TAG,
    TURNED,
    begins_with_verdict,
    is_doubt,
    judge,
    leads_in,
    normal,
    refuses,
)
from axiograph.engine.answers.thinking import Thinking
from axiograph.engine.errors import RunError

Lead = Literal["thought", "answer", "open"]
UNFINISHED, UNCLOSED = "unfinished", "unclosed-thought"
# chosen: an option of a scale; unfinished: a thought that came to no end.
STATES = ("yes", "no", "chosen", "unsure", "refused", "unparsed", UNFINISHED)
# Part of the request's identity: raise it when texts that are stored could not be read as those that would be
# generated today. A rule that only stops earlier, or reads more, raises the version of reading alone.
STOP_RULES_VERSION = 1
READING_VERSION = 2  # answers that older rules have read are judged again (engine.runs.rereading)
MASS_THRESHOLD = 0.5
YES_SPELLINGS = ("yes", " yes", "Yes", " Yes", "YES", " YES")
NO_SPELLINGS = ("no", " no", "No", " No", "NO", " NO")


@dataclass(frozen=True)
class Answer:
    """What a text says.

    state: one of STATES; reason: the rule that decided (a short fixed code); complete: no further
    text could change the state; thought: what stands before the marker, or between the tags of a thought;
    answer_text: the segment that was judged; position: of the chosen option, as they were shown.
    """

    state: str
    reason: str
    complete: bool
    thought: str
    answer_text: str
    position: int | None = None


_NEWLINES = "\n\r\v\f\x85\u2028\u2029"
_STOPS = ".!?…。！？।؟"
_COLONS = ":：=＝"
_MARKS = re.escape("*_~`\"'“”‘’«»„‹›()[]{}<>#|\\/-–—•·,;.!?…" + _COLONS)
# No colon, newline or sentence end inside the parenthesis: else a later ")" could move the marker.
_CHOICES = rf"(?:[ \t]*[(\[][^)\]{re.escape(_NEWLINES + _STOPS + _COLONS)}]{{0,40}}[)\]])?"
_ANSWER = rf"(?<![A-Za-z0-9])answer{_CHOICES}[ \t*_`\"']*(?:is[ \t*_`\"']*)?[{_COLONS}]"
_MARKER = re.compile(rf"{_ANSWER}|^[ \t*_`#>]*answer[ \t*_`]*(?:[ \t][-–]|—)", re.IGNORECASE | re.MULTILINE)
_LEAD_IN = r"(?:(?:so|and|my|the|final|correct|short)[ \t]+){0,4}"
_SKIP = re.compile(rf"(?:{TAG}|{_LEAD_IN}{_ANSWER}|[\s{_MARKS}])*", re.IGNORECASE)
_LABEL = re.compile(rf"{_ANSWER}|(?<![A-Za-z0-9])(?:question|thought)[ \t*_`]*[:：]", re.IGNORECASE)
# A question that the model asks itself, on a line of its own behind what it said before.
_INVENTED = re.compile(
    rf"(?<=\S)(?P<line_end>\s*[{re.escape(_NEWLINES)}])[ \t*_#>]*(?:example[ \t]*\d*[.:]?[ \t]*)?"
    r"(?:question|q|the[ \t]person|user|human)[ \t]*\d*[ \t*_]*[:：]",
    re.IGNORECASE,
)
_THOUGHT_LABEL = re.compile(r"(?<![A-Za-z0-9])thought[ \t*_`]*[:：][\s*_`\"']*\Z", re.IGNORECASE)
_OWN_THOUGHT = re.compile(r"[\s*_`#]*thought[ \t*_`]*[:：]", re.IGNORECASE)
# A sentence that names the answer, near its beginning: "some people would say the answer is no" is none.
_NAMED = re.compile(
    r"(?:^|(?<=[.!?\n\r]))[\s*_`]*(?P<before>(?:[\w']+[ ,]+){0,3})answer"
    r"(?:[ \t]+to(?:[ \t]+[\w']+){1,4})?[ \t]+"
    r"(?:is|would[ \t]+be|should[ \t]+be)(?:[ \t]+an?)?[ \t:,*_`\"'“”]*(?=(?:yes|no)(?![\w'’-]))",
    re.IGNORECASE,
)
_STOP_OR_LABEL = re.compile(rf"[{re.escape(_NEWLINES + _STOPS)}]|{_LABEL.pattern}", re.IGNORECASE)
_ABBREVIATION = re.compile(
    r"(?:\d|(?<![^\W_])(?<!['’])[a-z]|\b(?:mr|mrs|ms|dr|st|vs|etc|prof|sr|jr|approx|eg|ie))\Z", re.IGNORECASE
)
_CHECKED = frozenset(_NEWLINES + _STOPS + _COLONS + "\ufffd")
_MARKER_ENDS = frozenset("-–—" + _COLONS + "\ufffd")


@dataclass(frozen=True)
class Segment:
    """The judged part of a text: text[start:end]; `closed` if it ended by a rule and not with the text."""

    marker: int
    start: int
    end: int
    closed: bool


def segment_of(text: str, lead: Lead, is_verdict: Callable[[str], bool] | None = None) -> Segment | None:
    """The deciding segment: behind the first marker, or, by the prompt's end, at the beginning; None where
    there is neither. `text` ends where the model asks itself a question; `is_verdict` says whether a sentence
    that no marker announces is an answer all the same (by default: yes or no)."""
    if lead != "thought" and not _OWN_THOUGHT.match(text):
        first = _closed_at(text, 0, _skip(text, 0))
        if lead == "answer" or (first.closed and (is_verdict or _is_verdict)(text[first.start : first.end])):
            return first
    marker = _MARKER.search(text)
    return None if marker is None else _closed_at(text, marker.start(), _skip(text, marker.end()))


def _is_verdict(sentence: str) -> bool:
    """Whether a sentence that no marker announces is an answer all the same."""
    state, reason = judge(sentence)
    if reason in ("answer-line", "contradiction", "hedge") and begins_with_verdict(sentence):
        return True
    if state in ("yes", "no") and reason in ("affirmation", "negation"):
        return True
    return is_doubt(sentence)


def _closed_at(text: str, marker: int, start: int) -> Segment:
    """The segment from `start` to where a rule closes it, or to the end of the text."""
    position = start
    while stop := _STOP_OR_LABEL.search(text, position):
        position = stop.end()
        if stop.start() == start:  # "Question:" as content
            continue
        if len(stop.group()) > 1:
            return Segment(marker, start, stop.start(), closed=True)
        if stop.group() in _NEWLINES:
            return Segment(marker, start, stop.start(), closed=True)
        if stop.group() == "." and _ABBREVIATION.search(text[max(start, stop.start() - 8) : stop.start()]):
            continue
        if _LABEL.match(text, start) or not leads_in(text[start : stop.end()]):
            return Segment(marker, start, stop.end(), closed=True)
        start = position = _skip(text, stop.end())
    return Segment(marker, start, len(text), closed=False)


def to_invented_question(text: str) -> tuple[str, bool]:
    """`text` up to the line of a question that the model asks itself, and whether there is one. The end of
    the line before, which may have closed an answer, belongs to it."""
    question = _INVENTED.search(text)
    return (text, False) if question is None else (text[: question.end("line_end")], True)


def _skip(text: str, position: int) -> int:
    skipped = _SKIP.match(text, position)
    return skipped.end() if skipped else position


def marker_end(text: str) -> int | None:
    """Where the first answer marker ends, or None without one."""
    marker = _MARKER.search(to_invented_question(text)[0])
    return None if marker is None else marker.end()


def lead_of(prompt: str) -> Lead:
    """What a prompt leads to by its end."""
    if ends_in_marker(prompt):
        return "answer"
    return "thought" if _THOUGHT_LABEL.search(prompt[-200:]) else "open"


def ends_in_marker(prompt: str) -> bool:
    """Whether a prompt ends in an answer marker, so that the answer follows it at once."""
    tail = prompt.rstrip(" \t\r\n*_`\"'")[-200:]
    return any(marker.end() == len(tail) for marker in _MARKER.finditer(tail))


def is_complete(text: str, lead: Lead = "thought") -> bool:
    """Whether generation may stop: the first answer has ended, and no further text can change its state."""
    text, ended = to_invented_question(text)
    segment = segment_of(text, lead)
    return ended or (segment is not None and segment.closed)


def needs_check(token_text: str) -> bool:
    """Whether appending this piece of text can have completed the answer; False only where it cannot have.

    U+FFFD (part of a character that several tokens make up) counts as possible.
    """
    return not _CHECKED.isdisjoint(token_text)


def can_end_marker(token_text: str) -> bool:
    """Whether an answer marker can end in this piece of text: a text without such pieces has none. U+FFFD as
    in `needs_check`."""
    return not _MARKER_ENDS.isdisjoint(token_text)


def behind_thought(text: str, thinking: Thinking, read: Callable[[str], Answer]) -> Answer:
    """What `read` makes of the text behind the last thought; unfinished inside one (unclosed-thought)."""
    start = thinking.answer_start(text)
    if start is None:
        return Answer(UNFINISHED, UNCLOSED, False, thinking.thought(text), "")
    answer = read(text[start:])
    return replace(answer, thought=thinking.thought(text[:start])) if start else answer


def parse_answer(
    text: str, finished: bool = True, lead: Lead = "thought", thinking: Thinking | None = None
) -> Answer:
    """Read a generated text; `finished` says that nothing follows (end of sequence, or the token limit),
    `lead` what the prompt ends in. Of a model that is `thinking`, what stands behind its thought is read.

    Reasons: answer-line, negation, affirmation, closing-verdict, other-language (yes and no); hedge,
    contradiction, question (unsure); refusal (refused); both, no-verdict, empty-answer (unparsed); and for
    texts without a marker bare, sentence, named-answer (yes, no, unsure), refusal, no-answer-marker, empty.
    """
    if thinking is not None:
        return behind_thought(text, thinking, lambda answer: parse_answer(answer, finished, lead))
    text, ended = to_invented_question(text)
    segment = segment_of(text, lead)
    if segment is None:
        return _unmarked_answer(text, finished or ended)
    answer_text = text[segment.start : segment.end].strip()
    if not answer_text and (finished or ended) and not segment.closed:
        return _unmarked_answer(text[: segment.marker], finished=True, otherwise="empty-answer")
    state, reason = judge(answer_text)
    complete = finished or ended or segment.closed
    return Answer(state, reason, complete, thought_text(text[: segment.marker]), answer_text)


def thought_text(text: str) -> str:
    """The text before the marker, without its own label and markdown."""
    without = re.sub(r"\A[\s*_`#]*thought[\s*_`]*[:：]", "", text, flags=re.IGNORECASE)
    return without.strip(" \t\r\n*_`#")


def _unmarked_answer(text: str, finished: bool, otherwise: str = "no-answer-marker") -> Answer:
    """A text without a marker: it counts, once it is finished, if the whole of it is a yes or a no, if a
    sentence begins with one, or names the answer, or is nothing but a doubt; or if it refuses."""
    if not finished:
        return Answer("unparsed", otherwise, False, thought_text(text), "")
    line = normal(text)
    if not line:
        return Answer("unparsed", "empty" if otherwise == "no-answer-marker" else otherwise, True, "", "")
    if len(set(line.replace(",", " ").split())) == 1:
        state, reason = judge(text)
        if reason in ("answer-line", "other-language"):
            return Answer(state, "bare", True, thought_text(text), text.strip())
    for number, (start, sentence) in enumerate(sentences_of(text)):
        named = _NAMED.match(sentence)
        if named and not TURNED.search(normal(named["before"])):
            return Answer(
                judge(sentence[named.end() :])[0], "named-answer", True, thought_text(text[:start]), sentence
            )
        if begins_with_verdict(sentence) if number else _is_verdict(sentence):
            return Answer(judge(sentence)[0], "sentence", True, thought_text(text[:start]), sentence)
    if refuses(line):
        return Answer("refused", "refusal", True, thought_text(text), "")
    return Answer("unparsed", otherwise, True, thought_text(text), "")


def sentences_of(text: str) -> Iterator[tuple[int, str]]:
    """(where it begins, sentence) of every sentence with content of its own, without a label before the
    first ("Thought:")."""
    label = _OWN_THOUGHT.match(text)
    position = label.end() if label else 0
    while (start := _skip(text, position)) < len(text):
        segment = _closed_at(text, start, start)
        yield segment.start, text[segment.start : segment.end].strip()
        position = max(segment.end, start + 1)


def log_odds(logp_yes: Sequence[float], logp_no: Sequence[float]) -> tuple[float | None, float]:
    """(log P(yes) − log P(no), P(yes) + P(no)), natural logarithm, each summed over its spellings (DESIGN 6).

    Give the log-probability of each different token sequence once (two spellings may share one). −inf is a
    probability of 0; where both sums are 0 the log-odds do not exist: (None, 0.0). Raises RunError for NaN.
    """
    yes, no = logsumexp(logp_yes), logsumexp(logp_no)
    if isnan(yes) or isnan(no):
        remedy = "Check the model's numbers: half precision can overflow, so try float32 or bfloat16."
        raise RunError("log-odds of an answer", "log-probabilities", "NaN", remedy)
    mass = exp(yes) + exp(no)
    return (None if yes == no == -inf else yes - no), mass


def logprob_state(odds: float | None, mass: float, mass_threshold: float = MASS_THRESHOLD) -> str:
    """The state in logprob mode: unparsed below the threshold, else by sign (unsure at exactly even odds)."""
    if odds is None or mass < mass_threshold:
        return "unparsed"
    return "unsure" if odds == 0 else "yes" if odds > 0 else "no"


def logsumexp(logs: Sequence[float]) -> float:
    """log Σ exp; −inf for none, NaN where one is."""
    if len(logs) == 1:
        return logs[0]
    top = max(logs, default=-inf)
    if any(isnan(value) for value in logs):
        return float("nan")
    return top if top == -inf else top + log(sum(exp(value - top) for value in logs))

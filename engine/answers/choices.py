"""Choices: which option of a scale a generated text names.

The deciding segment is that of engine.answers.parsing; here it is judged against the options as they were
shown: by their marks (numbers or letters), where they had some, and by their labels. Decided here:

- A label counts as a whole, the longest first ("Agree strongly" before "Agree"), in either order of two words
  ("strongly agree"), whatever the case. "not" before it is no option: unparsed ("negated").
- "4/5", "4 out of 5", "4 - Agree", "a 4", "(b)", "B. Agree", "four" name one option. A mark and a label of
  different options contradict each other: unsure. "3 or 4", "between 3 and 4", "3.5": unsure ("several").
- Where no marks were shown a number is none. A number that no option has: unparsed ("out-of-range").
- "maybe 4" is unsure, "I guess 4", "probably 4" are 4. Refusals come first, as for yes and no.
- A label in another language than the one that was shown is unparsed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache

from axiograph.engine.answers.classification import (
    HEDGE,
    OPENING,
    REFUSAL,
    STRONG_REFUSAL,
    normal,
    refuses,
)
from axiograph.engine.answers.parsing import (
    Answer,
    Lead,
    behind_thought,
    segment_of,
    sentences_of,
    thought_text,
    to_invented_question,
)
from axiograph.engine.answers.thinking import Thinking

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER = r"-?\d+"
_BEFORE_MARK = (
    r"(?:^|(?:\b(?:say|choose|chose|choice|pick|select|rate|rating|score|give|given|answer|option|number|with|"
    r"is|be|it|this|that|a|an|at|as|to|statement|between|either|from|or|and|/))(?: ,)? )"
    r"(?:it )?(?:as )?(?:an? )?(?:\w+ly )?(?:solid |strong |firm )?"
)
_NOT = re.compile(r"\b(?:not|never|hardly|cannot|nor)(?: \w+){0,2} $")
_DECIMAL = re.compile(r"\d[.,]\d")
_RANGE = re.compile(r"(\d+)\s*(?:[-–—~]|to\b|through\b)\s*(\d+)", re.IGNORECASE)
_LETTERS = re.compile(
    r"(?:(?:i (?:would )?(?:choose|pick|say|select)|the answer is|my answer is|it is|it's|between)\s+)?"
    r"[\s*_(\[\"'`]*(?:(?:option|answer|letter|choice)s?\s*[:(]?\s*)?[*_(\[\"'`]*([A-Za-z])[*_\"'`)\]]*"
    r"(?:\s*(?:\b(?:or|and|to)\b|[/&–-])\s*[*_(\[\"'`]*([A-Za-z])(?![\w'’])"
    r"|(?=\s*(?:$|[.:,;/–—-]))|(?<=[)\]]))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Options:
    """Options in the order in which they were shown: their labels, and their marks (numbers or letters) where
    they had some."""

    labels: tuple[str, ...]
    marks: tuple[str, ...] = ()

    @property
    def has_numbers(self) -> bool:
        return bool(self.marks) and all(re.fullmatch(_NUMBER, mark) for mark in self.marks)

    @cached_property
    def phrases(self) -> list[tuple[str, int]]:
        """(words, position) by which an option is named, longest first."""
        named: dict[str, int] = {}
        for position, label in enumerate(self.labels):
            words = normal(label).replace(" ,", "").split()
            if self.has_numbers and " ".join(words).isdigit():
                continue  # a number is read as a mark: "7 out of 10"
            for phrase in [words, words[::-1]] if len(words) == 2 else [words]:
                named.setdefault(" ".join(phrase), position)
        return sorted(((text, at) for text, at in named.items() if text), key=lambda pair: -len(pair[0]))


def parse_choice(
    text: str,
    options: Options,
    finished: bool = True,
    lead: Lead = "thought",
    thinking: Thinking | None = None,
) -> Answer:
    """Read a generated text as engine.answers.parsing.parse_answer does, against `options`.

    Reasons: mark, label, mark-and-label (chosen); several, contradiction, hedge (unsure); refusal (refused);
    negated, out-of-range, no-option, empty-answer (unparsed); for texts without a marker bare, sentence
    (chosen), refusal, no-answer-marker, empty."""
    if thinking is not None:
        return behind_thought(text, thinking, lambda answer: parse_choice(answer, options, finished, lead))
    text, ended = to_invented_question(text)
    segment = segment_of(text, lead, lambda sentence: _begins_with_option(sentence, options))
    if segment is None:
        return _unmarked(text, options, finished or ended)
    start = segment.start
    if (
        options.has_numbers
        and re.search(r"(?<!\d)[-−]\Z", text[:start])
        and text[start : start + 1].isdigit()
    ):
        start -= 1  # a sign, which is skipped before words
    answer_text = text[start : segment.end].strip()
    state, reason, position = judge_choice(answer_text, options)
    complete = finished or ended or segment.closed
    return Answer(state, reason, complete, thought_text(text[: segment.marker]), answer_text, position)


def _unmarked(text: str, options: Options, finished: bool) -> Answer:
    """A text without a marker: it counts, once it is finished, where a sentence begins with an option."""
    if not finished:
        return Answer("unparsed", "no-answer-marker", False, thought_text(text), "")
    line = normal(text)
    if not line:
        return Answer("unparsed", "empty", True, "", "")
    for start, sentence in sentences_of(text):
        if _begins_with_option(sentence, options):
            _, _, position = judge_choice(sentence, options)
            reason = "bare" if sentence.strip() == text.strip() else "sentence"
            return Answer("chosen", reason, True, thought_text(text[:start]), sentence, position)
    if refuses(line):
        return Answer("refused", "refusal", True, thought_text(text), "")
    return Answer("unparsed", "no-answer-marker", True, thought_text(text), "")


def _begins_with_option(sentence: str, options: Options) -> bool:
    """Whether a sentence is an option, perhaps with its mark, and begins with it."""
    if judge_choice(sentence, options)[0] != "chosen":
        return False
    line = _line(sentence)
    if options.marks and _mark_first(sentence, line, options) is not None:
        return True
    return any(line == text or line.startswith(f"{text} ,") for text, _ in options.phrases)


@lru_cache(maxsize=256)
def judge_choice(segment: str, options: Options) -> tuple[str, str, int | None]:
    """(state, reason, position of the option) of an answer segment; the codes are those of parse_choice."""
    line = _line(segment)
    if not line:
        return "unparsed", "empty-answer", None
    if STRONG_REFUSAL.search(normal(segment)):
        return "refused", "refusal", None
    labels, rest, negated = _labels_in(line, options)
    marks, strange = _marks_in(segment, rest, options)
    chosen = labels | marks
    if not chosen:
        return _nothing_named(line, negated, strange)
    if len(chosen) > 1:
        return "unsure", "several" if len(labels) > 1 or len(marks) > 1 else "contradiction", None
    if HEDGE.search(rest):
        return "unsure", "hedge", None
    if strange:
        return "unparsed", "out-of-range", None
    reason = "mark-and-label" if labels and marks else "mark" if marks else "label"
    return "chosen", reason, next(iter(chosen))


def _line(segment: str) -> str:
    """The plain words of a segment, without "well", "I would say" and the like before them."""
    line = normal(segment)
    opening = OPENING.match(line)
    return line[opening.end() :] if opening and opening.end() < len(line) else line


def _nothing_named(line: str, negated: bool, strange: bool) -> tuple[str, str, None]:
    if REFUSAL.search(line):
        return "refused", "refusal", None
    if strange:
        return "unparsed", "out-of-range", None
    if negated:
        return "unparsed", "negated", None
    if HEDGE.search(line):
        return "unsure", "hedge", None
    return "unparsed", "no-option", None


def _labels_in(line: str, options: Options) -> tuple[set[int], str, bool]:
    """(positions of the labels in a line, the line with these taken out, whether one stands behind "not")."""
    positions: set[int] = set()
    negated = False
    for text, position in options.phrases:
        pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)".replace(r"\ ", r"(?: ,)? "))
        while match := pattern.search(line):
            if _NOT.search(line[: match.start()]):
                negated = True
            else:
                positions.add(position)
            line = f"{line[: match.start()]}\ufffc{line[match.end() :]}"
    return positions, line.replace("\ufffc", "·"), negated


def _marks_in(segment: str, line: str, options: Options) -> tuple[set[int], bool]:
    """(positions of the marks that are named, whether a number is that no option has)."""
    if not options.marks:
        return set(), False
    if options.has_numbers:
        return _numbers_in(segment, line, options)
    letters = _letters(segment)
    marks = [mark.upper() for mark in options.marks]
    return {marks.index(letter) for letter in letters if letter in marks}, not letters <= set(marks)


def _letters(segment: str) -> set[str]:
    """The letters that a segment begins with as names of options: "B", "(b)", "B. Agree", "A or B"."""
    named = _LETTERS.match(unicodedata.normalize("NFKC", segment).strip())
    return set() if named is None else {letter.upper() for letter in named.groups() if letter}


def _numbers_in(segment: str, line: str, options: Options) -> tuple[set[int], bool]:
    codes = {int(mark): position for position, mark in enumerate(options.marks)}
    whole_scale = rf"\b(?:on|in) (?:a|the) scale (?:of|from) {min(codes)}(?: to |\s*[-–—]\s*){max(codes)}\b"
    text = re.sub(whole_scale, "", unicodedata.normalize("NFKC", segment), flags=re.IGNORECASE)
    if _DECIMAL.search(text):
        return set(codes.values()), False  # between two of them
    if spread := _RANGE.search(text):
        named = [int(number) for number in spread.groups()]
        return {codes[n] for n in named if n in codes}, any(n not in codes for n in named)
    words = "|".join(_WORDS)
    line = re.sub(rf"\b(?:{words})\b", lambda word: str(_WORDS.index(word[0])), line)
    # "4 / 5" and "4 out of 5": the second is how many there are.
    line = re.sub(
        rf"({_NUMBER}) (?:/|out of|of|on a scale of|from) (?:1 (?:to|,) )?{max(codes)}\b", r"\1", line
    )
    line = re.sub(rf"(?:on|in) (?:a|the) scale (?:of|from) {min(codes)} (?:to|,) {max(codes)}", "", line)
    line = line.strip(" ,")
    if any(code < 0 for code in codes):
        line = _with_signs(text, line)
    named = [int(match[1]) for match in re.finditer(rf"{_BEFORE_MARK}({_NUMBER})(?!\w)", line)]
    return {codes[n] for n in named if n in codes}, any(n not in codes for n in named)


def _with_signs(text: str, line: str) -> str:
    """`line` with the signs of numbers, which `normal` makes pauses of."""
    for number in re.findall(r"(?<![\w.])[-−](\d+)", text):
        line = re.sub(rf"(?:, )?(?<![\w-]){number}(?!\w)", f"-{number}", line, count=1)
    return line


def _mark_first(segment: str, line: str, options: Options) -> int | None:
    """The position of the option whose mark a segment begins with."""
    if not options.has_numbers:
        marks = [mark.upper() for mark in options.marks]
        return next((marks.index(letter) for letter in _letters(segment) if letter in marks), None)
    number = re.match(rf"({_NUMBER})(?!\w)", line)
    return options.marks.index(number[1]) if number and number[1] in options.marks else None

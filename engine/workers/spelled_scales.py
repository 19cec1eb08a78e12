"""Answer scales as a model's tokenizer spells them, and what would make a spelling another answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from axiograph.engine.errors import RunError
from axiograph.engine.prompting.options import Order, ShownScale

TokenIds = tuple[int, ...]
DIGITS = "0123456789"


@dataclass(frozen=True)
class SpelledScale:
    """A scale as a model's tokenizer spells it. `spellings`: of every answer text (label, number or letter).
    `goes_on`: the tokens with which a spelling would become another answer."""

    shown: ShownScale
    spellings: Mapping[str, tuple[TokenIds, ...]]
    goes_on: Mapping[TokenIds, tuple[int, ...]]

    def of(self, order: Order) -> list[tuple[TokenIds, ...]]:
        """Of every option of the file, in its order, the spellings."""
        return [self.spellings[text] for text in self.shown.answers(order)]


def spelled_scale(shown: ShownScale, continuation: Callable[[str], list[int]]) -> SpelledScale:
    """`continuation`: the token ids of a text as it follows the answer cue."""
    options = range(len(shown.scale.labels))
    texts = tuple(dict.fromkeys(shown.answers(tuple(options))))
    spellings = {text: _spellings(text, continuation) for text in texts}
    everything = [ids for forms in spellings.values() for ids in forms]
    goes_on: dict[TokenIds, set[int]] = {}
    spelled_digits = [continuation(digit) for digit in DIGITS]
    digits = {spelled[0] for spelled in spelled_digits if len(spelled) == 1}
    longest = max(map(len, texts))
    for text, forms in spellings.items():
        others = [ids for other in texts if other != text for ids in spellings[other]]
        for ids in forms:
            following = {o[len(ids)] for o in others if len(o) > len(ids) and o[: len(ids)] == ids}
            if text.isdigit() and longest > 1:
                following |= digits
            if following:
                goes_on[ids] = following
    _refuse_ambiguous(shown, everything)
    return SpelledScale(shown, spellings, {ids: tuple(sorted(tokens)) for ids, tokens in goes_on.items()})


def _spellings(text: str, continuation: Callable[[str], list[int]]) -> tuple[TokenIds, ...]:
    """Of a text with and without a space before it, as written, in small letters, with a capital first
    one."""
    forms = dict.fromkeys((text, text.lower(), text[:1].upper() + text[1:]))
    every = {tuple(continuation(space + form)) for form in forms for space in ("", " ")}
    # One that continues another of the same answer is part of that one's probability.
    return tuple(sorted(ids for ids in every if not any(o != ids and ids[: len(o)] == o for o in every)))


def _refuse_ambiguous(shown: ShownScale, everything: Sequence[TokenIds]) -> None:
    if len(set(everything)) < len(everything):
        raise RunError(
            f"scale '{shown.scale.name}'",
            "options that the model's tokenizer spells differently",
            "two that are spelled alike",
            "Show them by numbers or letters (answers.show).",
        )

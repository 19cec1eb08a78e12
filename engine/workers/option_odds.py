"""The options of an answer scale by their probabilities: spellings, the rule, and the columns of a response.

P(option) is the sum over its spellings of P(spelling) by the chain rule. A spelling that another option or a
longer number begins with ("1" and "10", "Agree" and "Agree strongly") counts as far as neither goes on: its
probability is multiplied by 1 − P(a token that would go on).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from axiograph.engine.answers.parsing import logsumexp
from axiograph.engine.errors import RunError
from axiograph.engine.prompting.options import Order, ShownScale
from axiograph.engine.workers.log_odds import LogOdds, Logps, Readout, Spelling

if TYPE_CHECKING:
    from axiograph.engine.workers.worker import Request, WorkerConfig

DIGITS = "0123456789"


@dataclass(frozen=True)
class SpelledScale:
    """A scale as a model's tokenizer spells it. `spellings`: of every answer text (label, number or letter).
    `goes_on`: the tokens with which a spelling would become another answer."""

    shown: ShownScale
    spellings: Mapping[str, tuple[Spelling, ...]]
    goes_on: Mapping[Spelling, tuple[int, ...]]

    def of(self, order: Order) -> list[tuple[Spelling, ...]]:
        """Of every option of the file, in its order, the spellings."""
        return [self.spellings[text] for text in self.shown.answers(order)]


def spelled_scale(shown: ShownScale, continuation: Callable[[str], list[int]]) -> SpelledScale:
    """`continuation`: the token ids of a text as it follows the answer cue."""
    options = range(len(shown.scale.labels))
    texts = tuple(dict.fromkeys(shown.answers(tuple(options))))
    spellings = {text: _spellings(text, continuation) for text in texts}
    everything = [ids for forms in spellings.values() for ids in forms]
    goes_on: dict[Spelling, set[int]] = {}
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


def _spellings(text: str, continuation: Callable[[str], list[int]]) -> tuple[Spelling, ...]:
    """Of a text with and without a space before it, as written, in small letters, with a capital first
    one."""
    forms = dict.fromkeys((text, text.lower(), text[:1].upper() + text[1:]))
    every = {tuple(continuation(space + form)) for form in forms for space in ("", " ")}
    # One that continues another of the same answer is part of that one's probability.
    return tuple(sorted(ids for ids in every if not any(o != ids and ids[: len(o)] == o for o in every)))


def _refuse_ambiguous(shown: ShownScale, everything: Sequence[Spelling]) -> None:
    if len(set(everything)) < len(everything):
        raise RunError(
            f"scale '{shown.scale.name}'",
            "options that the model's tokenizer spells differently",
            "two that are spelled alike",
            "Show them by numbers or letters (answers.show).",
        )


class OptionOdds(Readout):
    """The options of a scale in the order in which one request shows them."""

    def __init__(self, scale: SpelledScale, order: Order, mass_threshold: float) -> None:
        super().__init__(scale.of(order), scale.goes_on)
        self._order, self._mass_threshold = order, mass_threshold

    def columns(self, read: Logps) -> dict[str, Any]:
        logs = [logsumexp(spelled) for spelled in self.spelled(read)]
        if any(math.isnan(value) for value in logs):
            remedy = "Check the model's numbers: half precision can overflow, so try float32 or bfloat16."
            raise RunError("probabilities of an answer", "log-probabilities", "NaN", remedy)
        probabilities = [math.exp(value) for value in logs]
        mass = math.fsum(probabilities)
        known = mass > 0 and mass >= self._mass_threshold
        shares = [p / mass for p in probabilities if p > 0] if mass > 0 else []
        return {
            "state": "chosen" if known else "unparsed",
            "reason": "probabilities" if known else "low-mass",
            "text": "",
            "answer_ids": [],
            "finish": "scored",
            "mass": mass,
            "new_tokens": 0,
            "fallback": False,
            "chosen": probabilities.index(max(probabilities)) if known else None,
            "probabilities": probabilities,
            "entropy": -math.fsum(p * math.log(p) for p in shares) if shares else None,
            "order": list(self._order),
        }


class Readouts:
    """What is read behind the prompt of a request: yes and no, or the options of its scale."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._scales: dict[tuple[str, Order], Readout] = {}

    @cached_property
    def _yes_no(self) -> Readout:
        return LogOdds(self._config)

    def __call__(self, row: Request) -> Readout:
        if not row.scale:
            return self._yes_no
        key = row.scale, tuple(row.order)
        if key not in self._scales:
            threshold = self._config.mass_threshold
            self._scales[key] = OptionOdds(self._config.scales[row.scale], key[1], threshold)
        return self._scales[key]


def most_read_at_once(config: WorkerConfig) -> int:
    """Of how many tokens log-probabilities may be asked behind one prompt; at least 20."""
    readouts = [Readout(tuple(scale.spellings.values()), scale.goes_on) for scale in config.scales.values()]
    counts = [len(readout.first_tokens) for readout in readouts]
    counts += [len(tokens) for scale in config.scales.values() for tokens in scale.goes_on.values()]
    return max(20, *counts, 20)

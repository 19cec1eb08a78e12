"""How a prompt shows the options of a scale: under which marks, in which order, and what it asks for.

Numbers belong to the options, whatever the order (they are the inventory's codes); letters belong to the
places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

from axiograph.engine.answers.choices import Options
from axiograph.engine.identity import digest, digest_text
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.schema import AnswersSpec
from axiograph.engine.study.split import rank

Show = Literal["labels", "numbers", "letters"]
Order = tuple[int, ...]  # at every place that is shown, the option's position in the file
GIVEN, REVERSED, SHUFFLED = "given", "reversed", "shuffled"
_ASKED_FOR = {
    "labels": "one of these options, word for word",
    "numbers": "the number of one of these options",
    "letters": "the letter of one of these options",
}


@dataclass(frozen=True)
class ShownScale:
    """A scale as prompts show it."""

    scale: Scale
    show: Show

    @property
    def digest(self) -> bytes:
        """Over what makes a prompt's options, but for their order."""
        return digest(self.scale.digest, digest_text(self.show))

    def marks(self, order: Order) -> tuple[str, ...]:
        """What names the option at every place, apart from its label; empty where labels are the answers."""
        if self.show == "labels":
            return ()
        codes = [self.scale.codes[option] for option in order]
        return tuple(codes) if self.show == "numbers" else tuple(ascii_uppercase[: len(order)])

    def options(self, order: Order) -> Options:
        """As engine.answers.choices reads answers to them."""
        return Options(tuple(self.scale.labels[option] for option in order), self.marks(order))

    def lines(self, order: Order) -> str:
        """The options as lines of a prompt."""
        options = self.options(order)
        marks = [f"{mark}." for mark in options.marks] or ["-"] * len(order)
        return "\n".join(f"{mark} {label}" for mark, label in zip(marks, options.labels, strict=True))

    @property
    def asked_for(self) -> str:
        """What the answer should be, in words for the prompt."""
        return _ASKED_FOR[self.show]

    def answers(self, order: Order) -> tuple[str, ...]:
        """For every option of the file, in its order, the text that an answer is in this order of showing."""
        if self.show == "labels":
            return self.scale.labels
        marks = self.marks(order)
        return tuple(marks[order.index(option)] for option in range(len(order)))


def asking_of(answers: AnswersSpec, repeat: int) -> tuple[str, int]:
    """(order, which repeat in it) of the plan's `repeat`: with `order: both`, even ones show the options as
    given and odd ones reversed."""
    if answers.order != "both":
        return answers.order, repeat
    return (REVERSED if repeat % 2 else GIVEN), repeat // 2


def order_of(scale: Scale, answers: AnswersSpec, repeat: int, *request: object) -> Order:
    """In which order the options are shown; a shuffled one depends on the seed, the repeat and on `request`:
    what names the request but for its condition, so that a condition is compared with the baseline in one
    order."""
    kind, number = asking_of(answers, repeat)
    given = range(len(scale.labels))
    if kind == SHUFFLED:
        return tuple(sorted(given, key=lambda option: rank("order", answers.seed, number, *request, option)))
    return tuple(reversed(given) if kind == REVERSED else given)


def shown_scales(scales: Sequence[Scale | None], answers: AnswersSpec) -> dict[str, ShownScale]:
    """name → scale as it is shown, of all that there are."""
    return {scale.name: ShownScale(scale, answers.show) for scale in scales if scale is not None}


def option_scores(scale: Scale | None, answers: AnswersSpec) -> list[float | None] | None:
    """What every option is worth; None for a middle that is no score (`midpoint: missing`)."""
    if scale is None:
        return None
    scores: list[float | None] = list(scale.scores)
    if answers.midpoint == "missing" and len(scores) % 2:
        scores[len(scores) // 2] = None
    return scores

"""Answer scales: the options of an item, from low to high, and what each is worth.

Without a scale an item is answered yes or no. With one, an answer is the position of an option in the order
of the file (from 0), whatever the order and the marks under which the options are shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from axiograph.engine.identity import digest_text

MAX_OPTIONS = 20  # a prompt lists them, and log-probabilities are read of each


@dataclass(frozen=True)
class Scale:
    """`labels`: of the options, low to high. `scores`: of each, in [−1, 1], for an item of agreement +1.
    `codes`: the numbers that the inventory prints beside them, as text."""

    name: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    codes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        name: str,
        labels: Sequence[str],
        weights: Sequence[float] | None = None,
        codes: Sequence[int] | None = None,
    ) -> Scale:
        """A scale whose options are equally far apart, 2·i / (k − 1) − 1, or as far as their `weights`, which
        are mapped to [−1, 1] by the smallest and the largest. `codes`: 1 … k where none are given.

        ValueError, in words for the file's author, for fewer than two or too many options, labels that are
        alike but for case and spaces, weights that are all equal or not as many as labels, repeated codes."""
        texts = tuple(" ".join(label.split()) for label in labels)
        k = len(texts)
        if not 2 <= k <= MAX_OPTIONS:
            raise ValueError(f"2 to {MAX_OPTIONS} options, not {k}")
        if not all(texts):
            raise ValueError("a text for every option")
        alike = sorted({label for label in texts if sum(label.lower() == t.lower() for t in texts) > 1})
        if alike:
            raise ValueError(f"options that differ, not {' and '.join(map(repr, alike))}")
        numbers = tuple(range(1, k + 1)) if codes is None else tuple(codes)
        if len(numbers) != k or len(set(numbers)) != k:
            raise ValueError(f"a code of its own for each of {k} options, not {list(numbers)}")
        return cls(name, texts, _scores(weights, k), tuple(map(str, numbers)))

    @property
    def digest(self) -> bytes:
        """Over what a prompt shows of it. What an option is worth changes no answer."""
        return digest_text(*self.labels, *self.codes)


def _scores(weights: Sequence[float] | None, k: int) -> tuple[float, ...]:
    if weights is None:
        return tuple(2 * i / (k - 1) - 1 for i in range(k))
    if len(weights) != k or not all(map(math.isfinite, weights)):
        raise ValueError(f"a weight for each of {k} options, not {list(weights)}")
    low, high = min(weights), max(weights)
    if low == high:
        raise ValueError(f"weights that differ, not all {low:g}")
    return tuple(2 * (weight - low) / (high - low) - 1 for weight in weights)

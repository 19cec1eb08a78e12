"""Resampled means of paired differences, kept as counts and tails: what p-values and intervals need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.pc import FloatArray

ROUNDING = 1e-12  # a smaller difference of two means is rounding, not change
_CHUNK_CELLS = 4_000_000  # resampling weights held at once


@dataclass(frozen=True)
class Draws:
    """Of B resampled means per value: the counts at or beyond 0 and the sorted tails, outermost first,
    as deep as an interval at `level` needs. The rest is not kept: it would fill the memory."""

    draws: int
    not_above: NDArray[np.int64]  # [n_values]
    not_below: NDArray[np.int64]
    lowest: FloatArray  # [depth, n_values], ascending
    highest: FloatArray  # [depth, n_values], descending

    @classmethod
    def of(cls, means: FloatArray, level: float) -> Draws:
        """From [B, n_values] means in any order."""
        means = np.sort(np.where(np.abs(means) <= ROUNDING, 0.0, means), axis=0)
        depth = _tail(level, len(means))
        return cls(
            draws=len(means),
            not_above=(means <= 0).sum(axis=0),
            not_below=(means >= 0).sum(axis=0),
            lowest=means[:depth].copy(),
            highest=means[::-1][:depth].copy(),
        )

    def p(self, k: int) -> float:
        return min(1.0, float(2 * (1 + min(self.not_above[k], self.not_below[k])) / (self.draws + 1)))

    def interval(self, k: int, level: float) -> tuple[float | None, float | None]:
        """At 1 − level, which is no wider a tail than that of `of`; None where B is too small for it."""
        tail = _tail(level, self.draws)
        return (float(self.lowest[tail - 1, k]), float(self.highest[tail - 1, k])) if tail else (None, None)


def _tail(level: float, draws: int) -> int:
    return int(np.floor(level * (draws + 1) / 2 + 1e-9))  # the addend undoes rounding of level


def resampled_means(differences: FloatArray, draws: int, seed: int) -> FloatArray:
    """[draws, n_values]: means over roles drawn with replacement.

    The draws depend on the seed and the number of roles only, so a condition's result does not depend on
    which others are tested. A draw without any pair of a value repeats the mean of all its pairs."""
    roles = len(differences)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    known = (~np.isnan(differences)).astype(np.float64)
    values = np.nan_to_num(differences, nan=0.0)
    overall = values.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    step = max(1, _CHUNK_CELLS // max(1, roles))
    parts = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        weights = rng.multinomial(roles, np.full(roles, 1 / roles), size=size).astype(np.float64)
        count = weights @ known
        parts.append(np.where(count > 0, (weights @ values) / np.maximum(count, 1), overall))
    return np.concatenate(parts)

"""Levers, and their curves: the features and hints that a run has tried and a proposal may use again.

Roles and traits are proposed too, but are no levers: nothing is joined with them. A lever's curve holds its
shifts of every value at the strengths that were measured; between two of these a monotone curve joins them
(Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from axiograph.discovery.numerics.arrays import FloatArray

_ERRORS = (0.02, 0.25)  # the bounds of the curves' relative error
_UNKNOWN = 0.1  # the relative error where no sweep has strengths enough to measure it


class LeverKind(StrEnum):
    SAE = "sae"
    HINT = "hint"
    ROLE = "role"
    TRAIT = "trait"


@dataclass(frozen=True)
class Lever:
    """One way of steering, with the conditions under which it was measured.

    `points`: (strength, condition) by rising strength, without strength 0, which is the baseline. `switch`:
    it can only be used as measured (a hint, a clamp, several operations at once: its strengths are no scale),
    never between two points. `solo`: it cannot be joined with others in one condition. `low`, `high`: the
    strengths between which no sweep broke the model; `settled`: whether the sweep could tell on both sides.
    `breaks`: the smallest strengths that broke it, below and above 0. `unit`: what a strength is a multiple
    of. `about`: in words for a person."""

    name: str
    kind: LeverKind
    points: tuple[tuple[float, str], ...]
    unit: str = ""
    switch: bool = False
    solo: bool = False
    low: float = 0.0
    high: float = 0.0
    breaks: tuple[float | None, float | None] = (None, None)
    settled: bool = True
    about: str = ""

    @property
    def usable(self) -> tuple[tuple[float, str], ...]:
        """The measured points within the bounds."""
        return tuple(p for p in self.points if self.low <= p[0] <= self.high)

    def span(self) -> float:
        """The largest |strength| that may be used; 0 where there is none."""
        return max((abs(strength) for strength, _ in self.usable), default=0.0)


def bounded(
    points: Sequence[tuple[float, str]],
    holds_to: tuple[float | None, float | None],
    breaks_from: tuple[float | None, float | None],
    most: float | None = None,
) -> tuple[float, float, bool]:
    """(low, high, settled) of a lever: on either side, the strengths up to which the model holds.

    `holds_to`, `breaks_from`: below and above 0, as discovery.effects.doses.limits has them. Where neither is
    known (too few roles to tell) all measured strengths stay, and the lever is not settled; where the model
    breaks and not even the smallest strength holds, none. `most`: a bound that the user sets."""
    ends, settled = [], True
    for side, (holds, breaks) in enumerate(zip(holds_to, breaks_from, strict=True)):
        strengths = [s for s, _ in points if (s < 0) == (side == 0)]
        if not strengths:
            ends.append(0.0)
            continue
        end = 0.0
        if holds is not None:
            end = holds
        elif breaks is None:
            end, settled = (min(strengths) if side == 0 else max(strengths)), False
        if most is not None:
            end = max(end, -most) if side == 0 else min(end, most)
        ends.append(end)
    return ends[0], ends[1], settled


@dataclass(frozen=True, eq=False)
class Curve:
    """A lever's shifts: `strengths` [p] with 0 among them, `centre` [p, n], `draws` [p, B, n]; `spread`
    [p, n]: the standard deviation over roles of the change of the score."""

    strengths: FloatArray
    centre: FloatArray
    draws: FloatArray
    spread: FloatArray

    def at(self, strength: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(draws [B, n], spread [n], the size [n] of the step in which the curve is not measured)."""
        from scipy.interpolate import PchipInterpolator

        drawn = PchipInterpolator(self.strengths, self.draws, axis=0)(strength)
        spread = np.array([np.interp(strength, self.strengths, column) for column in self.spread.T])
        k = int(np.clip(np.searchsorted(self.strengths, strength) - 1, 0, len(self.strengths) - 2))
        left, right = self.strengths[k], self.strengths[k + 1]
        t = (strength - left) / (right - left)
        step = np.abs(self.centre[k + 1] - self.centre[k])
        return drawn, spread, 4 * t * (1 - t) * step

    def means(self, grid: FloatArray) -> FloatArray:
        """[len(grid), n]: the centres at these strengths."""
        from scipy.interpolate import PchipInterpolator

        return np.asarray(PchipInterpolator(self.strengths, self.centre, axis=0)(grid))


def curve_error(curves: Sequence[Curve]) -> float:
    """How far a curve lies off between two measured strengths, as a share of its step there: every inner
    strength is left out in turn and read off the curve of the others. The gap is twice as wide then, and the
    error of a smooth curve four times as large."""
    from scipy.interpolate import PchipInterpolator

    errors = []
    for curve in curves:
        means, noise = curve.centre, curve.draws.std(axis=1)
        for k in range(1, len(curve.strengths) - 1):
            rest = [i for i in range(len(curve.strengths)) if i != k]
            joined = PchipInterpolator(curve.strengths[rest], means[rest], axis=0)(curve.strengths[k])
            step = np.abs(means[k + 1] - means[k - 1])
            clear = step > 6 * np.maximum(noise[k + 1], noise[k - 1])
            errors += ((joined - means[k])[clear] / step[clear]).tolist()
    if len(errors) < 4:
        return _UNKNOWN
    return float(np.clip(np.sqrt(np.mean(np.square(errors))) / 4, *_ERRORS))

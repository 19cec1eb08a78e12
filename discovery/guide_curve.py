"""A lever's curve: its shifts of every value at the strengths that were measured, and between them.

Between two strengths a monotone curve joins them (Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discovery.pc import FloatArray

_ERRORS = (0.02, 0.25)  # the bounds of the curves' relative error
_UNKNOWN = 0.1  # where no sweep has strengths enough to measure it


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
            said = PchipInterpolator(curve.strengths[rest], means[rest], axis=0)(curve.strengths[k])
            step = np.abs(means[k + 1] - means[k - 1])
            clear = step > 6 * np.maximum(noise[k + 1], noise[k - 1])
            errors += ((said - means[k])[clear] / step[clear]).tolist()
    if len(errors) < 4:
        return _UNKNOWN
    return float(np.clip(np.sqrt(np.mean(np.square(errors))) / 4, *_ERRORS))

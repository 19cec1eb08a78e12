"""The link between a shift of a value and what it does to the mean score, which cannot leave [−1, 1].

Scores saturate: two features that each raise a value by 0.6 do not raise it by 1.2. So effects are added up
as shifts on a scale without ends. A score is the mean over items whose thresholds spread evenly over ±w:

    h(u) = (log cosh(u + w) − log cosh(u − w)) / 2w        (tanh u for w = 0)

the mean response of items of the one-parameter logistic model (Rasch 1960). A shift a of a value turns the
mean score over roles into the mean of h(u_r + a), with u_r of the baseline score of role r. The measured mean
change under a condition fixes its shift exactly, so the link only decides how changes add up and level off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.numerics.arrays import FloatArray

WIDTHS = (0.0, 1.0, 2.0, 4.0)
_CEILING = 0.95  # a role at ±1 could be anywhere beyond: it counts as this far
_GRID = 401
_CELLS = 30  # the clearest changes, by which the width is chosen


@dataclass(frozen=True, eq=False)
class Link:
    """`shifts` [g], rising; `changes` [n_values, g]: the change of the mean score at each; `width`: w."""

    width: float
    shifts: FloatArray
    changes: FloatArray

    @classmethod
    def of(cls, baseline: FloatArray, width: float) -> Link:
        """For the roles of `baseline` [n_roles, n_values], NaN where a role has no score."""
        shifts = np.linspace(-(2 * width + 6), 2 * width + 6, _GRID)
        positions = position(baseline, width)
        changes = np.empty((baseline.shape[1], _GRID))
        for k, column in enumerate(positions.T):
            scored = column[np.isfinite(column)]
            scored = scored if scored.size else np.zeros(1)
            before = response(scored, width).mean()
            changes[k] = response(scored[:, None] + shifts, width).mean(axis=0) - before
        return cls(width, shifts, changes)

    @classmethod
    def fitted(cls, baseline: FloatArray, differences: Mapping[str, FloatArray]) -> Link:
        """The width under which the roles' own changes are closest to the link's, by least squares over the
        clearest changes of `differences` (condition → [n_roles, n_values]): with a small width roles near ±1
        move less than those in the middle, with a large one all move alike."""
        cells = _clearest(differences)
        if not cells:
            return cls.of(baseline, WIDTHS[1])
        links = [cls.of(baseline, width) for width in WIDTHS]
        return min(links, key=lambda link: _misfit(link, baseline, differences, cells))

    def shift(self, change: FloatArray) -> FloatArray:
        """The shifts [..., n_values] that give these changes of the mean score; those of changes that no
        shift can give are the largest of the grid."""
        flat = np.moveaxis(change, -1, 0)
        shifts = [np.interp(part, self.changes[k], self.shifts) for k, part in enumerate(flat)]
        return np.moveaxis(np.where(np.isnan(flat), np.nan, np.stack(shifts)), 0, -1)

    def change(self, shift: FloatArray) -> FloatArray:
        """The changes of the mean score [..., n_values] that these shifts give."""
        flat = np.moveaxis(shift, -1, 0)
        changes = [np.interp(part, self.shifts, self.changes[k]) for k, part in enumerate(flat)]
        return np.moveaxis(np.stack(changes), 0, -1)

    def slope(self) -> FloatArray:
        """[n_values]: points of score per unit of shift, at no shift."""
        step = self.shifts[1] - self.shifts[0]
        middle = _GRID // 2
        return np.asarray((self.changes[:, middle + 1] - self.changes[:, middle - 1]) / (2 * step))

    def room(self) -> FloatArray:
        """[2, n_values]: the lowest and the highest change of the mean score that is left."""
        return self.changes[:, [0, -1]].T


def response(u: FloatArray, width: float) -> FloatArray:
    """h(u)."""
    if width == 0:
        return np.tanh(u)
    return np.asarray((_log_cosh(u + width) - _log_cosh(u - width)) / (2 * width))


def position(scores: FloatArray, width: float) -> FloatArray:
    """h⁻¹ of scores, NaN kept; scores beyond ±0.95 count as ±0.95."""
    grid = np.linspace(-(width + 6), width + 6, 2001)
    clipped = np.clip(scores, -_CEILING, _CEILING)
    return np.where(np.isnan(scores), np.nan, np.interp(clipped, response(grid, width), grid))


def _log_cosh(x: FloatArray) -> FloatArray:
    size = np.abs(x)
    return np.asarray(size + np.log1p(np.exp(-2 * size)) - np.log(2))


def _clearest(differences: Mapping[str, FloatArray]) -> list[tuple[str, int]]:
    """(condition, value) of the changes that are largest over their standard errors, at least 4."""
    cells = []
    for condition, table in differences.items():
        measured = np.isfinite(table)
        for k in np.flatnonzero(measured.sum(axis=0) >= 2):
            changes = table[measured[:, k], k]
            error = changes.std(ddof=1) / np.sqrt(changes.size)
            ratio = abs(changes.mean()) / error if error > 0 else 0.0
            if ratio > 4:
                cells.append((ratio, condition, int(k)))
    return [(condition, k) for _, condition, k in sorted(cells, reverse=True)[:_CELLS]]


def _misfit(
    link: Link,
    baseline: FloatArray,
    differences: Mapping[str, FloatArray],
    cells: list[tuple[str, int]],
) -> float:
    """The sum of squares over roles of their changes less those that the link gives them."""
    positions = position(baseline, link.width)
    before = response(positions, link.width)
    total = 0.0
    for condition, k in cells:
        measured = differences[condition][:, k]
        shift = np.interp(np.nanmean(measured), link.changes[k], link.shifts)
        expected = response(positions[:, k] + shift, link.width) - before[:, k]
        total += float(np.nansum((measured - expected) ** 2))
    return total

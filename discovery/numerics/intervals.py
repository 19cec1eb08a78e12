"""Uncertainty: roles drawn with replacement, intervals of means and of what was resampled, and the interval
of a frequency over replicates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.numerics.arrays import BoolArray, CountArray, FloatArray, UnsignedArray

# A smaller difference of two scores is rounding, not change: ten times what float32 makes of log-odds of 16,
# and less than one answer of 100,000.
ROUNDING = 1e-5
_CHUNK_CELLS = 4_000_000  # resampling weights held at once as floats


@dataclass(frozen=True, eq=False)
class RoleDraws:
    """`counts` [draws, roles]: how often each role is in a draw with replacement of as many roles.

    They depend on the seed and the number of roles only: every condition meets the same draws, so that
    its result does not depend on which others are tested, and sums over conditions can be taken draw by
    draw. The first B draws are the same whatever their number."""

    counts: UnsignedArray

    @classmethod
    def of(cls, roles: int, draws: int, seed: int) -> RoleDraws:
        """`draws` draws of `roles` roles; the same seed gives the same ones."""
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        counts = np.empty((draws, roles), np.uint8 if roles <= 255 else np.uint16)
        if roles == 0:
            return cls(counts)
        step = max(1, _CHUNK_CELLS // roles)
        for start in range(0, draws, step):
            part = counts[start : start + step]
            part[:] = rng.multinomial(roles, np.full(roles, 1 / roles), size=len(part))
        return cls(counts)

    def __len__(self) -> int:
        return len(self.counts)

    def first(self, draws: int) -> RoleDraws:
        """The first `draws` of them."""
        return RoleDraws(self.counts[:draws])

    def of_roles(self, chosen: BoolArray) -> RoleDraws:
        """The same draws with the roles that are not in `chosen` [roles] left out."""
        return RoleDraws(self.counts[:, chosen])

    def sums(self, table: FloatArray) -> FloatArray:
        """[draws, m]: the sums of `table` [roles, m] over the roles of every draw."""
        return np.concatenate([weights @ table for weights in self._chunks()])

    def means(self, differences: FloatArray) -> FloatArray:
        """[draws, n_values]: means of [roles, n_values] over the roles drawn, NaN left out. A draw without
        any pair of a value repeats the mean of all its pairs."""
        values, observed, overall = _filled(differences)
        if observed.all():
            return self.sums(values) / len(values)
        parts = []
        for weights in self._chunks():
            count = weights @ observed
            parts.append(np.where(count > 0, (weights @ values) / np.maximum(count, 1), overall))
        return np.concatenate(parts)

    def means_and_errors(self, differences: FloatArray) -> tuple[FloatArray, FloatArray]:
        """As `means`, and the standard errors of these means, each [draws, n_values].

        A draw with fewer than two pairs of a value repeats the error of all its pairs."""
        values, observed, overall = _filled(differences)
        whole = standard_errors(values.sum(axis=0), (values**2).sum(axis=0), observed.sum(axis=0))
        means, errors = [], []
        for weights in self._chunks():
            count, total = weights @ observed, weights @ values
            means.append(np.where(count > 0, total / np.maximum(count, 1), overall))
            errors_of_draws = standard_errors(total, weights @ values**2, count)
            errors.append(np.where(count > 1, errors_of_draws, whole))
        return np.concatenate(means), np.concatenate(errors)

    def _chunks(self) -> Iterator[FloatArray]:
        step = max(1, _CHUNK_CELLS // max(1, self.counts.shape[1]))
        for start in range(0, len(self.counts), step):
            yield self.counts[start : start + step].astype(np.float64)


def _filled(differences: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The table with 0 for NaN, 1 where it has a number and 0 elsewhere, and the means of its columns."""
    observed = (~np.isnan(differences)).astype(np.float64)
    values = np.nan_to_num(differences, nan=0.0)
    return values, observed, values.sum(axis=0) / np.maximum(observed.sum(axis=0), 1)


def standard_errors(total: FloatArray, squares: FloatArray, count: FloatArray) -> FloatArray:
    """Of means, from sums, sums of squares and counts of any one shape; 0 where a count is below 2."""
    inside = squares - total**2 / np.maximum(count, 1)
    return np.sqrt(np.maximum(inside, 0) / np.maximum(count - 1, 1) / np.maximum(count, 1))


def tail(level: float, draws: int | CountArray) -> CountArray:
    """How many of the outermost draws on one side an interval at 1 − level ends with."""
    return np.floor(level * (np.asarray(draws) + 1) / 2 + 1e-9).astype(np.int64)  # undoes rounding of level


def percentile_range(draws: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """The range of `draws` [..., B] that leaves out level / 2 at either end, NaN draws apart.

    NaN where fewer than half of the draws are numbers, or too few for the level."""
    ordered = np.sort(draws, axis=-1)  # NaN come last
    observed = np.isfinite(draws).sum(axis=-1)
    depth = tail(level, observed)
    usable = (depth > 0) & (2 * observed >= draws.shape[-1])
    first, last = np.where(usable, depth - 1, 0), np.where(usable, observed - depth, 0)
    low, high = (np.take_along_axis(ordered, i[..., None], axis=-1)[..., 0] for i in (first, last))
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def column_moments(table: FloatArray) -> tuple[CountArray, FloatArray, FloatArray]:
    """How many numbers the columns of [n_roles, m] hold, their mean (0 without any) and variance (divisor
    n − 1; 0 with fewer than two), each [m], NaN left out."""
    observed = ~np.isnan(table)
    count = observed.sum(axis=0)
    mean = np.where(observed, table, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(observed, table - mean, 0.0) ** 2).sum(axis=0)
    return count, mean, squares / np.maximum(count - 1, 1)


def t_interval(table: FloatArray, level: float, least: int = 2) -> tuple[FloatArray, FloatArray]:
    """Low and high [m] of the means of the columns of [n_roles, m] at 1 − level by Student's t, NaN left out;
    NaN where fewer than `least` numbers are known."""
    from scipy.stats import t

    count, mean, variance = column_moments(table)
    known = count >= max(2, least)
    error = np.sqrt(variance / np.maximum(count, 1))
    reach = np.where(known, t.isf(level / 2, np.maximum(count - 1, 1)) * error, np.nan)
    return mean - reach, mean + reach


def mean_of_known(draws: FloatArray) -> FloatArray:
    """The mean over the last axis, NaN left out; NaN where all are."""
    observed = np.isfinite(draws)
    total, count = np.where(observed, draws, 0.0).sum(axis=-1), observed.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def share(counts: CountArray, totals: CountArray) -> FloatArray:
    """counts / totals; NaN where the total is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts / totals


def wilson(counts: CountArray, totals: CountArray, z: float = 1.959964) -> tuple[FloatArray, FloatArray]:
    """The score interval of counts / totals (Wilson 1927, JASA 22), 95 % by default; NaN where the total is
    0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency = counts / totals
        centre = (frequency + z * z / (2 * totals)) / (1 + z * z / totals)
        half = frequency * (1 - frequency) / totals + z * z / (4 * totals**2)
        half = z / (1 + z * z / totals) * np.sqrt(half)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)

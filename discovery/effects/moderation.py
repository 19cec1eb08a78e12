"""The moderated t: the variance of every contrast drawn towards what the variances of all have in common.

A handful of roles say little about the variance of one contrast, but the contrasts of a study are many and
alike. Their variances are taken as draws from a scaled inverse χ² (Smyth 2004, Stat. Appl. Genet. Mol. Biol.
3, art. 3, eq. 3–8: limma's empirical Bayes): s² | σ² ~ σ² χ²(d) / d and 1 / σ² ~ χ²(d₀) / (d₀ s₀²). Then
mean / (s̃ / √n) with s̃² = (d₀ s₀² + d s²) / (d₀ + d) has a t distribution with d₀ + d degrees of freedom.

One prior for all conditions and values. A prior per value finds false changes in 9 of 100 null studies of 8
roles (the baseline of a value is shared by all conditions, so that its variances are alike by chance), one
per condition costs power, and the most likely prior in place of that of moments is at times far too sure
(benchmarks/results/changes.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.numerics.arrays import CountArray, FloatArray
from axiograph.discovery.numerics.intervals import ROUNDING, column_moments

MIN_CELLS = 3  # variances that a prior is learned from: two that are equal by chance would seem to be certain
_FLOOR = 1e-2  # of the median: the logarithm of a tiny variance would count as if it were a large difference
_EQUAL = 1e-6  # a variance of log variances below it: d₀ beyond a million


@dataclass(frozen=True)
class Prior:
    """What variances have in common: `variance` (s₀²), worth `df` (d₀) further roles; 0 where fewer than
    MIN_CELLS vary, infinite where they differ no more than chance makes them. `cells` variances made it, with
    `cells_df` degrees of freedom together."""

    df: float
    variance: float
    cells: int
    cells_df: float

    @classmethod
    def of(cls, variances: FloatArray, df: FloatArray) -> Prior:
        """By the moments of log variances (Smyth 2004, section 6.2) that are above 0, of any shape, each with
        `df` degrees of freedom. What never varies at all is left out: it would draw the variances of the
        others to 0."""
        from scipy.special import digamma, polygamma

        vary = variances > 0
        found, d = variances[vary], df[vary]
        cells, total = len(found), float(d.sum())
        if cells < MIN_CELLS:
            return cls(0.0, 0.0, cells, total)
        logs = np.log(np.maximum(found, _FLOOR * np.median(found)))
        centred = logs - digamma(d / 2) + np.log(d / 2)
        mean = float(centred.mean())
        excess = float(((centred - mean) ** 2).sum() / (cells - 1) - polygamma(1, d / 2).mean())
        if excess <= _EQUAL:
            return cls(np.inf, float(np.exp(mean)), cells, total)
        half = _trigamma_inverse(excess)
        return cls(2 * half, float(np.exp(mean + digamma(half) - np.log(half))), cells, total)

    def document(self) -> dict[str, float | int | None]:
        """As JSON can hold it: an infinite `df` is null."""
        df = None if np.isinf(self.df) else self.df
        return {"df": df, "variance": self.variance, "cells": self.cells, "cells_df": self.cells_df}

    @classmethod
    def read(cls, document: Mapping[str, float | int | None]) -> Prior:
        """From `document`. KeyError, TypeError or ValueError where it is damaged."""
        df, variance, cells, cells_df = (document[name] for name in ("df", "variance", "cells", "cells_df"))
        if variance is None or cells is None or cells_df is None:
            raise ValueError("the prior of variances is not whole")
        return cls(np.inf if df is None else float(df), float(variance), int(cells), float(cells_df))

    def moderate(self, variances: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
        """s̃² and its degrees of freedom, which are never more than those of all contrasts together."""
        if self.df == 0:
            return variances, df
        if np.isinf(self.df):
            return np.full(variances.shape, self.variance), np.full(variances.shape, self.cells_df)
        moderated = (self.df * self.variance + df * variances) / (self.df + df)
        return moderated, np.minimum(self.df + df, self.cells_df)


@dataclass(frozen=True, eq=False)
class MeanTests:
    """Whether means are 0, arrays of one shape: `mean`; its standard `error` and `df`; `p` (two-sided), NaN
    where nothing is tested.

    Where no prior is known a sample without variance has no t. If it is 0 throughout, p is 1. If it is one
    other number throughout, p is that of the exact sign-flip test, 2^(1−n), and the interval that this test
    gives: the number itself, or nothing known where the level is below p."""

    mean: FloatArray
    error: FloatArray
    df: FloatArray
    p: FloatArray

    @classmethod
    def of(
        cls, mean: FloatArray, variance: FloatArray, pairs: CountArray, least: int, *, alike: bool = True
    ) -> tuple[MeanTests, Prior]:
        """Of samples of `pairs` each; those with fewer than `least` are not tested. `alike`: whether their
        variances have something in common; if not, each has Student's t of its own."""
        from scipy.stats import t

        tested = pairs >= least
        df = np.where(tested, pairs - 1.0, np.nan)
        prior = Prior.of(np.where(tested & alike, variance, 0.0), df)
        moderated, total = prior.moderate(np.where(tested, variance, np.nan), df)
        error = np.sqrt(moderated / np.maximum(pairs, 1))
        still = error == 0
        with np.errstate(invalid="ignore"):
            p = 2 * t.sf(np.abs(mean) / np.where(still, 1.0, error), total)
        p = np.where(still, np.where(mean == 0, 1.0, 2.0 ** (1 - pairs)), p)
        return cls(mean, error, total, np.where(tested, p, np.nan)), prior

    def reach(self, level: float) -> FloatArray:
        """How far from its mean the interval at 1 − level goes: it excludes 0 exactly where p ≤ level.
        Infinite where such an interval holds every number, NaN where nothing is tested."""
        from scipy.stats import t

        with np.errstate(invalid="ignore"):  # a level of 0 reaches everywhere
            spread = t.isf(level / 2, self.df) * self.error
        without = np.where(self.p <= level, 0.0, np.inf)
        return np.where(np.isnan(self.p), np.nan, np.where(self.error == 0, without, spread))


def moments(table: FloatArray) -> tuple[CountArray, FloatArray, FloatArray]:
    """How many numbers, their mean (NaN without any) and variance [m], of the columns of [n_roles, m], NaN
    left out; 0 where a mean or a standard deviation is no more than rounding."""
    count, mean, variance = column_moments(table)
    mean = np.where(np.abs(mean) <= ROUNDING, 0.0, mean)
    return count, np.where(count > 0, mean, np.nan), np.where(variance <= ROUNDING**2, 0.0, variance)


def _trigamma_inverse(value: float) -> float:
    """x with ψ′(x) = value, by bisection on its logarithm."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    return float(np.exp(brentq(lambda x: float(polygamma(1, np.exp(x))) - value, -12.0, 20.0)))

"""Shares over pairs that come in graphs: their intervals, and frequencies held against the truth in bins."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.pc import FloatArray
from discovery.wilson import CountArray, wilson

BINS = 10


def bin_of(frequencies: FloatArray, bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each frequency in [0, 1]: bin k holds [k / bins, (k + 1) / bins), the last one 1 as well."""
    return np.minimum(np.floor(frequencies * bins).astype(np.int64), bins - 1)


def binned(frequencies: FloatArray, true: NDArray[np.bool_], bins: int = BINS) -> pl.DataFrame:
    """A row per bin that is not empty: bin, pairs, true (how many of them), sum (of their frequencies).

    NaN: the pair was never counted and is in no bin."""
    known = ~np.isnan(frequencies)
    place = bin_of(frequencies[known], bins)
    counts = {
        "pairs": np.bincount(place, minlength=bins),
        "true": np.bincount(place, weights=true[known], minlength=bins).astype(np.int64),
        "sum": np.bincount(place, weights=frequencies[known], minlength=bins),
    }
    table = pl.DataFrame({"bin": np.arange(bins), **counts})
    return table.filter(pl.col("pairs") > 0)


def clustered(counts: CountArray, totals: CountArray) -> tuple[float | None, float | None, float | None]:
    """(share, low, high) of sum(counts) / sum(totals), where entry g is graph g: pairs of one graph are not
    independent.

    Wilson's 95 % interval of as many pairs as there are, divided by the design effect (Kish 1965, Survey
    sampling, p. 258): the variance of the ratio between graphs over that of independent pairs, at least 1.
    All None without pairs; with a single graph the pairs count as independent."""
    counts, totals = np.asarray(counts, float), np.asarray(totals, float)
    total = totals.sum()
    if total == 0:
        return None, None, None
    p = counts.sum() / total
    graphs = int((totals > 0).sum())
    effect = 1.0
    if graphs > 1 and 0 < p < 1:
        between = graphs / (graphs - 1) * float(((counts - p * totals) ** 2).sum()) / total**2
        effect = max(1.0, between / (p * (1 - p) / total))
    low, high = wilson(np.array(p * total / effect), np.array(total / effect))
    return float(p), float(low), float(high)


def mean_and_error(numbers: FloatArray) -> tuple[float | None, float | None]:
    """(mean, its standard error over graphs); NaN left out, None where there is too little."""
    known = np.asarray(numbers, float)
    known = known[~np.isnan(known)]
    if known.size == 0:
        return None, None
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(known.size)) if known.size > 1 else None

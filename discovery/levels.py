"""Scores cut into levels, for tests that count."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discovery.pc import FloatArray

IntArray = NDArray[np.int64]
Bins = Literal["quantile", "width", "as_answered"]

_EXPECTED = 5  # a cell that fewer are expected in is sparse (Cochran 1954, Biometrics 10, p. 417)


def levels_of(data: FloatArray, bins: Bins = "quantile", levels: int = 3) -> IntArray:
    """[n_rows, n_values] levels 0, 1, … of scores [n_rows, n_values]; equal scores have equal levels.

    "quantile": about the same number of rows each, by the rank of a score, the mean rank where scores are
    equal: a column that varies keeps two levels at least, whatever share of its rows are equal. "width":
    equal parts of the column's range. "as_answered": every score that occurs is a level."""
    if bins == "as_answered":
        columns = [np.unique(column, return_inverse=True)[1] for column in data.T]
        return np.stack(columns, axis=1).astype(np.int64)
    if bins == "quantile":
        from scipy.stats import rankdata

        place = (rankdata(data, axis=0) - 0.5) / len(data)
    else:
        low, high = data.min(axis=0), data.max(axis=0)
        place = (data - low) / (high - low)
    return np.minimum((place * levels).astype(np.int64), levels - 1)


def sparse_pairs(levels: IntArray) -> int:
    """How many pairs of columns of levels [n_rows, n_values] have a cell in which fewer than five rows are
    expected if the two were independent: the p-value of chi-square is not to be relied on there."""
    rarest = [np.unique(column, return_counts=True)[1].min() for column in levels.T]
    return sum(a * b / len(levels) < _EXPECTED for a, b in combinations(rarest, 2))

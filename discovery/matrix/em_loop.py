"""The iterations of the EM algorithm for multivariate normal scores with gaps, compiled.

With K the inverse of the covariances, the scores that a row lacks (m) have, given those that it has (o), the
covariances K_mm⁻¹ and the means μ_m − K_mm⁻¹ K_mo (x_o − μ_o): one inverse for all rows, and a small one for
every pattern of gaps.
"""

from __future__ import annotations

import numpy as np

from axiograph.discovery.numerics.arrays import BoolArray, FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import jit


@jit
def maximise(
    data: FloatArray,
    observed: BoolArray,
    mean: FloatArray,
    covariance: FloatArray,
    shrinkage: float,
    tolerance: float,
    most: int,
) -> int:
    """Improve `mean` [p] and `covariance` [p, p] in place; the iterations that it took, −1 where `most` of
    them did not do.

    `data` [n, p]: what a gap holds does not matter; rows with the same gaps (`observed` [n, p] is false
    there) should follow each other. `shrinkage` in [0, 1]: of the covariances between columns, for filling
    gaps only; 0 gives maximum likelihood. Done where no mean and no covariance changes by more than
    `tolerance`: in units of standard deviations where the columns are."""
    rows, columns = data.shape
    filled, spare = np.empty((rows, columns)), np.empty((columns, columns))
    gaps, slopes = np.empty(columns, np.int64), np.empty((columns, columns))
    for iteration in range(most):
        shrunk = covariance * (1.0 - shrinkage)
        for i in range(columns):
            shrunk[i, i] = covariance[i, i]
        precision = np.linalg.inv(shrunk).astype(np.float64)
        spare[:] = 0.0
        _fill(data, observed, mean, precision, filled, spare, gaps, slopes)
        moved = filled.sum(axis=0) / rows
        second = (filled.T @ filled + spare) / rows
        change = 0.0
        for i in range(columns):
            change = max(change, abs(moved[i]))
            mean[i] += moved[i]
            for j in range(columns):
                value = second[i, j] - moved[i] * moved[j]
                change = max(change, abs(value - covariance[i, j]))
                covariance[i, j] = value
        if change <= tolerance:
            return iteration + 1
        if not np.isfinite(change):
            return -1
    return -1


@jit
def _fill(
    data: FloatArray,
    observed: BoolArray,
    mean: FloatArray,
    precision: FloatArray,
    filled: FloatArray,
    spare: FloatArray,
    gaps: IndexArray,
    slopes: FloatArray,
) -> None:
    """`filled` [n, p]: every row less `mean`, with what its gaps are expected to hold; `spare` [p, p]: the
    covariances that are left between gaps, summed over rows. `gaps` and `slopes` are room."""
    rows, columns = data.shape
    missing, inverse = 0, np.empty((0, 0))
    for r in range(rows):
        same = r > 0
        for j in range(columns):
            same = same and observed[r, j] == observed[r - 1, j]
        if not same:
            missing = 0
            for j in range(columns):
                if not observed[r, j]:
                    gaps[missing] = j
                    missing += 1
            inverse = _inverse_within(precision, gaps, missing)
            for a in range(missing):
                for j in range(columns):
                    slopes[a, j] = 0.0
                    if observed[r, j]:
                        for b in range(missing):
                            slopes[a, j] -= inverse[a, b] * precision[gaps[b], j]
        for j in range(columns):
            filled[r, j] = data[r, j] - mean[j] if observed[r, j] else 0.0
        for a in range(missing):
            expected = 0.0
            for j in range(columns):
                expected += slopes[a, j] * filled[r, j] if observed[r, j] else 0.0
            filled[r, gaps[a]] = expected
            for b in range(missing):
                spare[gaps[a], gaps[b]] += inverse[a, b]


@jit
def _inverse_within(matrix: FloatArray, chosen: IndexArray, count: int) -> FloatArray:
    """[count, count]: the inverse of these rows and columns of a positive definite matrix."""
    inner = np.empty((count, count))
    for a in range(count):
        for b in range(count):
            inner[a, b] = matrix[chosen[a], chosen[b]]
    if count == 1:
        inner[0, 0] = 1.0 / inner[0, 0]
        return inner
    return np.linalg.inv(inner).astype(np.float64) if count else inner

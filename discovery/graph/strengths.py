"""The sign and the strength of every edge of a graph: the standardised coefficient of an effect on its cause
given its other causes, and the partial correlation of the two, each with an interval.

Both are of the graph as it is. An interval says how far the number would scatter over roles if the graph were
the right one and had been known before; that the graph was chosen with the same answers is not in it
(benchmarks/results/edge_strengths.md measures what that costs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import EdgeKind
from axiograph.discovery.numerics.arrays import FloatArray, IndexArray

_LEVEL = 0.05
COLUMNS = (
    "coefficient", "coefficient_low", "coefficient_high", "partial", "partial_low", "partial_high"
)  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval; NaN for what is not known."""

    estimate: float
    low: float
    high: float


_UNKNOWN = Interval(np.nan, np.nan, np.nan)


def edge_strengths(graph: CausalGraph, correlation: FloatArray, n: int) -> pl.DataFrame:
    """One row per edge of `graph`, in the order of `CausalGraph.edges`: source, target, and COLUMNS, the ends
    those of 95 % intervals.

    `correlation` [n_values, n_values] of the values in the order of the graph's names, over `n` independent
    rows. `coefficient`: of source → target, by how many standard deviations the target rises with one of the
    source, its other causes in the graph held fixed; null for other edges, whose direction is not settled.
    `partial`: the correlation of the two, given the other causes of the target, or, where the edge has no
    direction, those of both ends. Null where the rows are too few or the causes collinear."""
    rows = []
    causes = graph.directed_mask()
    for i, kind, j in graph.edges():
        directed = kind is EdgeKind.FORWARD
        given = causes[:, j].copy() if directed else causes[:, i] | causes[:, j]
        given[[i, j]] = False
        others = np.flatnonzero(given)
        slope = coefficient(correlation, i, j, others, n) if directed else _UNKNOWN
        partial = partial_correlation(correlation, i, j, others, n)
        numbers = [slope.estimate, slope.low, slope.high, partial.estimate, partial.low, partial.high]
        rows.append((graph.names[i], graph.names[j], *numbers))
    schema = {"source": pl.String, "target": pl.String} | dict.fromkeys(COLUMNS, pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None)


def coefficient(correlation: FloatArray, i: int, j: int, others: IndexArray, n: int) -> Interval:
    """The standardised coefficient of value i in the regression of value j on i and `others`.

    Its standard error is that of a function of the correlations, whose covariances are those of normal scores
    (Olkin & Siotani 1976; Steiger 1980, Psychological Bulletin 87, eq. 2): the textbook error of a slope is
    wrong here, since the standard deviations are estimated too (Yuan & Chan 2011, Psychometrika 76). The
    interval has n − k − 1 degrees of freedom, with k causes."""
    causes = np.concatenate([[i], others]).astype(np.int64)
    freedom = n - len(causes) - 1
    used = np.concatenate([causes, [j]])
    matrix = correlation[np.ix_(used, used)]
    inverse = _inverse(matrix[:-1, :-1])
    if freedom < 1 or inverse is None:
        return _UNKNOWN
    slopes = inverse @ matrix[:-1, -1]
    error = float(np.sqrt(max(_variance(matrix, inverse, slopes), 0.0) / freedom))
    half = _t_quantile(freedom) * error
    return Interval(float(slopes[0]), float(slopes[0]) - half, float(slopes[0]) + half)


def partial_correlation(correlation: FloatArray, i: int, j: int, others: IndexArray, n: int) -> Interval:
    """Of values i and j given `others`, with Fisher's interval of n − |others| − 3 degrees of freedom (1924,
    Metron 3)."""
    used = np.concatenate([[i, j], others]).astype(np.int64)
    inverse = _inverse(correlation[np.ix_(used, used)])
    freedom = n - len(others) - 3
    if freedom < 1 or inverse is None:
        return _UNKNOWN
    r = float(-inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1]))
    z, half = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15)), 1.959963984540054 / np.sqrt(freedom)
    return Interval(r, float(np.tanh(z - half)), float(np.tanh(z + half)))


def _variance(matrix: FloatArray, inverse: FloatArray, slopes: FloatArray) -> float:
    """Of the first of `slopes` [k], times the degrees of freedom: the gradient of the slope in the
    correlations `matrix` [k + 1, k + 1], the effect last, with their covariances."""
    k = len(slopes)
    first, second = np.triu_indices(k + 1, k=1)
    # dβ = R⁻¹ (dr − dR β): entry (a, b) of the causes stands twice in dR, an entry of the effect once in dr.
    row = inverse[0]
    among = second < k
    gradient = np.empty(len(first))
    gradient[~among] = row[first[~among]]
    a, b = first[among], second[among]
    gradient[among] = -(row[a] * slopes[b] + row[b] * slopes[a])
    return float(gradient @ correlation_covariance(matrix, first, second) @ gradient)


def correlation_covariance(matrix: FloatArray, first: IndexArray, second: IndexArray) -> FloatArray:
    """[m, m] n × the covariances of the sample correlations (first[a], second[a]) of normal scores with
    correlations `matrix`; Steiger 1980, eq. 2."""
    j, k = first[:, None], second[:, None]
    h, m = first[None, :], second[None, :]
    r = matrix
    squares = r[j, h] ** 2 + r[j, m] ** 2 + r[k, h] ** 2 + r[k, m] ** 2
    both = r[j, h] * r[k, m] + r[j, m] * r[k, h]
    left = r[j, k] * (r[j, h] * r[j, m] + r[k, h] * r[k, m])
    right = r[h, m] * (r[j, h] * r[k, h] + r[j, m] * r[k, m])
    return np.asarray(r[j, k] * r[h, m] * squares / 2 + both - left - right)


def _inverse(matrix: FloatArray) -> FloatArray | None:
    """None for a matrix that is singular to working precision."""
    try:
        inverse = np.asarray(np.linalg.inv(matrix))
    except np.linalg.LinAlgError:
        return None
    return inverse if np.isfinite(inverse).all() and (np.diag(inverse) > 0).all() else None


def _t_quantile(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(1 - _LEVEL / 2, freedom))

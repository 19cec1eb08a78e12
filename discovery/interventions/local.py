"""How well some values explain another, in the roles and in the experiments at once, compiled.

Values follow x = Bᵀ x + ε over roles. An experiment (a feature, a hint) shifts some of them; the means of
all others move as their causes did: with E_cy the mean effect of condition c on y, in standard deviations
of the roles, E_cy = a_y + Σ_s b_s E_cs + error wherever c does not act on y itself. Errors are those of the
means: of the steered answers, each condition its own, and of the baseline's, which all conditions have in
common, so that they are a shift a_y. Which values an experiment acts on is not told: where its effect on y
is not explained, it costs no more than a limit, as if it acted there. The score of y with causes S, larger
is better:

    −n log σ²(y | b) − a² / w(b) − Σ_g min( Σ_{c in g} r²_c / v_c(b), limit_g )

with r_c = E_cy − a − Σ_s b_s E_cs, v_c(b) = v_cy + Σ_s b_s² v_cs, w(b) likewise of the baseline, at the b
that is best: found by weighted least squares, weights and experiments that count taken from the step
before. Where an experiment moves nothing, r² / v is 1 on average whatever the causes: it speaks for no
direction. (With the logarithm of v beside it, as a likelihood has it, it would speak for the one from the
value that is measured better.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from axiograph.discovery.numerics.arrays import FloatArray, IndexArray
from axiograph.discovery.numerics.compiled import inlined, jit, jit_inner

STEPS = 4  # of reweighting at most; more change no graph
_SETTLED = 0.01  # a coefficient that moved by less
_MIN_VARIANCE = 1e-6  # of a value given others, as a share of its own


class Evidence(NamedTuple):
    """What the roles and the experiments say. `corr` [p, p] among `rows` roles; `effects` [p, m] in standard
    deviations, `errors` [p, m] their error variances without the baseline's, `shared` [p]; `ends` [g]: the
    conditions of experiment g end before ends[g]; `limits` [g]."""

    corr: FloatArray
    rows: float
    effects: FloatArray
    errors: FloatArray
    shared: FloatArray
    ends: IndexArray
    limits: FloatArray


class Bench(NamedTuple):
    """What a score is worked out in. `causes` [p]; `b` [p + 1]: their coefficients, then the shift; `matrix`
    [p + 1, p + 1] and `right` [p + 1] of the equations; for every condition, [m]: `weights`, what of them
    counts (`used`), and `residual`; `counts` [g]: 1 where an experiment counts."""

    causes: IndexArray
    b: FloatArray
    matrix: FloatArray
    right: FloatArray
    weights: FloatArray
    used: FloatArray
    residual: FloatArray
    counts: IndexArray


@jit
def make_bench(evidence: Evidence) -> Bench:
    """For scores of `evidence`."""
    p, m = evidence.effects.shape
    return Bench(
        np.empty(p, np.int64),
        np.zeros(p + 1),
        np.empty((p + 1, p + 1)),
        np.empty(p + 1),
        np.empty(m),
        np.empty(m),
        np.empty(m),
        np.empty(len(evidence.ends), np.int64),
    )


@jit_inner
def local_score(evidence: Evidence, bench: Bench, y: int, size: int) -> float:
    """The score of y with the first `size` of `bench.causes`; `bench.b` is then at their coefficients."""
    b = bench.b
    for i in range(size + 1):
        b[i] = 0.0
    for g in range(len(evidence.ends)):
        bench.counts[g] = 1
    variance = evidence.corr[y, y]
    _weigh(evidence, bench, y, size)
    cost = 0.0
    for _ in range(STEPS):
        _equations(evidence, bench, y, size, variance)
        moved = _solve(bench, size + 1)
        variance = max(_variance(evidence, bench, y, size), _MIN_VARIANCE)
        _weigh(evidence, bench, y, size)
        cost, changed = _choose(evidence, bench, y, size)
        if not changed and moved < _SETTLED:
            break
    shift = b[size] * b[size] / _spread(evidence.shared, bench, y, size)
    return -evidence.rows * np.log(variance) - shift - cost


@inlined
def _spread(shared: FloatArray, bench: Bench, y: int, size: int) -> float:
    """The error variance of what is left of y when the causes' share is taken away: w(b)."""
    total = shared[y]
    for i in range(size):
        total += bench.b[i] * bench.b[i] * shared[bench.causes[i]]
    return total


@inlined
def _weigh(evidence: Evidence, bench: Bench, y: int, size: int) -> None:
    """One over v_c(b), of every condition."""
    weights, errors = bench.weights, evidence.errors
    for c in range(len(weights)):
        weights[c] = errors[y, c]
    for i in range(size):
        square, x = bench.b[i] * bench.b[i], bench.causes[i]
        for c in range(len(weights)):
            weights[c] += square * errors[x, c]
    for c in range(len(weights)):
        weights[c] = 1.0 / weights[c]


@inlined
def _equations(evidence: Evidence, bench: Bench, y: int, size: int, variance: float) -> None:
    """Of the coefficients and the shift, at the weights."""
    causes, a, right, used = bench.causes, bench.matrix, bench.right, bench.used
    share = evidence.rows / variance
    start = 0
    a[size, size] = 1.0 / _spread(evidence.shared, bench, y, size)
    right[size] = 0.0
    for g in range(len(evidence.ends)):
        for c in range(start, evidence.ends[g]):
            used[c] = bench.weights[c] if bench.counts[g] else 0.0
            a[size, size] += used[c]
            right[size] += used[c] * evidence.effects[y, c]
        start = evidence.ends[g]
    for i in range(size):
        x = causes[i]
        right[i] = share * evidence.corr[x, y] + _product(used, evidence.effects, x, y)
        for j in range(i + 1):
            among = _product(used, evidence.effects, x, causes[j])
            a[i, j] = share * evidence.corr[x, causes[j]] + among
        total = 0.0
        for c in range(len(used)):
            total += used[c] * evidence.effects[x, c]
        a[size, i] = total


@inlined
def _product(used: FloatArray, effects: FloatArray, x: int, y: int) -> float:
    """Σ_c used_c E_xc E_yc, in four sums: one would wait for itself."""
    m = len(used)
    first = second = third = fourth = 0.0
    c = 0
    while c + 4 <= m:
        first += used[c] * effects[x, c] * effects[y, c]
        second += used[c + 1] * effects[x, c + 1] * effects[y, c + 1]
        third += used[c + 2] * effects[x, c + 2] * effects[y, c + 2]
        fourth += used[c + 3] * effects[x, c + 3] * effects[y, c + 3]
        c += 4
    while c < m:
        first += used[c] * effects[x, c] * effects[y, c]
        c += 1
    return (first + second) + (third + fourth)


@inlined
def _solve(bench: Bench, size: int) -> float:
    """Fill `b` by a Cholesky factor of the lower triangle, which it takes the place of; by how much b
    moved."""
    a, b, right = bench.matrix, bench.b, bench.right
    moved = 0.0
    for i in range(size):
        for j in range(i + 1):
            value = a[i, j]
            for k in range(j):
                value -= a[i, k] * a[j, k]
            a[i, j] = np.sqrt(max(value, 1e-12)) if i == j else value / a[j, j]
    for i in range(size):
        value = right[i]
        for k in range(i):
            value -= a[i, k] * right[k]
        right[i] = value / a[i, i]
    for i in range(size - 1, -1, -1):
        value = right[i]
        for k in range(i + 1, size):
            value -= a[k, i] * b[k]
        value /= a[i, i]
        moved = max(moved, abs(value - b[i]))
        b[i] = value
    return moved


@inlined
def _variance(evidence: Evidence, bench: Bench, y: int, size: int) -> float:
    """Of y over the roles, less what the causes explain with these coefficients."""
    variance = evidence.corr[y, y]
    for i in range(size):
        x = bench.causes[i]
        variance -= 2 * bench.b[i] * evidence.corr[x, y]
        for j in range(size):
            variance += bench.b[i] * bench.b[j] * evidence.corr[x, bench.causes[j]]
    return variance


@inlined
def _choose(evidence: Evidence, bench: Bench, y: int, size: int) -> tuple[float, bool]:
    """Which experiments count: what all cost, up to their limits, and whether others count than before."""
    residual, effects = bench.residual, evidence.effects
    shift = bench.b[size]
    for c in range(len(residual)):
        residual[c] = effects[y, c] - shift
    for i in range(size):
        b, x = bench.b[i], bench.causes[i]
        for c in range(len(residual)):
            residual[c] -= b * effects[x, c]
    start, changed, total = 0, False, 0.0
    for g in range(len(evidence.ends)):
        cost = 0.0
        for c in range(start, evidence.ends[g]):
            cost += residual[c] * residual[c] * bench.weights[c]
        start = evidence.ends[g]
        counts = 1 if cost < evidence.limits[g] else 0
        changed = changed or counts != bench.counts[g]
        bench.counts[g] = counts
        total += min(cost, evidence.limits[g])
    return total, changed

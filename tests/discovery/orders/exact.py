"""Oracles of best-order search: the score of a DAG by regressions, and the best of all DAGs."""

from __future__ import annotations

from itertools import combinations

import numpy as np


def random_scores(rng: np.random.Generator, values: range, rows: tuple[int, int] = (20, 400)) -> np.ndarray:
    """[n, p] rows of a linear model with a random DAG, its columns in random order."""
    p, n = int(rng.choice(values)), int(rng.integers(*rows))
    dag = np.triu(rng.random((p, p)) < rng.uniform(0, 0.6), k=1)
    weights = dag * rng.uniform(0.2, 1.0, (p, p)) * rng.choice([-1, 1], (p, p))
    data = rng.normal(size=(n, p)) @ np.linalg.inv(np.eye(p) - weights)
    return data[:, rng.permutation(p)]


def score(data: np.ndarray, dag: np.ndarray, penalty: float) -> float:
    """Σ_y −n log σ²(y | parents) − penalty · log n · parents by regressions on standardised columns."""
    n = len(data)
    z = (data - data.mean(axis=0)) / data.std(axis=0)
    total = 0.0
    for y in range(z.shape[1]):
        parents = np.flatnonzero(dag[:, y])
        residual = z[:, y]
        if parents.size:
            residual = residual - z[:, parents] @ np.linalg.lstsq(z[:, parents], z[:, y], rcond=None)[0]
        total -= n * np.log(np.mean(residual**2)) + penalty * np.log(n) * parents.size
    return total


def best_score(
    data: np.ndarray,
    penalty: float,
    bound: int,
    allowed: np.ndarray | None = None,
    required: np.ndarray | None = None,
) -> float:
    """The highest score of any DAG, by dynamic programming over sets (Silander & Myllymäki 2006, UAI).

    allowed, required [p, p]: entry [x, y] is true where x may, or has to, be a parent of y."""
    n, p = data.shape
    corr = np.corrcoef(data.T)
    logdet = np.zeros(1 << p)
    for size in range(1, p + 1):
        sets = np.array(list(combinations(range(p), size)))
        codes = (1 << sets).sum(axis=1)
        logdet[codes] = np.linalg.slogdet(corr[sets[:, :, None], sets[:, None, :]])[1]
    codes = np.arange(1 << p)
    sizes = np.array([code.bit_count() for code in codes.tolist()])
    parents = np.empty((p, 1 << p))
    for y in range(p):
        without = codes[codes >> y & 1 == 0]
        best = np.full(1 << p, -np.inf)
        best[without] = (
            -n * (logdet[without | 1 << y] - logdet[without]) - penalty * np.log(n) * sizes[without]
        )
        banned = 0 if allowed is None else sum(1 << x for x in range(p) if not allowed[x, y] and x != y)
        wanted = 0 if required is None else sum(1 << x for x in np.flatnonzero(required[:, y]).tolist())
        best[(sizes > bound) | (codes & banned & ~wanted > 0) | (codes & wanted != wanted)] = -np.inf
        for x in range(p):
            holds = codes[codes >> x & 1 == 1]
            best[holds] = np.maximum(best[holds], best[holds & ~(1 << x)])
        parents[y] = best
    highest = [0.0] * (1 << p)
    for code in range(1, 1 << p):
        members = (y for y in range(p) if code >> y & 1)
        highest[code] = max(highest[code & ~(1 << y)] + parents[y, code & ~(1 << y)] for y in members)
    return highest[-1]

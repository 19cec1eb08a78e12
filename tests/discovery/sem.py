"""Data whose sample covariance is exactly that of a linear model, so that PC's answer is known."""

from itertools import product

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph


def exact_data(weights: np.ndarray, rows: int = 2000, seed: int = 0) -> np.ndarray:
    """[rows, n] with exactly the covariance of x = x @ weights + e, e of unit variance.

    weights[i, j] is the effect i → j."""
    n = len(weights)
    noise = np.random.default_rng(seed).normal(size=(rows, n))
    noise -= noise.mean(axis=0)
    white = np.linalg.qr(noise)[0] * np.sqrt(rows)
    return white @ np.linalg.inv(np.eye(n) - weights)


def weights_of(names: str, *edges: str, weight: float = 0.8) -> np.ndarray:
    """Edges such as "ab" for a → b."""
    weights = np.zeros((len(names), len(names)))
    for a, b in edges:
        weights[names.index(a), names.index(b)] = weight
    return weights


def cpdag_of(dag: np.ndarray) -> CausalGraph:
    """The CPDAG of a DAG [n, n] by its definition: an edge is directed where every DAG with the same
    skeleton and the same unshielded colliders points it the same way. For few edges only."""
    n = len(dag)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n) if dag[i, j] or dag[j, i]]
    members = []
    for turns in product((False, True), repeat=len(pairs)):
        other = np.zeros((n, n), dtype=bool)
        for (i, j), turn in zip(pairs, turns, strict=True):
            other[(j, i) if turn else (i, j)] = True
        power = np.linalg.matrix_power(other.astype(int), n)
        if not power.any() and colliders(other) == colliders(dag):
            members.append(other)
    always = np.all(members, axis=0)
    names = [f"v{i}" for i in range(n)]
    directed = [(names[i], names[j]) for i, j in np.argwhere(always)]
    open_pairs = [(names[i], names[j]) for i, j in pairs if not always[i, j] and not always[j, i]]
    return CausalGraph.from_edges(names, directed, open_pairs)


def colliders(dag: np.ndarray) -> set[tuple[int, int, int]]:
    n = len(dag)
    return {
        (i, k, j)
        for k in range(n)
        for i in range(n)
        for j in range(i + 1, n)
        if dag[i, k] and dag[j, k] and not dag[i, j] and not dag[j, i]
    }

"""Small linear worlds in which everything is known: roles, and what experiments did to them."""

from __future__ import annotations

import numpy as np

from axiograph.discovery.interventions.experiments import Experiments
from axiograph.discovery.interventions.search import InterventionalSearch
from axiograph.discovery.orders.search import BestOrder


def linear_world(weights, rows, rng):
    """[rows, p] of values x = Bᵀ x + ε with unit ε, B = `weights` [p, p]."""
    p = len(weights)
    return rng.normal(size=(rows, p)) @ np.linalg.inv(np.eye(p) - weights)


def experiments_on(weights, pushes, roles, rng, noise=0.0, levers=None):
    """`pushes` [m, p]: what each condition does directly; each is an experiment of its own."""
    p = len(weights)
    moved = np.asarray(pushes, dtype=float) @ np.linalg.inv(np.eye(p) - weights)
    baseline = noise * rng.normal(size=(roles, p))
    answers = moved[:, None, :] + noise * rng.normal(size=(len(moved), roles, p))
    names = tuple(f"c{k}" for k in range(len(moved)))
    return Experiments(
        tuple(f"v{k}" for k in range(p)),
        names,
        np.arange(len(moved)),
        names if levers is None else tuple(levers),
        answers - baseline,
        {},
    )


def search_of(data, experiments):
    return InterventionalSearch.beside(BestOrder(), experiments, experiments.names, data)


def random_weights(p, rng, density=0.5):
    """A DAG in a random order of the values."""
    upper = (
        np.triu(rng.random((p, p)) < density, 1) * rng.uniform(0.5, 1.0, (p, p)) * rng.choice([-1, 1], (p, p))
    )
    order = rng.permutation(p)
    return upper[np.ix_(order, order)]

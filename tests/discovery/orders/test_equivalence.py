import warnings
from itertools import product

import numpy as np
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.orders.equivalence import ARROW, TAIL, fill_class
from tests.discovery.sem import colliders


def class_of(dag, known=None):
    marks = np.empty(dag.shape, np.uint8)
    nothing = np.zeros(dag.shape, np.uint8)
    fill_class(dag.astype(np.uint8), nothing if known is None else known.astype(np.uint8), marks)
    return marks


def random_dag(rng, largest):
    p = int(rng.integers(2, largest))
    dag = np.triu(rng.random((p, p)) < rng.uniform(0.1, 0.9), k=1)
    order = rng.permutation(p)
    return dag[np.ix_(order, order)]


@pytest.mark.parametrize("seed", range(150))
def test_equals_causal_learns(seed):
    from axiograph.discovery.algorithms.causal_learn import cpdag_of

    dag = random_dag(np.random.default_rng([1, seed]), 14)
    names = [f"v{k}" for k in range(len(dag))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert CausalGraph(tuple(names), class_of(dag)) == cpdag_of(names, dag)


@pytest.mark.parametrize("seed", range(150))
def test_with_knowledge_it_is_what_all_agreeing_members_share(seed):
    # By the definition: all DAGs of the class in which the known edges point as they do in the DAG.
    rng = np.random.default_rng([2, seed])
    dag = random_dag(rng, 6)
    known = dag & (rng.random(dag.shape) < 0.3)
    pairs = [(i, j) for i, j in np.argwhere(np.triu(dag | dag.T))]
    members = []
    for turns in product((False, True), repeat=len(pairs)):
        other = np.zeros_like(dag)
        for (i, j), turn in zip(pairs, turns, strict=True):
            other[(j, i) if turn else (i, j)] = True
        cyclic = np.linalg.matrix_power(other.astype(int), len(dag)).any()
        if not cyclic and colliders(other) == colliders(dag) and not (known & ~other).any():
            members.append(other)
    always = np.all(members, axis=0)
    marks = class_of(dag, known)
    assert np.array_equal((marks == ARROW) & (marks.T == TAIL), always)
    assert np.array_equal(marks > 0, dag | dag.T)

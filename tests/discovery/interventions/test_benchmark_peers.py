"""The benchmark's own peer: arrows of a skeleton from what steering moved."""

from dataclasses import replace

import numpy as np
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from tests.packages import ROOT

NAMES = ("a", "b", "c")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import interventions_peers
    import interventions_studies

    return interventions_peers, interventions_studies


def test_an_edge_points_from_what_moves_the_other_and_is_not_moved_by_it(benchmark):
    peers, _ = benchmark
    # a → b was found the wrong way round, b — c without a direction; steering a moves b and, through it, c.
    found = CausalGraph.from_edges(NAMES, [("b", "a")], [("b", "c")])
    moves = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1]], dtype=bool)
    assert peers.oriented(found, moves) == CausalGraph.from_edges(NAMES, [("a", "b"), ("b", "c")])


def test_edges_of_which_both_or_neither_moves_the_other_stay(benchmark):
    peers, _ = benchmark
    found = CausalGraph.from_edges(NAMES, [("a", "b")], [("b", "c")])
    moves = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
    assert peers.oriented(found, moves) == found


def test_what_moves_is_told_by_roles_that_move_with_the_strength(benchmark):
    peers, studies = benchmark
    setting = studies.Setting("small", 3, 20, 4)
    small = studies.study(setting, 0)
    # Steered from −1 to +1 value 0 moves itself by 2 and value 1 by 1; value 2 by as much either way.
    differences = np.zeros_like(small.experiments.differences)
    wobble = 0.01 * np.arange(4)
    differences[0] = np.c_[-1 + wobble, -0.5 - wobble, 0.3 + wobble]
    differences[1] = np.c_[1 + wobble, 0.5 - wobble, 0.3 + wobble[::-1]]
    study = replace(small, experiments=replace(small.experiments, differences=differences))
    assert peers.moved(study, 0.01).tolist() == [[True, True, False], [False] * 3, [False] * 3]
    # And the rows that others get: of four roles steered by each of three features, twice.
    rows = peers.as_differences(study)
    assert [len(table) for table in rows.steered] == [4] * 6
    np.testing.assert_allclose(rows.steered[1] - differences[1], np.tile(study.baseline.mean(axis=0), (4, 1)))

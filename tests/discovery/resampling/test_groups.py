"""Replicates where a role has several rows, and where correlations are corrected."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.matrix.corrections import Corrected
from axiograph.discovery.pc.search import LearnedGraph, pc, pc_causal_learn
from axiograph.discovery.resampling.replicates import ReplicateTask
from axiograph.discovery.resampling.rows import Resample, Units, draw_many
from axiograph.discovery.resampling.score_table import ScoreTable
from axiograph.engine.errors import InputError, RunError
from tests.discovery.bootstrapped import bootstrapped


def names_of(data: np.ndarray) -> tuple[str, ...]:
    return tuple(f"v{k}" for k in range(data.shape[1]))


def pooled(seed: int, roles: int, columns: int, unequal: bool) -> tuple[np.ndarray, np.ndarray]:
    """(data, groups), rows in any order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, roles) if unequal else np.full(roles, 3)
    groups = rng.permutation(np.repeat(np.arange(roles), sizes))
    mix = np.eye(columns) + 0.6 * rng.normal(size=(columns, columns))
    data = rng.normal(size=(roles, columns))[groups] + 0.5 * rng.normal(size=(len(groups), columns))
    return data @ mix, groups


def asked(data, groups, **settings):
    """What the engine is asked, call by call: (rows, keywords)."""
    calls: list[tuple[np.ndarray, dict]] = []
    names = names_of(data)

    def engine(sample, columns, alpha, **chosen):
        calls.append((sample, chosen))
        return LearnedGraph(CausalGraph.empty(names), ())

    settings = {"replicates": 4, "null_replicates": 0} | settings
    found = bootstrapped(
        data, names, full=CausalGraph.empty(names), function=engine, groups=groups, **settings
    )
    return found, calls


@pytest.mark.parametrize(
    ("resample", "n"), [("half_of_roles", 6), ("roles_with_replacement", 12), ("rows_with_replacement", 12)]
)
def test_tests_count_roles_never_rows(resample, n):
    data, groups = pooled(0, 12, 3, unequal=True)
    found, calls = asked(data, groups, resample=resample, null_replicates=2)
    assert found.replicates.rows == n
    assert [chosen["n"] for _, chosen in calls] == [n] * 4 + [12, n, 12] * 2
    null = calls[4:]  # of each null table all rows, a replicate, and all rows with flipped signs
    assert all(len(sample) == len(data) for sample, _ in [*null[::3], *null[2::3]])
    if resample == "rows_with_replacement":
        assert all(len(sample) == len(data) for sample, _ in calls)


def test_a_drawn_role_brings_all_its_rows_hand_worked():
    data, groups = pooled(1, 12, 2, unequal=True)
    _, calls = asked(data, groups, seed=5, resample="roles_with_replacement")
    for drawn, (sample, _) in zip(
        draw_many(12, Resample.ROLES_WITH_REPLACEMENT, 5, range(4)), calls, strict=True
    ):
        expected = np.concatenate([data[groups == role] for role in drawn])
        assert sorted(map(tuple, sample)) == sorted(map(tuple, expected))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 40), st.sampled_from(list(Resample)), st.booleans())
def test_weights_give_the_graphs_of_copied_rows(seed, roles, resample, unequal):
    data, groups = pooled(seed, roles, 5, unequal)
    names = names_of(data)
    task = ReplicateTask(ScoreTable(data, names, groups), resample=resample, seed=3)
    made = task.replicates(range(12))
    units = Units.of(len(data), groups, resample)
    for r, drawn in enumerate(draw_many(len(units), resample, 3, range(12))):
        copied = pc(data[units.rows_of(drawn)], names, n=task.n)
        assert made.failed[r] is None
        assert np.array_equal(made.marks[r], copied.graph.marks)


def test_grouped_replicates_take_the_fast_way():
    data, groups = pooled(2, 60, 6, unequal=True)
    task = ReplicateTask(ScoreTable(data, names_of(data), groups))
    drawn = draw_many(60, Resample.HALF_OF_ROLES, 0, range(20))
    assert task._from_weights(drawn, np.zeros((20, 6, 6), np.uint8)).mean() > 0.9


def test_one_row_a_role_is_what_no_groups_are():
    data, _ = pooled(3, 40, 4, unequal=False)
    data = data[:40]
    results = [
        bootstrapped(
            data, names_of(data), full=CausalGraph.empty(names_of(data)), replicates=30, groups=groups
        )
        for groups in (None, np.arange(40))
    ]
    assert np.array_equal(results[0].graphs.edges, results[1].graphs.edges)
    assert results[0].inflation == results[1].inflation


def test_the_kernel_and_causal_learn_agree_on_grouped_rows():
    data, groups = pooled(4, 40, 4, unequal=True)
    chosen = {"replicates": 8, "null_replicates": 2, "groups": groups}
    ours, theirs = (
        bootstrapped(data, names_of(data), full=CausalGraph.empty(names_of(data)), function=engine, **chosen)
        for engine in (pc, pc_causal_learn)
    )
    assert np.array_equal(ours.graphs.edges, theirs.graphs.edges)
    assert ours.inflation == theirs.inflation


def test_independent_pooled_columns_have_few_edges_with_roles_as_n_and_many_with_rows():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(100), 11)
    data = np.repeat(rng.normal(size=(100, 10)), 11, axis=0) + 0.5 * rng.normal(size=(1100, 10))
    names = names_of(data)
    by_role = bootstrapped(
        data, names, full=CausalGraph.empty(names), replicates=20, groups=groups, alpha=0.01
    )
    by_row = bootstrapped(data, names, full=CausalGraph.empty(names), replicates=20, alpha=0.01)
    assert by_role.inflation.replicates < 2
    assert by_row.inflation.replicates > 8
    # The null of the roles keeps that n is theirs: as few edges as the data, which are independent too.
    assert by_role.inflation.null_full < 2


def test_indicators_stay_in_the_null():
    data, groups = pooled(6, 12, 2, unequal=False)
    data = np.c_[data, np.arange(len(data)) % 2]
    _, calls = asked(data, groups, null_replicates=1, indicators=["v2"])
    assert np.array_equal(calls[4][0][:, 2], data[:, 2])
    assert not np.array_equal(calls[4][0][:, 0], data[:, 0])
    with pytest.raises(InputError, match="names of columns"):
        asked(data, groups, indicators=["w"])


@dataclass(frozen=True)
class Shrunk:
    """Halves every correlation; has to project replicates that hold row 0, and fails where `broken`."""

    data: np.ndarray
    broken: bool = False

    def correlation(self, rows):
        if self.broken:
            raise RunError("correction", "a reliability", "none", "Ask more items.")
        corr = np.corrcoef(self.data[rows].T) * 0.5
        np.fill_diagonal(corr, 1.0)
        return Corrected(corr, bool((rows == 0).any()), 0.8)

    def permuted(self, sources):
        return Shrunk(np.take_along_axis(self.data, sources, axis=0), self.broken)

    def with_scores(self, data):
        return Shrunk(data, self.broken)

    def known(self):
        return None


@pytest.mark.parametrize("engine", [pc, pc_causal_learn])
def test_corrected_correlations_are_what_the_tests_see(engine):
    data, groups = pooled(7, 60, 4, unequal=False)
    names = names_of(data)
    chosen = {"replicates": 6, "null_replicates": 2, "groups": groups, "correction": Shrunk(data)}
    found = bootstrapped(data, names, full=CausalGraph.empty(names), function=engine, **chosen)
    drawn = draw_many(60, Resample.HALF_OF_ROLES, 0, range(6))
    units = Units.of(len(data), groups, Resample.HALF_OF_ROLES)
    for r in range(6):
        rows = units.rows_of(drawn[r])
        corrected = Shrunk(data).correlation(rows)
        expected = pc(data[rows], names, n=24, correlation=corrected.matrix)  # 0.8 of 30 roles
        assert found.graphs.graph(r) == expected.graph
    assert found.replicates.projected == sum(groups[0] in roles for roles in drawn)
    assert found.inflation.failed == 0


def test_the_nulls_correction_is_that_of_its_own_table():
    data, groups = pooled(8, 12, 3, unequal=False)
    found, calls = asked(data, groups, null_replicates=1, correction=Shrunk(data))
    sample, chosen = calls[4]
    expected = np.corrcoef(sample.T) * 0.5
    np.fill_diagonal(expected, 1.0)
    assert np.allclose(chosen["correlation"], expected)
    assert chosen["n"] == int(0.8 * 12)
    assert found.replicates.projected >= 0


def test_a_replicate_that_cannot_be_corrected_is_counted_as_failed():
    data, groups = pooled(9, 12, 3, unequal=False)
    found, calls = asked(data, groups, null_replicates=2, correction=Shrunk(data, broken=True))
    assert calls == []
    assert (found.replicates.used, found.replicates.failed, found.inflation.failed) == (0, {"none": 4}, 6)


def test_knowledge_goes_with_groups():
    data, groups = pooled(10, 12, 2, unequal=True)
    knowledge = Knowledge(tiers={"v0": 0, "v1": 1})
    _, calls = asked(data, groups, knowledge=knowledge)
    assert all(chosen == {"knowledge": knowledge, "n": 6} for _, chosen in calls)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_workers_change_nothing(n_jobs):
    data, groups = pooled(11, 40, 4, unequal=True)
    names = names_of(data)
    for correction in (None, Shrunk(data)):
        chosen = {"replicates": 300, "null_replicates": 9, "groups": groups, "correction": correction}
        one, many = (
            bootstrapped(data, names, full=CausalGraph.empty(names), jobs=k, **chosen) for k in (1, n_jobs)
        )
        assert np.array_equal(one.graphs.edges, many.graphs.edges)
        assert (one.inflation, one.replicates) == (many.inflation, many.replicates)

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.algorithms.causal_learn import GES
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.orders.search import BestOrder
from axiograph.discovery.pc.search import PC, pc, pc_causal_learn
from axiograph.discovery.resampling import weighted
from axiograph.discovery.resampling.replicates import ReplicateTask
from axiograph.discovery.resampling.rows import Resample, Units, draw_many
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from tests.discovery.bootstrapped import bootstrapped
from tests.discovery.oracle import paper_scores


def names_of(data: np.ndarray) -> tuple[str, ...]:
    return tuple(f"v{k}" for k in range(data.shape[1]))


def products(data: np.ndarray) -> weighted.Products | None:
    return weighted.products(data, Units.of(len(data), None, Resample.HALF_OF_ROLES))


def replicates(data, engine, **chosen):
    names = names_of(data)
    chosen = {"replicates": 12, "null_replicates": 0} | chosen
    return bootstrapped(data, names, full=CausalGraph.empty(names), function=engine, **chosen)


def assert_same_graphs(ours, theirs):
    assert np.array_equal(ours.graphs.used, theirs.graphs.used)
    assert np.array_equal(ours.graphs.presence(), theirs.graphs.presence())
    differing = np.flatnonzero((ours.graphs.edges != theirs.graphs.edges).any(axis=1))
    assert differing.size == 0, differing


@st.composite
def tables(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    rows, columns = draw(st.integers(10, 80)), draw(st.integers(2, 7))
    data = rng.normal(size=(rows, columns)) @ (np.eye(columns) + 0.5 * rng.normal(size=(columns, columns)))
    if draw(st.booleans()):
        data = np.clip(np.round(data), -1, 1)  # ties, constant and collinear columns in replicates
    if draw(st.booleans()):
        data[: rows - 2, 0] = 0.0
    return data[:, np.ptp(data, axis=0) > 0]


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from(list(Resample)), st.sampled_from([0.01, 0.05, 0.3]), st.integers(0, 3))
def test_every_replicate_is_causal_learns(data, resample, alpha, seed):
    if data.shape[1] < 2:
        return
    chosen = {"resample": resample, "alpha": alpha, "seed": seed}
    ours, theirs = (replicates(data, engine, **chosen) for engine in (pc, pc_causal_learn))
    if ours.replicates.borderline == 0:
        assert_same_graphs(ours, theirs)


@pytest.mark.parametrize("resample", list(Resample))
def test_every_replicate_of_the_papers_data_is_causal_learns(paper_data, resample):
    data = paper_scores(paper_data)[:300]
    ours, theirs = (replicates(data, engine, resample=resample) for engine in (pc, pc_causal_learn))
    assert ours.replicates.borderline == 0
    assert_same_graphs(ours, theirs)
    assert ours.edges.table().equals(theirs.edges.table())


@pytest.mark.parametrize("resample", list(Resample))
def test_weights_give_the_graphs_of_copied_rows(paper_data, resample):
    data = paper_scores(paper_data)
    names = names_of(data)
    task = ReplicateTask(ScoreTable(data, names), resample=resample, seed=3)
    made = task.replicates(range(30))
    rows = draw_many(len(data), resample, 3, range(30))
    marks = np.zeros((30, 17, 17), np.uint8)
    done = weighted.graphs(products(data), rows, rows.shape[1], 0.05, marks)
    assert done.mean() > 0.9  # the fast way is the one that is taken
    for r in range(30):
        copied = pc(data[rows[r]], names).graph.marks
        assert np.array_equal(made.marks[r], copied)
        assert not done[r] or np.array_equal(marks[r], copied)


def test_products_by_their_definition():
    rng = np.random.default_rng(0)
    data, groups = rng.normal(3, 2, size=(12, 3)), np.array([0, 1, 2, 3, 0, 1, 2, 0, 0, 3, 3, 2])
    found = weighted.products(data, Units.of(12, groups, Resample.HALF_OF_ROLES))
    z = np.c_[(data - data.mean(axis=0)) / data.std(axis=0), np.ones(12)]
    for role in range(4):
        gram = z[groups == role].T @ z[groups == role]
        pairs = [gram[i, j] for i in range(3) for j in range(i, 3)]
        assert np.allclose(found.sums[role, :10], [*pairs, *gram[3]])
    assert found.cells == 10
    assert not found.sums[:, 10:].any()
    assert not found.sums[4].any()


@pytest.mark.parametrize(("units", "columns"), [(1, 3), (7, 8), (300, 40), (90, 2160)])
def test_weighted_sums_by_their_definition(units, columns):
    # The last two are gone through in several parts.
    rng = np.random.default_rng(units)
    rows = np.zeros((units + 1, (columns + 7) // 8 * 8))
    rows[:-1, :columns] = rng.normal(size=(units, columns))
    for drawn in (
        rng.integers(0, units, (5, units)),
        np.argsort(rng.random((4, units)))[:, : (units + 1) // 2],
    ):
        weights = np.stack([np.bincount(draw, minlength=units) for draw in drawn])
        assert np.allclose(weighted.weighted_sums(rows, drawn), weights @ rows[:-1])


def test_rank_is_clear_where_the_trace_of_the_inverse_is_small():
    # The trace is 4 + 2 / (1 − (1 − gap)²), about 4 + 1 / gap, and may be up to 1e10.
    for gap, clear in ((1e-2, True), (1e-9, True), (1e-11, False)):
        corr = np.eye(6)
        corr[0, 1] = corr[1, 0] = 1 - gap
        assert weighted._of_full_rank(corr, 100.0, np.empty((6, 6))) == clear
        assert weighted._of_full_rank(corr, 6.0, np.empty((6, 6)))  # not asked with so few rows
    rng = np.random.default_rng(0)
    corr = np.corrcoef(rng.normal(size=(7, 40)))
    root = np.empty((7, 7))
    weighted._of_full_rank(corr, 100.0, root)
    assert weighted._trace_of_inverse(root) == pytest.approx(np.trace(np.linalg.inv(corr)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d + 1e9,  # far from 0: a Gram matrix would lose the digits
        lambda d: np.tile(d, (1, 17)) + np.random.default_rng(0).normal(size=(60, 68)),  # many columns
    ],
)
def test_data_that_weights_do_not_suit_are_copied(spoil):
    data = spoil(np.random.default_rng(1).normal(size=(60, 4)))
    assert products(data) is None
    names = names_of(data)
    made = ReplicateTask(ScoreTable(data, names)).replicates(range(3))
    for r, rows in enumerate(draw_many(60, Resample.HALF_OF_ROLES, 0, range(3))):
        assert np.array_equal(made.marks[r], pc(data[rows], names).graph.marks)


def test_replicates_in_doubt_are_not_settled_by_weights():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 4))
    data[:, 3] = data[:, 0] - data[:, 1]  # collinear
    rows = np.stack([rng.permutation(40)[:20] for _ in range(5)])
    assert not weighted.graphs(products(data), rows, 20, 0.05, np.zeros((5, 4, 4), np.uint8)).any()
    data[:, 3] = 0.0
    data[39, 3] = 1.0  # constant in the rows before
    rows = np.stack([rng.permutation(39)[:20] for _ in range(5)])
    assert not weighted.graphs(products(data), rows, 20, 0.05, np.zeros((5, 4, 4), np.uint8)).any()


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads_change_nothing(n_jobs):
    rng = np.random.default_rng(4)
    data = rng.normal(size=(120, 9)) @ rng.normal(size=(9, 9))
    data[:110, 8] = np.round(data[:110, 8])
    chosen = {"replicates": 130, "null_replicates": 17, "seed": 11}
    one, many = (replicates(data, pc, jobs=k, **chosen) for k in (1, n_jobs))
    assert np.array_equal(one.graphs.edges, many.graphs.edges)
    assert one.edges.table().equals(many.edges.table())
    assert (one.inflation, one.replicates) == (many.inflation, many.replicates)


def test_processes_change_nothing():
    import joblib

    data = np.random.default_rng(5).normal(size=(60, 5)) @ np.random.default_rng(6).normal(size=(5, 5))
    chosen = {"replicates": 90, "null_replicates": 9}
    one = replicates(data, pc, **chosen)
    with joblib.parallel_config(backend="loky"):
        two = replicates(data, pc, jobs=2, **chosen)
    theirs = replicates(data, pc_causal_learn, jobs=2, **chosen)
    assert_same_graphs(one, two)
    assert_same_graphs(one, theirs)
    assert one.inflation == two.inflation == theirs.inflation


@pytest.mark.slow
def test_ray_changes_nothing_and_shows_progress():
    import joblib
    import ray
    from ray.util.joblib import register_ray

    data = np.random.default_rng(5).normal(size=(60, 5)) @ np.random.default_rng(6).normal(size=(5, 5))
    calls: list[tuple[int, int]] = []
    ray.shutdown()  # that of a test before, in the same process
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        register_ray()
        with joblib.parallel_config(backend="ray"):
            found = replicates(
                data, pc, jobs=2, replicates=5000, progress=lambda done, total: calls.append((done, total))
            )
    finally:
        ray.shutdown()
    assert_same_graphs(found, replicates(data, pc, replicates=5000))
    assert calls[-1] == (5000, 5000)
    assert len(calls) > 2


@pytest.mark.parametrize("known", [None, Knowledge(tiers={"a": 0, "b": 1}, required=frozenset({("c", "d")}))])
@pytest.mark.parametrize("values", [6, 14])  # the best of all DAGs; the best that is climbed to
def test_best_orders_from_sums_are_those_of_copied_rows(known, values):
    rng = np.random.default_rng(17)
    weights = np.eye(values) + np.triu(rng.normal(size=(values, values)), 1) / 3
    data = rng.normal(size=(90, values)) @ weights
    table, search = ScoreTable(data, "abcdefghijklmn"[:values]), Search(BestOrder(), 0.05, known)
    task = ReplicateTask(table, search)
    assert task._products is not None
    found = task.replicates(range(40))
    for k, drawn in enumerate(draw_many(90, Resample.HALF_OF_ROLES, 0, range(40))):
        assert np.array_equal(found.marks[k], search.on_half().run(table, drawn, 45).result.graph.marks)


@pytest.mark.parametrize("function", [BestOrder(2.0), GES(2.0)])
def test_replicates_of_half_of_the_roles_have_three_quarters_of_the_penalty(function):
    table, search = ScoreTable(np.random.default_rng(0).normal(size=(20, 3)), "abc"), Search(function)
    assert ReplicateTask(table, search).asked.function == replace(function, penalty=1.5)
    assert ReplicateTask(table, search, Resample.ROLES_WITH_REPLACEMENT).asked == search


def test_searches_without_a_penalty_ask_the_same_of_half_of_the_roles():
    for function in (pc, PC("max_p")):
        assert Search(function).on_half().function is function

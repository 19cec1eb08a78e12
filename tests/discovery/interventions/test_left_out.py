"""Graphs without a lever, replicates of coefficients, and total effects."""

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.effects.relations import Judge, Judges
from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.interventions.draws import JointDraws, joint_draws
from axiograph.discovery.interventions.findings import find, load_coefficients, save_coefficients
from axiograph.discovery.interventions.left_out import LeftOutGraphs, left_out_draws
from axiograph.discovery.interventions.search import JointGraph, total_effects
from axiograph.discovery.interventions.totals import totals_table
from axiograph.discovery.resampling.bootstrap import bootstrap
from axiograph.discovery.resampling.replicates import ReplicateTask
from axiograph.discovery.resampling.rows import Resampling
from axiograph.discovery.resampling.score_table import ScoreTable, Search
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import EffectsSpec
from tests.discovery.interventions.test_kernel import inputs_of
from tests.discovery.interventions.worlds import experiments_on, linear_world, random_weights, search_of
from tests.discovery.made_profiles import packed, profiles, provenance


def made(seed=0, p=5, levers=None, pushes=None):
    rng = np.random.default_rng(seed)
    weights = random_weights(p, rng)
    data = linear_world(weights, 60, rng)
    return data, experiments_on(weights, np.eye(p) if pushes is None else pushes, 8, rng, 0.3, levers)


def task_of(data, tried):
    return ReplicateTask(ScoreTable(data, tried.names), Search(search_of(data, tried)))


def test_draws_are_the_replicates_of_the_frequencies():
    data, tried = made()
    task = task_of(data, tried)
    draws = joint_draws(task, 20, jobs=2)
    whole = task.search.function(data, tried.names).graph
    found = bootstrap(task.table, task.search, Resampling(20, null_replicates=0), full=whole)
    np.testing.assert_array_equal(draws.graphs.marks(), found.graphs.marks())
    joined = (draws.weights != 0) | (draws.weights != 0).transpose(0, 2, 1)
    np.testing.assert_array_equal(joined, draws.graphs.marks() != 0)


def test_the_graphs_of_a_lever_know_nothing_of_what_it_did():
    data, tried = made()
    before = left_out_draws(task_of(data, tried), 10)
    tried.differences[2] += np.random.default_rng(1).normal(size=tried.differences[2].shape)
    after = left_out_draws(task_of(data, tried), 10)
    np.testing.assert_array_equal(before["c2"].weights, after["c2"].weights)
    assert not np.array_equal(before["c1"].weights, after["c1"].weights)


def test_what_a_feature_does_beside_another_is_left_out_with_either():
    _, tried = made(
        p=3, pushes=[[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], levers=["f1", "f2", "f1 & f2", "f12"]
    )
    assert tried.without("f1").levers == ("f2", "f12")
    assert tried.without("f1 & f2").levers == ("f12",)


def test_total_effects_of_a_chain_by_hand():
    weights = np.zeros((3, 3))
    weights[0, 1], weights[1, 2], weights[0, 2] = 0.5, -0.4, 0.1
    total = total_effects(weights)
    assert total[0, 2] == pytest.approx(0.1 + 0.5 * -0.4) and total[2, 0] == 0
    graphs = packed("abc", [([("a", "b"), ("b", "c"), ("a", "c")], [])] * 100)
    draws = JointDraws(np.stack([weights * s for s in np.linspace(0.5, 1.5, 100)]), graphs)
    table = totals_table(JointGraph(weights, np.zeros((3, 3), np.uint8), 0.0, 0.0), draws)
    row = table.row(by_predicate=(pl.col("source") == "a") & (pl.col("target") == "b"), named=True)
    assert (row["direct"], row["total"], row["leads"]) == (0.5, 0.5, 1.0)
    assert row["total_low"] == pytest.approx(0.25, abs=0.02) and row["total_high"] == pytest.approx(
        0.75, abs=0.02
    )
    back = table.row(by_predicate=(pl.col("source") == "c") & (pl.col("target") == "a"), named=True)
    assert back["total"] == back["leads"] == 0


def test_files_are_read_back_and_others_refused(tmp_path):
    data, tried = made()
    task = task_of(data, tried)
    found = find(task, inputs_of(data, tried.names), 10)
    found.save(tmp_path)
    document = found.document()
    again = LeftOutGraphs.load(tmp_path / "left_out.npz", document["lever_of"])
    for lever, graphs in found.left_out.graphs.items():
        np.testing.assert_array_equal(again.graphs[lever].marks(), graphs.marks())
    names, weights = load_coefficients(tmp_path / "coefficients.npz")
    assert names == tried.names
    np.testing.assert_allclose(weights, found.draws.weights, rtol=1e-6)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="coefficients of replicates"):
        load_coefficients(tmp_path / "bad.npz")
    with pytest.raises(InputError, match="replicates of 3 levers"):
        LeftOutGraphs.load(tmp_path / "left_out.npz", {"a": "x", "b": "y", "c": "z"})
    save_coefficients(tmp_path / "again.npz", found.draws)


def test_every_prediction_has_an_interval_and_most_hold_what_was_measured():
    rng = np.random.default_rng(0)
    within = known = 0
    for seed in range(6):
        weights = random_weights(5, rng)
        data = linear_world(weights, 100, rng)
        tried = experiments_on(weights, np.eye(5), 12, rng, 0.3)
        found = find(task_of(data, tried), inputs_of(data, tried.names), 60).prediction
        counts = found.coverage
        within, known = within + counts[0], known + counts[1]
        assert found.document()["intervals"] == counts[1] == 20, seed
    assert 0.85 < within / known <= 1.0  # benchmarks/results/prediction.md has more worlds


def test_conditions_are_judged_by_their_own_graphs():
    # By the one graph b follows a, by the other nothing follows.
    zero, up = [0.0] * 8, [0.9, 1.1] * 4
    table = profiles({"baseline": {"a": zero, "b": zero}} | {c: {"a": up, "b": up} for c in ("x", "y")})
    one = CausalGraph.from_edges("ab", [("a", "b")], [])
    judges = Judges(Judge(one), {"without y": Judge(CausalGraph.empty("ab"))}, {"y": "without y"})
    found = effects(table, provenance(table), one, EffectsSpec(resamples=50, control_graphs=5), judges=judges)
    assert found.judges == {"y": "without y"}
    shares = {
        (r["condition"], r["value"], r["relation"]): r["share"] for r in found.responses.iter_rows(named=True)
    }
    assert shares["x", "a", "expected"] == 1.0 and shares["x", "a", "unexpected"] is None
    assert shares["y", "a", "expected"] is None and shares["y", "a", "unexpected"] == 1.0

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from axiograph.discovery.effects import control as module
from axiograph.discovery.effects.control import ControlInput, Judging, control, uniform_graph
from axiograph.discovery.effects.relations import Relation, Weights, relations
from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.study.schema import EffectsSpec
from tests.discovery.graph.test_causal_graph import graphs
from tests.discovery.made_profiles import ABCD, hand_worked, packed, profiles, provenance


def given_input(rng: np.random.Generator, conditions: int, values: int) -> ControlInput:
    tested = rng.random((conditions, values)) < 0.9
    changed = tested & (rng.random((conditions, values)) < 0.5)
    size = np.where(tested, rng.normal(size=(conditions, values)), 0.0)
    return ControlInput(changed, tested, np.stack([changed.astype(float), size], axis=-1))


def alone(graph: CausalGraph, weights: Weights, conditions: int) -> Judging:
    """One graph that judges every condition."""
    return Judging([graph], [weights], np.zeros(conditions, np.int64))


def plain_difference(given: ControlInput, table: np.ndarray, conditions: range, measure: int) -> float:
    """Expected − unexpected of weights [3, n, n], term by term."""
    shares = []
    for r in (0, 2):
        top = bottom = 0.0
        for c in conditions:
            for j in np.flatnonzero(given.changed[c]):
                for k in np.flatnonzero(given.tested[c]):
                    top += table[r, j, k] * given.outcomes[c, k, measure]
                    bottom += table[r, j, k]
        shares.append(top / bottom if bottom else np.nan)
    return shares[0] - shares[1]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_shuffled_names_term_by_term(seed):
    rng = np.random.default_rng(seed)
    graph = CausalGraph.from_edges("abcde", [("a", "b"), ("b", "c"), ("d", "c")], [("d", "e")])
    weights = Weights.of(
        graph, packed("abcde", [([("a", "b")], [("c", "d")]), ([("e", "a"), ("a", "b")], [])])
    )
    asked = given_input(rng, 2, 5)
    observed = rng.normal(size=(3, 2, 2))
    found = control(
        asked,
        observed,
        alone(graph, weights, len(asked.changed)),
        EffectsSpec(control_graphs=12, level=0.2, seed=seed),
    )
    for c, conditions in enumerate((range(1), range(1, 2), range(2))):
        for s in range(2):
            for m in range(2):
                differences = []
                for g in range(12):
                    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2, g))).permutation(
                        5
                    )
                    table = weights.table[s][:, order][:, :, order]
                    differences.append(plain_difference(asked, table, conditions, m))
                known = np.array([d for d in differences if not np.isnan(d)])
                assert found.graphs[c, s, m] == len(known)
                if len(known):
                    assert found.mean[c, s, m] == pytest.approx(known.mean())
                    above = np.sum(known >= observed[c, s, m] - 1e-9)
                    assert found.p[c, s, m] == pytest.approx((1 + above) / (1 + len(known)))
                if len(known) == 12:  # floor(0.2 · 13 / 2) = 1: the outermost
                    assert (found.low[c, s, m], found.high[c, s, m]) == pytest.approx(
                        (known.min(), known.max())
                    )


def one_condition(changed: list[bool], outcomes: list[float]) -> ControlInput:
    both = np.repeat(np.array(outcomes)[None, :, None], 2, axis=-1)
    return ControlInput(np.array([changed]), np.ones((1, len(changed)), bool), both)


def test_graphs_without_a_difference_are_left_out():
    # Two values, a alone moved: b is expected or unexpected, never is there one of each.
    graph = CausalGraph.from_edges("ab", [("a", "b")])
    observed, spec = np.full((2, 1, 2), np.nan), EffectsSpec(control_graphs=50)
    asked = one_condition([True, False], [1.0, 0.0])
    found = control(asked, observed, alone(graph, Weights.of(graph, None), len(asked.changed)), spec)
    assert np.isnan(found.p).all() and (found.graphs == 0).all() and np.isnan(found.mean).all()


def test_labellings_that_tie_with_the_graph_found_count():
    # b, c and d can be swapped without changing anything; p against all 120 labellings, one by one.
    graph = CausalGraph.from_edges("abcde", [("a", "b"), ("a", "c"), ("a", "d")])
    weights = Weights.of(graph, None)
    asked = one_condition([True] * 4 + [False], [0.1, 0.1, 0.1, 0.1, 0.0])
    observed = plain_difference(asked, weights.table[0], range(1), 0)
    labellings = [list(order) for order in itertools.permutations(range(5))]
    each = [
        plain_difference(asked, weights.table[0][:, order][:, :, order], range(1), 0) for order in labellings
    ]
    known = np.array(each)[~np.isnan(each)]  # none where e stands above the others: nothing is expected
    exact = np.mean(known >= observed - 1e-9)
    spec = EffectsSpec(control_graphs=4000)
    found = control(asked, np.full((2, 1, 2), observed), alone(graph, weights, len(asked.changed)), spec)
    assert 0.1 < exact < 0.9
    assert found.p == pytest.approx(exact, abs=0.04)  # 5 standard errors of 4000 labellings


def test_the_same_in_blocks_of_any_size(monkeypatch):
    graph = CausalGraph.from_edges("abcd", [("a", "b"), ("b", "c")])
    asked = given_input(np.random.default_rng(3), 5, 4)
    spec = EffectsSpec(control_graphs=20, level=0.1, seed=4)
    whole = control(
        asked, np.zeros((6, 1, 2)), alone(graph, Weights.of(graph, None), len(asked.changed)), spec
    )
    monkeypatch.setattr(module, "_CELLS", 1)
    parts = control(
        asked, np.zeros((6, 1, 2)), alone(graph, Weights.of(graph, None), len(asked.changed)), spec
    )
    for name in ("mean", "low", "high", "p", "graphs"):
        assert np.allclose(getattr(whole, name), getattr(parts, name), equal_nan=True)


@given(graphs(), st.integers(0, 1000))
def test_uniform_graphs_have_as_many_edges_of_each_kind(graph, seed):
    found = uniform_graph(graph, np.random.default_rng(seed))
    assert found.names == graph.names
    assert len(found.directed_edges()) == len(graph.directed_edges())
    assert len(found.undirected_edges()) == len(graph.undirected_edges())
    assert len(found.bidirected_edges()) == len(graph.bidirected_edges())
    assert found.cycles() == []


def test_uniform_graphs_put_every_edge_everywhere_alike():
    graph = CausalGraph.from_edges("abc", [("a", "b")])
    count = np.zeros((3, 3))
    for seed in range(3000):
        count += uniform_graph(graph, np.random.default_rng(seed)).directed_mask()
    assert count.sum() == 3000 and not count.diagonal().any()
    assert (abs(count[~np.eye(3, dtype=bool)] - 500) < 100).all()  # 5 standard deviations


def test_uniform_graphs_have_no_frequencies():
    table = hand_worked()
    made = packed("abcd", [([("a", "b")], []), ([], [("a", "b")])])
    found = effects(
        table,
        provenance(table),
        ABCD,
        EffectsSpec(control="uniform", control_graphs=50),
        replicates=made,
    )
    by = {kind: part for (kind,), part in found.contrasts.group_by("weights")}
    assert by["graph"]["p"].null_count() == 0
    assert by["replicates"]["p"].null_count() == by["replicates"].height
    assert set(by["replicates"]["reason"]) == {"a uniform graph has no replicates"}


def test_p_is_adjusted_over_the_conditions():
    rng = np.random.default_rng(0)
    zero = {f"v{i}": [0.0] * 8 for i in range(6)}
    names = list(zero)
    moved = {f"c{c}": {v: [float(rng.random() < 0.5)] * 8 for v in names} for c in range(5)}
    table = profiles({"baseline": zero} | moved)
    graph = CausalGraph.from_edges(names, [("v0", "v1"), ("v1", "v2"), ("v3", "v4")])
    found = effects(table, provenance(table), graph, EffectsSpec(control_graphs=200)).contrasts
    part = found.filter((pl.col("measure") == "share") & (pl.col("scope") == "condition")).drop_nulls("p")
    p = np.sort(part["p"].to_numpy())
    by_hand = np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    assert len(p) >= 3
    assert np.sort(part["p_adjusted"].to_numpy()) == pytest.approx(np.minimum(by_hand, 1))
    assert found.filter(pl.col("scope") == "all conditions")["p_adjusted"].is_null().all()


NAMES = [f"v{i:02}" for i in range(12)]


def random_graph(rng: np.random.Generator) -> CausalGraph:
    order = rng.permutation(12)
    pairs = [(order[i], order[j]) for i in range(12) for j in range(i + 1, 12)]
    chosen = [pairs[k] for k in rng.choice(len(pairs), size=12, replace=False)]
    return CausalGraph.from_edges(NAMES, [(NAMES[i], NAMES[j]) for i, j in chosen])


def simulated(rng: np.random.Generator, truth: CausalGraph) -> pl.DataFrame:
    """24 roles; four conditions move one value each and, by 0.6 of it, what descends from it in `truth`."""
    moves = np.eye(12) + 0.6 * relations(truth)[Relation.EXPECTED]
    base = rng.normal(size=(24, 12))
    tables = {"baseline": base}
    for c, j in enumerate(rng.choice(12, size=4, replace=False)):
        tables[f"c{c}"] = base + moves[j] + 0.5 * rng.normal(size=(24, 12))
    return profiles({c: dict(zip(NAMES, scores.T.tolist(), strict=True)) for c, scores in tables.items()})


def pooled(seed: int, related: bool) -> dict[str, dict]:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    table = simulated(rng, graph if related else random_graph(rng))
    found = effects(
        table,
        provenance(table),
        graph,
        EffectsSpec(resamples=1, control_graphs=199, seed=seed),
    ).contrasts
    return {
        row["measure"]: row for row in found.filter(pl.col("scope") == "all conditions").iter_rows(named=True)
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_graph_that_predicts_is_told_from_its_control(seed):
    found = pooled(seed, related=True)
    for measure in ("share", "size"):
        assert found[measure]["difference"] > found[measure]["control_high"]
        assert found[measure]["p"] <= 0.02


@pytest.mark.slow
def test_a_graph_that_does_not_predict_gives_false_alarms_as_often_as_it_says():
    found = [pooled(seed, related=False) for seed in range(200)]
    for measure in ("share", "size"):
        p = np.array([row[measure]["p"] for row in found if row[measure]["p"] is not None])
        assert len(p) >= 190
        for level in (0.05, 0.1, 0.25, 0.5, 0.75):
            low, high = binom.ppf([0.0005, 0.9995], len(p), level)
            assert low <= np.sum(p <= level) <= high, (measure, level, np.mean(p <= level))


def test_conditions_with_graphs_of_their_own_are_held_against_these():
    # Two judges, each of which would judge its condition so if it were the only one.
    rng = np.random.default_rng(5)
    graphs_ = [
        CausalGraph.from_edges("abcde", [("a", "b"), ("b", "c"), ("d", "c")], []),
        CausalGraph.from_edges("abcde", [("e", "d"), ("d", "a")], []),
    ]
    weights = [Weights.of(graph, None) for graph in graphs_]
    asked, observed = given_input(rng, 2, 5), rng.normal(size=(3, 1, 2))
    for way in ("relabelled", "uniform"):
        spec = EffectsSpec(control_graphs=20, control=way, seed=3)
        both = control(asked, observed, Judging(graphs_, weights, np.array([0, 1])), spec)
        for c in range(2):
            single = control(asked, observed, alone(graphs_[c], weights[c], 2), spec)
            for name in ("mean", "low", "high", "p", "graphs"):
                np.testing.assert_array_equal(getattr(both, name)[c], getattr(single, name)[c])

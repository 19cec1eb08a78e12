import numpy as np
import pytest

from axiograph.discovery.algorithms.nonparametric import ChiSquarePC, KernelPC, levels_of
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.pc.search import pc
from axiograph.engine.errors import RunError
from tests.discovery.sem import exact_data, weights_of


def theirs(data: np.ndarray, names, test: str, **settings) -> np.ndarray:
    from causallearn.search.ConstraintBased.PC import pc as causal_learn_pc

    return causal_learn_pc(data, 0.05, test, show_progress=False, node_names=list(names), **settings).G.graph


def parabola(rows: int) -> np.ndarray:
    """b = a² and noise: related, not correlated."""
    rng = np.random.default_rng(0)
    a = rng.uniform(-1, 1, size=rows)
    return np.c_[a, a**2 + 0.1 * rng.normal(size=rows)]


@pytest.mark.parametrize("seed", range(3))
def test_kernel_marks_are_causal_learns(seed):
    rng = np.random.default_rng(seed)
    data = np.tanh(rng.normal(size=(60, 4)) @ np.triu(rng.normal(size=(4, 4))))
    ours = KernelPC()(data, "abcd").graph
    assert np.array_equal(ours.to_causal_learn(), theirs(data, "abcd", "kci"))
    assert KernelPC(max_conditioning=0)(data, "abcd").graph == CausalGraph.from_causal_learn(
        "abcd", theirs(data, "abcd", "kci", max_k=0)
    )


def test_kernels_and_counts_see_what_correlations_do_not():
    data = parabola(60)
    assert pc(data, "ab", 0.01).graph.n_edges == 0
    expected = CausalGraph.from_edges("ab", [], [("a", "b")])
    assert KernelPC()(data, "ab", 0.01).graph == expected
    assert ChiSquarePC()(data, "ab", 0.01).graph == expected


@pytest.mark.parametrize("bins", ["quantile", "width", "as_answered"])
def test_chi_square_marks_are_causal_learns_on_the_levels(bins):
    edges = 0
    for seed in range(6):
        rng = np.random.default_rng([33, seed])
        data = np.round(2 * rng.normal(size=(400, 5)) @ np.triu(rng.normal(size=(5, 5)))) / 2
        ours = ChiSquarePC(bins=bins, levels=4)(data, "abcde").graph
        # causal-learn makes a level of every score that occurs: "as_answered" is the data themselves.
        table = data if bins == "as_answered" else levels_of(data, bins, 4).astype(float)
        assert np.array_equal(ours.to_causal_learn(), theirs(table, "abcde", "chisq"))
        edges += ours.n_edges
    assert edges > 6


@pytest.mark.parametrize("engine", [KernelPC(), ChiSquarePC()])
def test_knowledge_is_used(engine):
    data = exact_data(weights_of("ab", "ab"), rows=100)
    assert engine(data, "ab").graph == CausalGraph.from_edges("ab", [], [("a", "b")])
    tiers = Knowledge(tiers={"a": 1, "b": 0})
    assert engine(data, "ab", knowledge=tiers).graph == CausalGraph.from_edges("ab", [("b", "a")])
    apart = Knowledge(forbidden=frozenset({("a", "b"), ("b", "a")}))
    assert engine(data, "ab", knowledge=apart).graph == CausalGraph.empty("ab")


@pytest.mark.parametrize("turn", [lambda x: x**3, lambda x: -np.exp(x)])
def test_values_with_the_same_levels_are_a_named_failure(turn):
    data = np.random.default_rng(0).normal(size=(60, 3))
    data[:, 2] = turn(data[:, 0])
    with pytest.raises(RunError, match="the same levels in a and c"):
        ChiSquarePC()(data, "abc")


def test_a_test_without_a_p_value_is_a_failure_not_an_edge(monkeypatch):
    from causallearn.utils.KCI.KCI import KCI_UInd

    monkeypatch.setattr(KCI_UInd, "compute_pvalue", lambda *args: (np.float64("nan"), 0.0))
    with pytest.raises(RunError, match="1 tests without one"):
        KernelPC()(np.random.default_rng(0).normal(size=(30, 2)), "ab")

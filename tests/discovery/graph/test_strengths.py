"""The sign and strength of edges: hand-worked values, a plain regression, coverage of the intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.strengths import COLUMNS, correlation_covariance, edge_strengths

COLLIDER = CausalGraph.from_edges("aby", [("a", "y"), ("b", "y")])


def test_two_causes_hand_worked():
    # r_ab = 0, r_ay = .6, r_by = -.5: coefficients are the correlations; partial .6 / sqrt(1 - .25).
    matrix = np.array([[1, 0, 0.6], [0, 1, -0.5], [0.6, -0.5, 1]])
    a, b = edge_strengths(COLLIDER, matrix, 103).rows(named=True)
    assert (a["source"], a["target"]) == ("a", "y")
    assert a["coefficient"] == pytest.approx(0.6) and b["coefficient"] == pytest.approx(-0.5)
    assert a["partial"] == pytest.approx(0.6 / np.sqrt(0.75))
    z = np.arctanh(0.6 / np.sqrt(0.75))
    assert a["partial_low"] == pytest.approx(np.tanh(z - 1.959964 / np.sqrt(103 - 1 - 3)), abs=1e-6)
    assert b["coefficient_low"] < -0.5 < b["coefficient_high"] < 0


def test_a_line_has_no_coefficient_but_a_sign():
    line = CausalGraph.from_edges("ab", [], [("a", "b")])
    (row,) = edge_strengths(line, np.array([[1, -0.4], [-0.4, 1]]), 50).rows(named=True)
    assert row["coefficient"] is None and row["coefficient_low"] is None
    assert row["partial"] == pytest.approx(-0.4) and row["partial_high"] < 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_coefficients_are_those_of_a_regression(seed, k):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((60, k)) @ rng.standard_normal((k, k))
    names = [f"v{i}" for i in range(k)]
    graph = CausalGraph.from_edges(names, [(name, names[-1]) for name in names[:-1]])
    z = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    slopes = np.linalg.lstsq(z[:, :-1], z[:, -1], rcond=None)[0]
    table = edge_strengths(graph, np.corrcoef(rows.T), 60)
    np.testing.assert_allclose(table["coefficient"].to_numpy(), slopes, atol=1e-8)


def test_covariances_of_correlations_are_those_of_draws():
    matrix = np.array([[1, 0.5, 0.3], [0.5, 1, -0.2], [0.3, -0.2, 1]])
    first, second = np.triu_indices(3, k=1)
    expected = correlation_covariance(matrix, first, second)
    rng, n = np.random.default_rng(0), 400
    drawn = np.stack(
        [np.corrcoef(rng.multivariate_normal(np.zeros(3), matrix, n).T)[first, second] for _ in range(4000)]
    )
    np.testing.assert_allclose(n * np.cov(drawn.T), expected, atol=0.06)


@pytest.mark.parametrize("n", [20, 60])
def test_intervals_cover_as_often_as_they_say(n):
    rng, truth = np.random.default_rng(n), np.array([0.6, -0.4])
    causes = np.array([[1, 0.5], [0.5, 1]])
    noise = np.sqrt(1 - truth @ causes @ truth)
    hits = np.zeros(2)
    for _ in range(1000):
        x = rng.multivariate_normal([0, 0], causes, n)
        rows = np.column_stack([x, x @ truth + noise * rng.standard_normal(n)])
        table = edge_strengths(COLLIDER, np.corrcoef(rows.T), n)
        low, high = table["coefficient_low"].to_numpy(), table["coefficient_high"].to_numpy()
        hits += (low <= truth) & (truth <= high)
    assert np.all(np.abs(hits / 1000 - 0.95) < 0.025)  # 3.6 standard errors


def test_too_few_rows_and_collinear_causes_give_no_number():
    matrix = np.array([[1, 1.0, 0.5], [1.0, 1, 0.5], [0.5, 0.5, 1]])
    assert edge_strengths(COLLIDER, matrix, 100).select(COLUMNS).null_count().sum_horizontal()[0] == 12
    few = edge_strengths(COLLIDER, np.array([[1, 0, 0.6], [0, 1, -0.5], [0.6, -0.5, 1]]), 3)
    assert few["coefficient"].null_count() == 2

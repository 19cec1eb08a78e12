import numpy as np
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.matrix.corrections import MIN_EIGENVALUE, Disattenuation
from axiograph.discovery.pc.search import pc
from axiograph.engine.errors import RunError
from axiograph.engine.scoring.reliability import cronbach_alpha
from tests.discovery.sem import exact_data, weights_of


def measured(true: np.ndarray, parts: int, noise: float, seed: int = 0) -> Disattenuation:
    """Every column of `true` measured by `parts` parts with independent errors of deviation `noise`."""
    rng = np.random.default_rng(seed)
    rows, values = true.shape
    scores = true[:, :, None] + noise * rng.normal(size=(rows, values, parts))
    return Disattenuation(
        scores.mean(axis=2), scores.reshape(rows, -1), np.repeat(np.arange(values), parts), values
    )


def test_reliability_is_cronbachs_alpha_of_the_rows_asked_for():
    rng = np.random.default_rng(1)
    found = measured(rng.normal(size=(80, 2)), 4, 1.0)
    rows = rng.integers(0, 80, size=50)
    expected = [cronbach_alpha(found.parts[rows][:, found.owner == k])[0] for k in range(2)]
    assert found.reliability(rows) == pytest.approx(expected, abs=1e-12)


def test_with_gaps_too():
    rng = np.random.default_rng(2)
    full = measured(rng.normal(size=(80, 2)), 4, 1.0)
    parts = np.where(rng.random(full.parts.shape) < 0.1, np.nan, full.parts)
    gaps = Disattenuation(full.data, parts, full.owner, 2)
    expected = [cronbach_alpha(parts[:, full.owner == k])[0] for k in range(2)]
    assert gaps.reliability(np.arange(80)) == pytest.approx(expected, abs=1e-12)


def test_hand_worked():
    # Two parts each, covariance 1, variance 2: alpha = 2 · (1 − 4 / 6) = 2/3; the scores correlate 0.4.
    rng = np.random.default_rng(3)
    white = np.linalg.qr(rng.normal(size=(50, 5)) - rng.normal(size=(50, 5)).mean(axis=0))[0]
    white -= white.mean(axis=0)
    white = np.linalg.qr(white)[0]
    covariance = np.array([[2, 1, 0.6, 0.6], [1, 2, 0.6, 0.6], [0.6, 0.6, 2, 1], [0.6, 0.6, 1, 2]])
    parts = white[:, :4] @ np.linalg.cholesky(covariance).T
    data = np.c_[parts[:, :2].mean(axis=1), parts[:, 2:].mean(axis=1)]
    found = Disattenuation(data, parts, np.array([0, 0, 1, 1]), 2).correlation(np.arange(50))
    assert found.matrix[0, 1] == pytest.approx(0.4 / (2 / 3), abs=1e-12)
    assert found.share == pytest.approx(4 / 9, abs=1e-12)
    assert not found.projected
    assert found.rows(50) == 22


def test_error_in_the_middle_of_a_chain_makes_an_edge_which_the_correction_takes_away():
    true = exact_data(weights_of("abc", "ab", "bc"), rows=2000)
    noisy = measured(true, 3, 1.5)
    assert pc(noisy.data, "abc").graph.n_edges == 3
    found = noisy.correlation(np.arange(2000))
    corrected = pc(noisy.data, "abc", correlation=found.matrix, n=found.rows(2000)).graph
    assert corrected == CausalGraph.from_edges("abc", [], [("a", "b"), ("b", "c")])


def test_a_matrix_that_is_none_is_projected_and_said():
    rng = np.random.default_rng(5)
    one = measured(rng.normal(size=(60, 1)), 3, 1.5)
    twin = np.hstack([one.parts, one.parts + 0.1 * rng.normal(size=one.parts.shape)])
    data = twin.reshape(60, 2, 3).mean(axis=2)  # nearly the same error in both: r is about 1, r / ρ far above
    found = Disattenuation(data, twin, np.repeat([0, 1], 3), 2).correlation(np.arange(60))
    assert found.projected
    assert np.linalg.eigvalsh(found.matrix)[0] > 0.5 * MIN_EIGENVALUE
    assert np.array_equal(np.diag(found.matrix), np.ones(2))
    assert np.abs(found.matrix).max() <= 1


def test_a_value_of_pure_noise_is_in_no_matrix():
    rng = np.random.default_rng(7)
    parts = rng.normal(size=(200, 6))
    parts[:, :4] += rng.normal(size=(200, 2)).repeat(2, axis=1)
    parts[:, 4:] -= parts[:, 4:].mean(axis=1, keepdims=True)  # its two parts contradict each other
    parts[:, 4] += 0.01 * rng.normal(size=200)
    data = parts.reshape(200, 3, 2).mean(axis=2)
    found = Disattenuation(data, parts, np.array([0, 0, 1, 1, 2, 2]), 3).correlation(np.arange(200))
    assert np.isnan(found.matrix[2]).all()
    assert not np.isnan(found.matrix[:2, :2]).any()
    with pytest.raises(RunError, match="two values with a reliability"):
        Disattenuation(data[:, 2:], parts[:, 4:], np.array([0, 0]), 1).correlation(np.arange(200))


def test_indicators_have_no_error():
    rng = np.random.default_rng(8)
    base = measured(rng.normal(size=(100, 2)), 3, 1.0)
    design = np.tile([0.0, 1.0], 50)[:, None]
    found = Disattenuation(np.hstack([base.data, design]), base.parts, base.owner, 2)
    plain, corrected = np.corrcoef(found.data.T), found.correlation(np.arange(100)).matrix
    rho = found.reliability(np.arange(100))
    assert rho[2] == 1.0
    assert corrected[0, 2] == pytest.approx(plain[0, 2] / np.sqrt(rho[0]), abs=1e-12)


def test_columns_can_be_left_out_and_rows_permuted():
    rng = np.random.default_rng(9)
    whole = measured(rng.normal(size=(60, 3)), 3, 1.0)
    rows = rng.integers(0, 60, size=40)
    kept = whole.within([0, 2]).correlation(rows)
    assert kept.matrix == pytest.approx(whole.correlation(rows).matrix[np.ix_([0, 2], [0, 2])])
    sources = np.stack([rng.permutation(60) for _ in range(3)], axis=1)
    moved = whole.permuted(sources)
    for k in range(3):
        assert np.array_equal(moved.data[:, k], whole.data[sources[:, k], k])
        assert np.allclose(moved.parts[:, moved.owner == k].mean(axis=1), moved.data[:, k])

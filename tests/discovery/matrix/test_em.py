"""EM covariances: a closed form, the likelihood that rises, limits with a known answer, what fails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.matrix import em
from axiograph.discovery.matrix.em import EmCorrelations
from axiograph.discovery.matrix.em_loop import maximise
from axiograph.discovery.matrix.pairwise import check_twins
from axiograph.engine.errors import RunError


def table(seed: int, rows: int = 80, columns: int = 4, gaps: float = 0.15) -> EmCorrelations:
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) + 5
    known = rng.random(data.shape) >= gaps
    return EmCorrelations.of(np.where(known, data, 99.0), known)


def test_two_columns_of_which_one_has_gaps_have_the_closed_form_of_anderson():
    # Anderson 1957, J. Am. Stat. Assoc. 52, 200–203: y on x by the complete rows, x by all rows.
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    y = 0.8 * x + rng.normal(size=60)
    known = np.ones((60, 2), dtype=bool)
    known[40:, 1] = False
    slope = np.cov(x[:40], y[:40], bias=True)[0, 1] / x[:40].var()
    residual = (y[:40] - slope * x[:40]).var()
    mean, covariance = np.zeros(2), np.eye(2)
    assert maximise(np.stack([x, y], axis=1), known, mean, covariance, 0.0, 1e-12, 5000) > 0
    assert mean == pytest.approx([x.mean(), y[:40].mean() + slope * (x.mean() - x[:40].mean())])
    expected = [[x.var(), slope * x.var()], [slope * x.var(), residual + slope**2 * x.var()]]
    assert covariance == pytest.approx(np.array(expected))


def log_likelihood(data, known, mean, covariance):
    total = 0.0
    for row, has in zip(data, known, strict=True):
        part = covariance[np.ix_(has, has)]
        if has.any():
            off = (row - mean)[has]
            total -= np.linalg.slogdet(part)[1] + off @ np.linalg.solve(part, off)
    return total / 2


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_no_iteration_lowers_the_likelihood(seed):
    made = table(seed)
    data, known = made.data - 5, made.observed
    mean, covariance = np.zeros(4), np.eye(4)
    before = -np.inf
    for _ in range(8):
        maximise(data, known, mean, covariance, 0.0, 0.0, 1)
        now = log_likelihood(data, known, mean, covariance)
        assert now >= before - 1e-9 * abs(now)
        before = now


def test_without_gaps_it_is_the_plain_correlation():
    made = table(1, gaps=0.0)
    rows = np.random.default_rng(2).permutation(80)[:40]
    found = made.correlation(rows)
    assert found.matrix == pytest.approx(np.corrcoef(made.data[rows].T), abs=1e-12)
    assert (found.share, found.projected) == (1.0, False)


def test_tests_count_the_roles_that_two_values_share_in_the_mean():
    made = table(3)
    known = made.observed.astype(int)
    shared = [(known[:, i] & known[:, j]).mean() for i in range(4) for j in range(i)]
    assert made.correlation(np.arange(80)).share == pytest.approx(np.mean(shared))


def test_what_gap_cells_hold_does_not_matter():
    made, rows = table(1), np.arange(80)
    other = EmCorrelations.of(np.where(made.observed, made.data, -7.0), made.observed)
    assert np.array_equal(made.correlation(rows).matrix, other.correlation(rows).matrix)


def test_where_it_starts_does_not_matter():
    made = table(4)
    rows = np.random.default_rng(0).permutation(80)[:50]
    cold = EmCorrelations(made.data, made.observed, made.pattern)
    assert made.correlation(rows).matrix == pytest.approx(cold.correlation(rows).matrix, abs=1e-4)


def test_scores_missing_by_what_others_say_do_not_bias_it():
    # y lacks where x is high: what is left of the rows says 0.38, all rows 0.6.
    rng = np.random.default_rng(5)
    x = rng.normal(size=20_000)
    y = 0.6 * x + 0.8 * rng.normal(size=20_000)
    known = np.ones((20_000, 2), dtype=bool)
    known[x > 0, 1] = False
    found = EmCorrelations.of(np.stack([x, y], axis=1), known).correlation(np.arange(20_000)).matrix[0, 1]
    complete = np.corrcoef(x[x <= 0], y[x <= 0])[0, 1]
    assert abs(found - 0.6) < 0.02
    assert complete < 0.45


def test_more_columns_than_rows_have_a_solution():
    made = table(6, rows=20, columns=30, gaps=0.1)
    found = made.correlation(np.arange(20)).matrix
    assert np.isfinite(found).all()
    assert np.linalg.eigvalsh(found)[0] > -1e-9


def test_columns_can_be_left_out_and_rows_permuted():
    made = table(3)
    kept = made.within([3, 0])
    again = EmCorrelations.of(made.data[:, [3, 0]], made.observed[:, [3, 0]])
    rows = np.arange(80)
    assert kept.correlation(rows).matrix == pytest.approx(again.correlation(rows).matrix, abs=1e-4)
    sources = np.stack([np.random.default_rng(k).permutation(80) for k in range(4)], axis=1)
    moved = made.permuted(sources)
    assert moved.data[5, 2] == made.data[sources[5, 2], 2]
    assert np.array_equal(moved.observed.sum(axis=0), made.observed.sum(axis=0))
    apart = moved.correlation(rows).matrix[np.triu_indices(4, 1)]
    assert np.abs(apart).max() < 0.5


def test_a_constant_column_has_no_correlations():
    made = table(2)
    made.data[:, 1] = 4.0
    found = EmCorrelations.of(made.data, made.observed).correlation(np.arange(80)).matrix
    assert np.isnan(found[1]).all()
    assert not np.isnan(found[np.ix_([0, 2, 3], [0, 2, 3])]).any()


def test_too_few_common_rows():
    data, known = np.random.default_rng(0).normal(size=(20, 2)), np.ones((20, 2), dtype=bool)
    known[2:11, 0] = known[11:, 1] = False
    with pytest.raises(RunError, match="share 2 rows"):
        EmCorrelations.of(data, known)


def test_no_convergence_is_a_failure_that_says_so(monkeypatch):
    made = table(7)
    monkeypatch.setattr(em, "MOST_ITERATIONS", 1)
    with pytest.raises(RunError, match="convergence within 1 iterations"):
        EmCorrelations(made.data, made.observed, made.pattern).correlation(np.arange(80))


def test_columns_that_are_equal_where_both_are_known_are_named():
    made = table(8)
    data = made.data.copy()
    data[:, 2] = -3 * data[:, 0] + 1e-8 * np.random.default_rng(0).normal(size=80)
    with pytest.raises(RunError, match="collinear columns: a, c"):
        check_twins(data, made.observed, "abcd")
    check_twins(made.data, made.observed, "abcd")

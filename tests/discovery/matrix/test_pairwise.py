import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.discovery.matrix.pairwise import Pairwise
from axiograph.engine.errors import RunError


def table(seed: int, rows: int = 40, columns: int = 4, gaps: float = 0.15) -> Pairwise:
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) + 5
    known = rng.random(data.shape) >= gaps
    return Pairwise(np.where(known, data, 99.0), known)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_correlations_are_pandas_pairwise_ones(seed):
    pairs = table(seed)
    rows = np.random.default_rng(seed + 1).integers(0, 40, size=35)
    found = pairs.correlation(rows)
    expected = pd.DataFrame(np.where(pairs.observed[rows], pairs.data[rows], np.nan)).corr().to_numpy()
    assert found.projected or np.allclose(found.matrix, expected, rtol=0, atol=1e-12)
    shared = pairs.observed[rows].astype(int).T @ pairs.observed[rows]
    assert found.share == shared.min() / 35


def test_what_gap_cells_hold_does_not_matter():
    pairs = table(1)
    other = Pairwise(np.where(pairs.observed, pairs.data, -7.0), pairs.observed)
    rows = np.arange(40)
    assert np.array_equal(pairs.correlation(rows).matrix, other.correlation(rows).matrix)


def test_correlations_of_different_rows_may_be_no_matrix():
    # a ~ b, b ~ c on their rows, yet a ~ −c on theirs: no three columns have such correlations.
    x = np.arange(10.0)
    data = np.zeros((30, 3))
    known = np.ones((30, 3), dtype=bool)
    data[:10, 0], data[:10, 1], known[:10, 2] = x, x, False
    data[10:20, 1], data[10:20, 2], known[10:20, 0] = x, x, False
    data[20:, 0], data[20:, 2], known[20:, 1] = x, -x, False
    found = Pairwise(data, known).correlation(np.arange(30))
    assert found.projected
    assert np.linalg.eigvalsh(found.matrix)[0] > 0
    assert found.share == pytest.approx(1 / 3)


def test_a_constant_column_has_no_correlations():
    pairs = table(2)
    pairs.data[:, 1] = 4.0
    found = pairs.correlation(np.arange(40)).matrix
    assert np.isnan(found[1]).all()
    assert not np.isnan(found[np.ix_([0, 2, 3], [0, 2, 3])]).any()


def test_too_few_common_rows():
    data, known = np.random.default_rng(0).normal(size=(20, 2)), np.ones((20, 2), dtype=bool)
    known[2:11, 0] = known[11:, 1] = False
    with pytest.raises(RunError, match="share 2 rows"):
        Pairwise(data, known).correlation(np.arange(20))


def test_columns_can_be_left_out_and_rows_permuted():
    pairs = table(3)
    rows = np.arange(40)
    kept = pairs.within([3, 0]).correlation(rows).matrix
    assert kept[0, 1] == pairs.correlation(rows).matrix[3, 0]
    sources = np.stack([np.random.default_rng(k).permutation(40) for k in range(4)], axis=1)
    moved = pairs.permuted(sources)
    assert moved.data[5, 2] == pairs.data[sources[5, 2], 2]
    assert np.array_equal(moved.observed.sum(axis=0), pairs.observed.sum(axis=0))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.discovery.algorithms.nonparametric import levels_of, sparse_pairs


def column(values) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


@pytest.mark.parametrize(
    ("values", "bins", "levels", "expected"),
    [
        ([5, 1, 3, 2, 4, 6], "quantile", 3, [2, 0, 1, 0, 1, 2]),
        ([0, 0, 0, 0, 0, 9], "quantile", 3, [1, 1, 1, 1, 1, 2]),  # ties stay together, at their mean rank
        ([9, 0, 0, 0, 0, 0], "quantile", 2, [1, 0, 0, 0, 0, 0]),
        ([0, 1, 2, 9], "width", 3, [0, 0, 0, 2]),
        ([0, 3, 6, 9], "width", 3, [0, 1, 2, 2]),
        ([0.5, -1, 0.5, 1], "as_answered", 3, [1, 0, 1, 2]),
    ],
)
def test_levels_hand_worked(values, bins, levels, expected):
    assert levels_of(column(values), bins, levels)[:, 0].tolist() == expected


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(2, 6))
def test_quantiles_keep_order_ties_and_variation(values, levels):
    found = levels_of(column(values), "quantile", levels)[:, 0]
    assert found.min() >= 0
    assert found.max() < levels
    order = np.argsort(values)
    assert (np.diff(found[order]) >= 0).all()
    for value in set(values):
        assert len(set(found[np.array(values) == value])) == 1
    if len(set(values)) > 1:
        assert len(set(found)) > 1


def test_columns_are_cut_one_by_one():
    data = np.random.default_rng(0).normal(size=(40, 3))
    whole = levels_of(data)
    assert all(np.array_equal(whole[:, k], levels_of(data[:, [k]])[:, 0]) for k in range(3))


def test_sparse_pairs_hand_worked():
    # The rarest levels hold 50, 50 and 5 of 100 rows: 25 expected in ab, 2.5 in ac and bc.
    half, rare = np.arange(100) % 2, (np.arange(100) < 5).astype(int)
    assert sparse_pairs(np.c_[half, half[::-1], rare]) == 2
    assert sparse_pairs(np.c_[half, half[::-1], np.arange(100) < 10]) == 0  # exactly 5 is enough

import numpy as np
import polars as pl
import pytest

from discovery.matrix import profile_matrix
from engine.errors import InputError


def table(**columns):
    height = max(len(column) for column in columns.values())
    return pl.DataFrame({"role": [f"r{i}" for i in range(height)]} | columns, strict=False)


def test_mostly_null_values_go_first_then_roles_with_a_null():
    mostly = [None, None, None, *[0.5] * 7]  # 30 % null: excluded
    once = [*[0.1] * 9, None]  # 10 %: kept, its role is dropped
    full = [float(i) for i in range(10)]
    matrix = profile_matrix(table(mostly=mostly, once=once, full=full))
    assert matrix.values == ("once", "full")
    assert matrix.null_values == {"mostly": 0.3}
    assert matrix.dropped_roles == ("r9",)
    assert matrix.roles == tuple(f"r{i}" for i in range(9))
    assert np.array_equal(matrix.data, np.c_[[0.1] * 9, full[:9]])


def test_exactly_a_fifth_is_kept():
    matrix = profile_matrix(table(a=[None, *[1.0] * 4], b=[1.0] * 5))
    assert matrix.values == ("a", "b")
    assert matrix.dropped_roles == ("r0",)


def test_condition_and_split_are_no_values():
    profiles = table(a=[1.0, 2.0]).with_columns(condition=pl.lit("baseline"), split=pl.lit("train"))
    assert profile_matrix(profiles).values == ("a",)


@pytest.mark.parametrize(
    ("profiles", "says"),
    [
        (pl.DataFrame({"a": [1.0]}), "column 'role'"),
        (pl.DataFrame({"role": ["x"]}), "a column per value"),
        (pl.DataFrame({"role": ["x", "x"], "a": [1.0, 2.0]}), "'x'"),
        (pl.DataFrame({"role": ["x"], "a": ["yes"]}), "column 'a'"),
        (pl.DataFrame({"role": ["x"], "a": [float("nan")]}), "NaN or infinity"),
        (pl.DataFrame({"role": ["x", "y"], "a": [None, None]}), "none of 2"),
    ],
)
def test_profiles_that_cannot_be_used(profiles, says):
    with pytest.raises(InputError, match=says):
        profile_matrix(profiles)

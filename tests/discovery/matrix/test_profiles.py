import numpy as np
import polars as pl
import pytest

from axiograph.discovery.matrix.profiles import profile_matrix
from axiograph.engine.errors import InputError


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


def pooled(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["role", "condition", "a", "b"], orient="row", strict=False)


DESIGN = pl.DataFrame({"condition": ["baseline", "f1:+2", "unused"], "steering f1": [0.0, 2.0, 9.0]})


def test_pooled_rows_carry_their_indicators_and_their_role():
    rows = pooled(
        ("x", "baseline", 1.0, 2.0),
        ("y", "baseline", 3.0, 4.0),
        ("x", "f1:+2", 5.0, 6.0),
        ("z", "f1:+2", 7.0, 8.0),
    )
    matrix = profile_matrix(rows, indicators=DESIGN)
    assert matrix.values == ("a", "b")
    assert matrix.indicators == ("steering f1",)
    assert matrix.names == ("a", "b", "steering f1")
    assert matrix.data[:, 2].tolist() == [0, 0, 2, 2]
    assert matrix.groups.tolist() == [0, 1, 0, 2]
    assert matrix.n_roles == 3
    assert matrix.conditions == ("baseline", "baseline", "f1:+2", "f1:+2")


def test_a_pooled_row_with_a_null_is_dropped_and_its_role_named():
    rows = [(f"r{k}", c, 1.0 * k, 2.0) for k in range(6) for c in ("baseline", "f1:+2")]
    rows[3] = ("r1", "f1:+2", None, 2.0)
    matrix = profile_matrix(pooled(*rows), indicators=DESIGN)
    assert len(matrix.data) == 11
    assert matrix.dropped_roles == ("r1",)
    assert matrix.n_roles == 6


@pytest.mark.parametrize(
    ("rows", "design", "says"),
    [
        ([("x", "baseline", 1.0, 2.0)] * 2, DESIGN, "one row per role and condition"),
        ([("x", "new", 1.0, 2.0)], DESIGN, "none for 'new'"),
        ([("x", "baseline", 1.0, 2.0)], DESIGN.rename({"steering f1": "a"}), "names that no value has"),
    ],
)
def test_pooled_rows_that_cannot_be_used(rows, design, says):
    with pytest.raises(InputError, match=says):
        profile_matrix(pooled(*rows), indicators=design)


def test_pairwise_keeps_rows_with_gaps_and_marks_them():
    matrix = profile_matrix(
        table(a=[None, *[float(k) for k in range(9)]], b=[1.0] * 8 + [None, 2.0]), keep_gaps=True
    )
    assert matrix.dropped_roles == ()
    assert matrix.data.shape == (10, 2)
    assert matrix.observed.sum() == 18
    assert not matrix.observed[0, 0]
    assert matrix.data[0, 0] == 4.0  # the column's mean: finite, and marked as unknown
    assert profile_matrix(table(a=[1.0, 2.0]), keep_gaps=True).observed is None


def test_pairwise_drops_rows_without_any_score():
    columns = {name: [None, *[1.0, 2.0] * 5] for name in "ab"}
    assert profile_matrix(table(**columns), keep_gaps=True).dropped_roles == ("r0",)

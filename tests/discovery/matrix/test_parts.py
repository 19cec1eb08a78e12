import numpy as np
import polars as pl
import pytest

from axiograph.discovery.matrix.corrections import disattenuation
from axiograph.discovery.matrix.profiles import profile_matrix
from axiograph.engine.errors import InputError

PROFILES = pl.DataFrame({"role": ["x", "y", "z"], "b": [0.5, 0.0, 1.0], "a": [1.0, 0.0, -1.0]})


def parts(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(
        rows, schema=["role", "condition", "value", "part", "score"], orient="row", strict=False
    )


def test_parts_stand_beside_their_row_and_value():
    given = parts(
        ("y", "baseline", "a", "a2", 0.2),
        ("x", "baseline", "a", "a1", 1.0),
        ("z", "baseline", "b", "b1", 1.0),
        ("x", "baseline", "b", "b2", 0.0),
        ("left out", "baseline", "b", "b2", 0.7),
        ("x", "baseline", "other value", "o", 0.7),
    )
    found = disattenuation(profile_matrix(PROFILES), given, "item")
    assert found.owner.tolist() == [0, 0, 1, 1]  # b before a, as in the profiles
    nan = np.nan
    expected = [[nan, 0.0, 1.0, nan], [nan, nan, nan, 0.2], [1.0, nan, nan, nan]]
    assert np.array_equal(found.parts, expected, equal_nan=True)


def test_pooled_rows_have_the_parts_of_their_condition():
    rows = pl.concat([PROFILES.with_columns(condition=pl.lit(c)) for c in ("baseline", "steered")])
    design = pl.DataFrame({"condition": ["baseline", "steered"], "steering f1": [0.0, 2.0]})
    matrix = profile_matrix(rows, indicators=design)
    every = [
        (role, c, value, f"{value}{k}", 0.1 * k + (c == "steered"))
        for role in "xyz"
        for c in ("baseline", "steered")
        for value in "ba"
        for k in range(2)
    ]
    found = disattenuation(matrix, parts(*every), "item")
    assert found.exact == 2
    assert found.parts[:, 0].tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "what", "says"),
    [
        ([("x", "baseline", "a", "0", 1.0), ("x", "baseline", "b", "0", 1.0)], "repeat", "repeats to 2"),
        ([("x", "baseline", "a", "a1", 1.0)], "item", "0 for 'b' and 1 more"),
        ([("x", c, v, "1", 1.0) for c in ("baseline", "s") for v in "ab"], "item", "those of one condition"),
    ],
)
def test_parts_that_cannot_be_used(rows, what, says):
    with pytest.raises(InputError, match=says):
        disattenuation(profile_matrix(PROFILES), parts(*rows), what)

"""Strength grids: what they expand to, to the digit, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.errors import InputError
from axiograph.engine.study.loading import parse_study
from axiograph.engine.study.strengths import StrengthGrid
from tests import studies


def operation(tmp_path, strengths, **more):
    steered = {"sae": {"path": "a"}, "features": [1], "strengths": strengths, **more}
    data = studies.bare(steering=[{"operations": [steered]}])
    return parse_study(data, "study", tmp_path).steering[0].operations[0]


@pytest.mark.parametrize(
    ("grid", "wanted"),
    [
        ({"from": -4, "to": 4, "steps": 5}, (-4, -2, 0, 2, 4)),
        # Neither 0.30000000000000004 nor 0.7999999999999999.
        ({"from": 0, "to": 1, "steps": 11}, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)),
        ({"from": 3, "to": 1, "steps": 3}, (3, 2, 1)),
        ({"scale": "log", "from": 1, "to": 100, "steps": 3}, (1, 10, 100)),
        ({"scale": "log", "from": 1, "to": 8, "steps": 7}, (1, 1.414, 2, 2.828, 4, 5.657, 8)),
        ({"scale": "log", "from": 1, "to": 8, "steps": 4, "symmetric": True}, (-8, -4, -2, -1, 1, 2, 4, 8)),
        ({"scale": "log", "from": -1, "to": -4, "steps": 3}, (-1, -2, -4)),
        ({"scale": "log", "from": 1, "to": 2, "steps": 3, "digits": 8}, (1, 1.4142136, 2)),
        ({"from": 0, "to": 2, "steps": 3, "symmetric": True}, (-2, -1, 0, 1, 2)),
    ],
)
def test_grids_by_hand(tmp_path, grid, wanted):
    assert operation(tmp_path, grid).strengths == wanted
    # As good as the list written out: the same specification, and with it the same ids.
    assert operation(tmp_path, grid) == operation(tmp_path, list(wanted))


@pytest.mark.parametrize("unit", ["unit_norm", "max_activation", "residual_norm"])
def test_every_unit_takes_a_grid(tmp_path, unit):
    assert operation(tmp_path, {"from": 1, "to": 2, "steps": 2}, unit=unit).strengths == (1, 2)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"from": 1, "to": 1, "steps": 3}, "finite and different"),
        ({"from": 1, "to": float("inf"), "steps": 3}, "finite and different"),
        ({"scale": "log", "from": 0, "to": 4, "steps": 3}, "both above 0"),
        ({"scale": "log", "from": -1, "to": 4, "steps": 3}, "both above 0"),
        ({"from": -1, "to": 4, "steps": 3, "symmetric": True}, "0 or more where the grid is 'symmetric'"),
        ({"from": 1, "to": 4, "steps": 1}, "'steps'"),
        ({"from": 1, "to": 4}, "'steps' in the grid"),
        ({"from": 1, "to": 4, "step": 1, "steps": 2}, "a grid without 'step'"),
        ({"from": 1, "to": 4, "steps": 3, "digits": 2}, "where 'scale' is log only"),
        ({"scale": "log", "from": 1, "to": 1.01, "steps": 9, "digits": 2}, "some are equal"),
    ],
)
def test_what_is_no_grid_is_refused(tmp_path, grid, message):
    with pytest.raises(InputError, match="strengths") as error:
        operation(tmp_path, grid)
    assert message in str(error.value)


@settings(deadline=None)
@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.integers(2, 40),
    st.booleans(),
)
def test_ends_are_exact_and_steps_go_one_way(start, stop, steps, symmetric):
    start, stop = float(f"{start:.6g}"), float(f"{stop:.6g}")
    if symmetric:
        start, stop = abs(start), abs(stop)
    if abs(start - stop) < 1e-3:
        return
    found = StrengthGrid.model_validate(
        {"from": start, "to": stop, "steps": steps, "symmetric": symmetric}
    ).strengths()
    if symmetric:
        assert sorted(-s for s in found) == list(found)
        found = tuple(s for s in found if s >= 0)
        start, stop = min(start, stop), max(start, stop)
    assert found[0] == start and found[-1] == stop and len(found) == steps
    gaps = [b - a for a, b in pairwise(found)]
    assert all(gap == pytest.approx((stop - start) / (steps - 1), rel=1e-5) for gap in gaps)
    # What a name shows is the number.
    assert all(float(f"{s:.12g}") == s for s in found)

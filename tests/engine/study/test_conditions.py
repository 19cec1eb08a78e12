"""The grids of a study become named conditions, each different from every other."""

from __future__ import annotations

import math

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.conditions import expand_conditions, keep_negative_controls
from tests.engine import made

DIRECTION = {"direction": {"path": "joy.safetensors"}, "hook_point": {"layer": 1}}


def names(folder, **changes):
    return [condition.name for condition in expand_conditions(made.study(folder, **changes))]


def test_baseline_comes_first_then_hints_then_the_grid_in_the_order_of_the_study(tmp_path):
    found = names(
        tmp_path,
        hints=[
            {"value": "Joy", "inclination": "inclined"},
            {"value": "asked", "inclination": "disinclined", "name": "hard"},
        ],
        steering=[made.steering(made.operation(features=[7, 2], strengths=[-4, 0, 0.5]))],
    )
    assert found == [
        "baseline",
        "hint inclined:Joy",
        "hint hard",
        *("f7:-4", "f7:+0", "f7:+0.5"),
        *("f2:-4", "f2:+0", "f2:+0.5"),
    ]


def test_grids_of_several_operations_multiply(tmp_path):
    add = made.operation(features=[1, 2], strengths=[10])
    clamp = DIRECTION | {"kind": "clamp", "strengths": [-1, 2]}
    out = {"direction": {"path": "joy.safetensors", "key": "v"}, "hook_point": {"layer": 1}}
    found = names(tmp_path, steering=[made.steering(add, clamp, out | {"kind": "project_out"}, name="mix")])
    assert found[1:] == [f"mix f{f}:+10 & joy:={s} & joy.v:out" for f in (1, 2) for s in (-1, 2)]


def test_points_carry_their_feature_and_strength(tmp_path):
    study = made.study(tmp_path, steering=[made.steering(made.operation(features=[7, 2], strengths=[-4, 1]))])
    points = [condition.operations[0] for condition in expand_conditions(study)[1:]]
    assert [(p.feature, p.strength) for p in points] == [(7, -4.0), (7, 1.0), (2, -4.0), (2, 1.0)]
    assert not expand_conditions(study)[0].is_steered


def test_minus_zero_is_zero(tmp_path):
    for kind in ("add", "clamp"):
        study = made.study(tmp_path, steering=[made.steering(made.operation(kind=kind, strengths=[-0.0]))])
        point = expand_conditions(study)[1].operations[0]
        assert math.copysign(1, point.strength) == 1
        assert point.label == ("f3:+0" if kind == "add" else "f3:=0")


def test_equal_names_are_refused_and_a_name_helps(tmp_path):
    twice = [made.steering(made.operation()), made.steering(made.operation(unit="unit_norm"))]
    with pytest.raises(InputError, match=r"'f3:\+0' twice.*'name'"):
        names(tmp_path, steering=twice)
    assert len(names(tmp_path, steering=[twice[0], twice[1] | {"name": "normed"}])) == 9


def test_strengths_too_close_for_their_label_are_refused(tmp_path):
    with pytest.raises(InputError, match="twice"):
        names(tmp_path, steering=[made.steering(made.operation(strengths=[1.0, 1.0 + 1e-15]))])


def test_strength_0_is_the_baseline_unless_it_is_a_negative_control(tmp_path):
    spec = {"operations": [made.operation(features=[7], strengths=[-4, 0])]}
    assert names(tmp_path, steering=[spec]) == ["baseline", "f7:-4"]
    study = made.study(tmp_path, steering=[spec | {"negative_control": True}])
    found = {condition.name: condition.is_negative_control for condition in expand_conditions(study)}
    assert found == {"baseline": False, "f7:-4": False, "f7:+0": True}
    # A clamp to 0 does something, and so does an addition of 0 beside another.
    clamp = {"operations": [made.operation(features=[7], strengths=[0], kind="clamp")]}
    assert names(tmp_path, steering=[clamp]) == ["baseline", "f7:=0"]
    both = [made.operation(features=[7], strengths=[0, 1]), made.operation(features=[2], strengths=[0, 1])]
    assert names(tmp_path, steering=[{"operations": both}]) == [
        "baseline",
        "f7:+0 & f2:+1",
        "f7:+1 & f2:+0",
        "f7:+1 & f2:+1",
    ]


def test_an_entry_that_steers_nothing_is_refused(tmp_path):
    nothing = {"operations": [made.operation(features=[7], strengths=[0])]}
    with pytest.raises(InputError, match=r"steering\.0.*a strength other than 0"):
        made.inputs(tmp_path, steering=[nothing])
    assert len(made.inputs(tmp_path, steering=[nothing | {"negative_control": True}]).conditions) == 2


def test_negative_controls_that_were_asked_are_kept_unless_the_study_says_no(tmp_path):
    def conditions(strengths, **more):
        spec = {"operations": [made.operation(features=[7], strengths=strengths)], **more}
        return made.study(tmp_path, steering=[spec])

    asked = expand_conditions(conditions([0, 1], negative_control=True))
    grown = keep_negative_controls(conditions([0, 1, 2]), asked)
    assert [c.name for c in expand_conditions(grown)] == ["baseline", "f7:+0", "f7:+1", "f7:+2"]
    for study in (conditions([1, 2]), conditions([0, 1], negative_control=False)):
        assert keep_negative_controls(study, asked) is study
    assert keep_negative_controls(conditions([0, 1]), asked[:1]).steering[0].negative_control is None

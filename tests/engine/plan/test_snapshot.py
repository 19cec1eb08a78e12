"""A run's own copy of its inputs is exact, and damage to it is said."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from axiograph.engine.errors import RunError
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.plan.rows import Plan
from axiograph.engine.plan.snapshot import load_inputs_snapshot, save_inputs
from tests.engine import made

RICH = {
    "hints": [{"value": "asked", "inclination": "inclined", "name": "hard"}],
    "steering": [made.steering(made.operation(strengths=[-0.1, 0, 1e-17]))],
    "sampling": {"method": "sample", "temperature": 0.1, "repeats": 2, "share": 0.5},
    "split": {"items": 0.5},
    "definitions": "definitions.yaml",
    "prompt": {"path": "prompt.j2"},
}


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "definitions.yaml").write_text('Joy: "glad,\\nas ‘one’ is 😀"\n', encoding="utf-8")
    (tmp_path / "prompt.j2").write_text(
        'Keep{{ " your values" | span }}.\n{{ role_name }} {{ role }} {{ hint }} {{ question }}',
        encoding="utf-8",
    )
    made.write_roles(tmp_path, {"Zoë": "Job: é e\u0301 日本", "Bob": "says <b>“no”</b>\u2028"})
    return made.inputs(tmp_path, **RICH)


def test_inputs_round_trip_exactly(inputs, tmp_path):
    save_inputs(inputs, tmp_path / "inputs.json")
    back = load_inputs_snapshot(tmp_path / "inputs.json")
    for field in fields(inputs):
        assert getattr(back, field.name) == getattr(inputs, field.name), field.name
    assert back == inputs
    identity = made.identity(inputs)
    assert list(Plan(back, identity).rows()) == list(Plan(inputs, identity).rows())
    save_inputs(back, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "inputs.json").read_bytes()


def test_the_snapshot_does_not_need_the_files(inputs, tmp_path):
    save_inputs(inputs, tmp_path / "inputs.json")
    for name in ("items.csv", "roles.csv", "prompt.j2", "definitions.yaml"):
        (tmp_path / name).unlink()
    assert load_inputs_snapshot(tmp_path / "inputs.json") == inputs


def test_a_folder_with_a_dollar_sign(tmp_path):
    folder = tmp_path / "a$b ${HOME}"
    folder.mkdir()
    inputs = made.inputs(folder)
    assert inputs.study.out == folder / "run"
    save_inputs(inputs, folder / "inputs.json")
    assert load_inputs_snapshot(folder / "inputs.json") == inputs


def test_a_template_without_a_span(tmp_path):
    (tmp_path / "p.j2").write_text("{{ role }} {{ question }}")
    inputs = made.inputs(tmp_path, prompt={"path": "p.j2"})
    save_inputs(inputs, tmp_path / "inputs.json")
    assert load_inputs_snapshot(tmp_path / "inputs.json") == inputs


def test_growth_is_kept_over_a_restart(inputs, tmp_path):
    save_inputs(inputs, tmp_path / "inputs.json")
    made.write_roles(
        tmp_path, {"Ann": "Job: new", "Zoë": "Job: é e\u0301 日本", "Bob": "says <b>“no”</b>\u2028"}
    )
    born = load_inputs_snapshot(tmp_path / "inputs.json").generations
    grown = load_inputs(made.study(tmp_path, **RICH), born)
    assert grown.generations.roles == {"": 0, "Zoë": 0, "Bob": 0, "Ann": 1}
    save_inputs(grown, tmp_path / "inputs.json")
    assert load_inputs_snapshot(tmp_path / "inputs.json") == grown


def cut(text):
    return text[: len(text) // 2]


def without(*path):
    def damage(text):
        data = json.loads(text)
        place = data
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]
        return json.dumps(data)

    return damage


def with_(key, value):
    return lambda text: json.dumps(json.loads(text) | {key: value})


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        without("study"),
        without("study", "out"),
        without("items", 0, "value"),
        without("born", "roles"),
        without("template", "sources"),
        with_("items", "none"),
        with_("template", None),
        with_("study", {"schema": 1}),
        with_("roles", [{"name": "a", "text": "b", "more": "c"}]),
    ],
)
def test_damage_is_a_run_error(inputs, tmp_path, damage):
    path = tmp_path / "inputs.json"
    save_inputs(inputs, path)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        load_inputs_snapshot(path)
    assert str(caught.value).startswith(f"{path}: expected the inputs of a run, found '")
    assert "\n" not in str(caught.value)


def test_an_absent_or_unreadable_snapshot(tmp_path):
    with pytest.raises(RunError, match="No such file"):
        load_inputs_snapshot(tmp_path / "inputs.json")
    (tmp_path / "inputs.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="utf-8"):
        load_inputs_snapshot(tmp_path / "inputs.json")


def test_strength_0_of_an_earlier_version_is_a_negative_control(inputs, tmp_path):
    """Before the field it was a condition like any other, and its answers may be stored."""
    save_inputs(inputs, tmp_path / "inputs.json")
    data = json.loads((tmp_path / "inputs.json").read_text())
    for negative_control, names in ((None, True), (True, True), (False, False)):
        (spec,) = data["study"]["steering"]
        spec.pop("negative_control", None)
        if negative_control is not None:
            spec["negative_control"] = negative_control
        (tmp_path / "inputs.json").write_text(json.dumps(data))
        found = load_inputs_snapshot(tmp_path / "inputs.json").conditions
        assert any(condition.is_negative_control for condition in found) == names

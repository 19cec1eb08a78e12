"""A study file says exactly what is run, or an error names file, field and remedy."""

from __future__ import annotations

import copy
import html
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from axiograph.engine.errors import InputError
from axiograph.engine.plan.snapshot import study_as_json
from axiograph.engine.study.loading import load_study, parse_study

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
HERE = Path("/studies")

COMPLETE: dict[str, Any] = {
    "schema": 1,
    "name": "complete",
    "model": {
        "hub": "org/model",
        "revision": "abc",
        "dtype": "float16",
        "device": "cuda:1",
        "trust_remote_code": True,
    },
    "questionnaires": ["a.csv", "/abs/b.yaml"],
    "values": ["Joy", "Order"],
    "group_by": "scale",
    "definitions": "definitions.yaml",
    "roles": {
        "files": [{"path": "roles.json", "text_field": "bio", "split": "test"}],
        "generate": [{"fields": "fields.yaml", "n": 7, "seed": 3, "split": "train"}],
        "no_role": False,
    },
    "prompt": {"path": "prompt.j2", "chat": True, "answer_cue": "\nSo:"},
    "hints": [{"value": "asked", "inclination": "inclined", "name": "soft"}],
    "steering": [
        {
            "name": "pair",
            "operations": [
                {
                    "kind": "add",
                    "sae": {"release": "r", "id": "i"},
                    "features": [1, 2],
                    "strengths": [-0.1, 1e-17, 3],
                    "unit": "residual_norm",
                    "span": "all",
                },
                {
                    "kind": "project_out",
                    "direction": {"path": "joy.safetensors", "key": "v"},
                    "hook_point": {"layer": 3, "place": "resid_pre"},
                },
            ],
        }
    ],
    "steer_roles": "test",
    "sampling": {
        "method": "sample",
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 12,
        "repeats": 3,
        "seed": 5,
        "share": 0.4,
        "batch_size": 8,
    },
    "split": {"roles": 0.75, "items": 0.7, "seed": 9},
    "scoring": {"mode": "generate", "mass_threshold": 0.25, "drop_shared_items": False},
    "discovery": {
        "alpha": 0.01,
        "replicates": 10,
        "resample": "roles_with_replacement",
        "seed": 4,
        "threshold": 0.6,
    },
    "effects": {"level": 0.1, "roles": "all", "seed": 2},
    "out": "../runs/complete",
}
SMALL = {key: COMPLETE[key] for key in ("schema", "name", "questionnaires", "out")} | {
    "model": {"path": "model"},
    "roles": {},
}


def changed(field: str, value: Any) -> dict[str, Any]:
    """COMPLETE with one field, named by its path, set to `value`."""
    data = copy.deepcopy(COMPLETE)
    *path, last = [int(part) if part.isdigit() else part for part in field.split(".")]
    place: Any = data
    for part in path:
        place = place[part]
    if isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return data


@pytest.mark.parametrize("data", [COMPLETE, SMALL], ids=["complete", "small"])
def test_a_notebook_shows_a_study_as_the_yaml_that_makes_it(data):
    study = parse_study(data | {"name": "a <b> & 'ü'"}, "study file x.yaml", HERE)
    shown = study._repr_html_()
    assert shown.startswith("<pre>") and "a &lt;b&gt; &amp; " in shown and "<b>" not in shown
    text = html.unescape(shown.removeprefix("<pre>").removesuffix("</pre>"))
    assert parse_study(yaml.safe_load(text), "study file y.yaml", HERE) == study


def refusal(data: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_study(data, "study file x.yaml", HERE)
    return str(caught.value)


def places(value: Any, path: str = "") -> list[str]:
    """The path of every mapping in `value`."""
    if isinstance(value, dict):
        return [path, *(p for key, member in value.items() for p in places(member, f"{path}.{key}"))]
    if isinstance(value, list):
        return [p for i, member in enumerate(value) for p in places(member, f"{path}.{i}")]
    return []


def test_complete_study_round_trips():
    study = parse_study(COMPLETE, "x", HERE)
    stored = json.loads(json.dumps(study_as_json(study)))
    assert parse_study(stored, "x", Path("/elsewhere")) == study
    # It is complete: no field of it is left at its default.
    assert study.model_fields_set >= set(type(study).model_fields)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, unique=True))
def test_strengths_survive_to_the_last_bit(strengths):
    study = parse_study(changed("steering.0.operations.0.strengths", strengths), "x", HERE)
    stored = json.loads(json.dumps(study_as_json(study)))
    assert list(parse_study(stored, "x", HERE).steering[0].operations[0].strengths) == strengths


def test_relative_paths_are_those_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "study.yaml"
    file.write_text(yaml.safe_dump(COMPLETE))
    monkeypatch.chdir(tmp_path)
    for given_path in (file, Path("in/study.yaml")):
        study = load_study(given_path)
        assert study.questionnaires == (tmp_path / "in/a.csv", Path("/abs/b.yaml"))
        assert study.out == tmp_path / "runs/complete"
        assert study.roles.files[0].path == tmp_path / "in/roles.json"
        assert study.steering[0].operations[1].direction.path == tmp_path / "in/joy.safetensors"


def test_environment_variables_in_paths(monkeypatch):
    monkeypatch.setenv("MY_DATA", "/data/mine")
    monkeypatch.delenv("NOT_SET", raising=False)
    study = parse_study(changed("questionnaires.0", "${MY_DATA}/q.csv"), "x", HERE)
    assert study.questionnaires[0] == Path("/data/mine/q.csv")
    text = refusal(changed("roles.files.0.path", "$NOT_SET/r.json"))
    assert "study file x.yaml, field roles.files.0.path:" in text
    assert "variable NOT_SET" in text
    assert "export NOT_SET=" in text


@pytest.mark.parametrize("place", places(COMPLETE))
def test_an_unknown_key_is_named_at_any_depth(place):
    field = f"{place}.tyop".strip(".")
    text = refusal(changed(field, 1))
    assert f"study file x.yaml, field {field}: expected a known key, found the unknown key 'tyop'" in text


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("steering.0.operations.0.strenghts", "strengths"),
        ("quetionnaires", "questionnaires"),
        ("model.pth", "path"),
        ("sampling.max_token", "max_tokens"),
        ("steering.0.operations.1.hookpoint", "hook_point"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_right_one(field, meant):
    text = refusal(changed(field, 1))
    assert f"field {field}:" in text
    assert "Did you mean" in text
    assert meant in text.split("Did you mean")[1]


FLOATS = [
    "steering.0.operations.0.strengths.1",
    "sampling.temperature",
    "sampling.top_p",
    "sampling.share",
    "split.roles",
    "split.items",
    "scoring.mass_threshold",
    "discovery.alpha",
    "discovery.threshold",
    "effects.level",
]


@pytest.mark.parametrize("field", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_may_be_nan_or_infinite(field, value):
    text = refusal(changed(field, value))
    assert f"field {field}: expected" in text
    assert f"found {value}" in text
    assert "more:" not in text


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("sampling", {"repeats": 2}, "'method: sample' for 'repeats' above 1"),
        ("sampling", {"temperature": 1.0}, "'method: sample' beside 'temperature'"),
        ("sampling", {"top_p": 0.5}, "'method: sample' beside 'temperature' or 'top_p'"),
        ("sampling", {"method": "sample"}, "'temperature' beside"),
        ("sampling.temperature", 0, "greater than 0"),
        ("sampling.share", 0, "greater than 0"),
        ("split.roles", 1.5, "less than or equal to 1"),
        ("sampling.max_tokens", 0, "greater than 0"),
        ("steering.0.operations.1.strengths", [1], "none for 'project_out'"),
        ("steering.0.operations.0.strengths", [], "'strengths' for 'add'"),
        ("steering.0.operations.0.strengths", [1, 2, 1.0], "every number once in 'strengths'"),
        ("steering.0.operations.0.strengths", [0.0, -0.0], "every number once in 'strengths'"),
        ("steering.0.operations.0.features", [4, 4], "every number once in 'features'"),
        ("steering.0.operations.0.features", [], "'features', the list"),
        ("steering.0.operations.0.direction", {"path": "d"}, "either 'sae' with 'features', or 'direction'"),
        ("steering.0.operations.1.direction", None, "either 'sae' with 'features', or 'direction'"),
        ("steering.0.operations.1.features", [1], "'features' beside 'sae' only"),
        ("steering.0.operations.1.hook_point", None, "'hook_point' beside 'direction'"),
        ("steering.0.operations.1.unit", "max_activation", "another unit beside 'direction'"),
        ("steering.0.operations.0.sae", {"release": "r"}, "'release' and 'id' together"),
        ("steering.0.operations.0.sae.path", "p", "either 'release' and 'id', or 'path'"),
        ("steering.0.operations.1.hook_point.layer", -1, "greater than or equal to 0"),
        ("steering.0.operations.0.span", "prompts", "'prompt_span'"),
        ("steering.0.operations", [], "at least 1 item"),
        ("model.path", "m", "either 'hub' (with 'revision') or 'path'"),
        ("model", {}, "either 'hub' (with 'revision') or 'path'"),
        ("model", {"path": "m", "revision": "r"}, "'revision' beside 'hub' only"),
        ("model.dtype", "int8", "'float32'"),
        ("roles", {"no_role": False}, "at least one role"),
        ("questionnaires", [], "at least 1 item"),
        ("schema", 2, "expected 1, found 2"),
        ("name", "", "at least 1 character"),
        ("hints", None, "a valid tuple, found None"),
        ("prompt", {"tags": ["<a>", "</a>"]}, "'thinking: on' beside 'tags'"),
        ("prompt", {"thinking": "on", "tags": ["<a>", "<a>"]}, "two texts that differ"),
        ("prompt", {"thinking": "on", "tags": ["<a>", " "]}, "two texts that differ"),
        ("prompt", {"chat_arguments": {"enable_thinking": False}}, "'chat: true' beside 'chat_arguments'"),
        ("prompt", {"chat": True, "chat_arguments": {"tokenize": True}}, "no tokenize in 'chat_arguments'"),
        ("prompt.thinking", "maybe", "'off' or 'on'"),
    ],
)
def test_contradictions_are_named_with_their_field(field, value, named):
    text = refusal(changed(field, value))
    place = text.removeprefix("study file x.yaml, field ").split(": ")[0]
    # The field itself, one inside of it, or, where two fields contradict each other, what holds both.
    assert place.startswith(field) or place == field.rpartition(".")[0]
    assert named in text


def test_contradictions_between_parts():
    assert "method: greedy" in refusal(changed("scoring.mode", "logprob"))
    hint = {"value": "Joy", "inclination": "inclined", "name": "soft"}
    assert "hints of which no two have the same name" in refusal(changed("hints.1", hint))


def test_every_fault_is_counted():
    data = changed("sampling.max_tokens", 0) | {"scoring": {"mode": "guess"}}
    del data["out"]
    text = refusal(data)
    assert "field sampling.max_tokens" in text
    assert "(2 more: scoring.mode:" in text
    assert "out: Field required" in text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: [", "line 1: expected valid YAML"),
        ("schema: 1\nname: a\nname: b\n", "line 3: expected valid YAML, found the key 'name' a second time"),
        ("- 1\n", "a mapping of study fields, found list"),
        ("", "an empty file"),
        ("schema: 1\n", "field name: expected this field, found nothing. Add it"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, named):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_study(file)
    assert str(file) in str(caught.value)
    assert named in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: Grüße".encode("latin-1"))
    with pytest.raises(InputError, match="line 1: expected UTF-8"):
        load_study(tmp_path / "latin.yaml")


def test_little_is_needed():
    study = parse_study(SMALL, "x", HERE)
    assert study.roles.no_role
    assert study.sampling.method == "greedy"
    assert study.steering == ()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.name)
def test_examples_load_and_round_trip(file, monkeypatch, tmp_path):
    monkeypatch.setenv("AXIOGRAPH_PAPER_DATA", str(tmp_path))
    study = load_study(file)
    assert parse_study(study_as_json(study), "x", tmp_path) == study


def test_there_are_examples():
    assert EXAMPLES


def test_on_and_off_are_true_and_false_in_yaml():
    data = changed("prompt.thinking", yaml.safe_load("on")) | {"scoring": {}}
    data["sampling"] = data["sampling"] | {"max_thought_tokens": 900}
    study = parse_study(data, "study file x.yaml", HERE)
    assert study.prompt.thinking == "on" and study.sampling.most_tokens == 912
    assert "'sampling.max_thought_tokens' beside" in refusal(changed("prompt.thinking", True))
    assert "'prompt.thinking: on' beside" in refusal(changed("sampling.max_thought_tokens", 9))

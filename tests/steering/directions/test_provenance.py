"""What a file of directions says of itself, and what a study is told of it."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from axiograph.engine.study.conditions import expand_conditions
from axiograph.engine.study.schema import Study
from axiograph.steering.directions.provenance import (
    Provenance,
    direction_notes,
    read_provenance,
    read_vectors,
    save_directions,
)
from tests import studies

MODEL, PROMPT = b"m" * 16, b"p" * 16
VECTORS = {"resid_post.1": np.arange(4.0) / 3, "resid_post.2": np.ones(4)}
MADE = Provenance(
    name="calm",
    model="org/model",
    revision="abc",
    model_digest=MODEL.hex(),
    dtype="float32",
    template="default",
    prompt_digest=PROMPT.hex(),
    contrast_digest="00",
    span="last",
    axiograph="0",
    contrast={"name": "calm"},
    prompts={"fitting_positive": 3},
    scores={key: {"auc": 0.5} for key in VECTORS},
)


@pytest.fixture
def path(tmp_path):
    save_directions(tmp_path / "calm.safetensors", VECTORS, MADE)
    return tmp_path / "calm.safetensors"


def conditions(path, layer=1, key="resid_post.1"):
    operation = {
        "direction": {"path": str(path), "key": key},
        "hook_point": {"layer": layer},
        "strengths": [1, 2],
        "controls": {"directions": 1},
    }
    return expand_conditions(Study.model_validate(studies.bare(steering=[{"operations": [operation]}])))


def test_what_is_saved_is_read(path):
    assert read_provenance(path) == MADE
    vectors = read_vectors(path)
    assert vectors.keys() == VECTORS.keys()
    assert all((vectors[key] == VECTORS[key].astype(np.float32)).all() for key in VECTORS)


def test_the_same_file_every_time(path, tmp_path):
    save_directions(tmp_path / "again.safetensors", VECTORS, MADE)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_condition_is_called_by_the_name_of_its_direction(path):
    names = [condition.name for condition in conditions(path)]
    assert names[1] == "calm.resid_post.1:+1" and names[3] == "calm.resid_post.1~direction1:+1"


def test_where_it_was_made_nothing_is_said(path):
    assert direction_notes(conditions(path), "org/model", MODEL, PROMPT) == []


def test_another_model_template_or_place_is_said_once(path):
    (note,) = direction_notes(conditions(path), "org/other", b"n" * 16, PROMPT)
    assert "calm was made on org/model" in note and "org/other" in note
    (note,) = direction_notes(conditions(path), "org/model", b"n" * 16, PROMPT)
    assert "other weights of that name" in note
    (note,) = direction_notes(conditions(path), "org/model", MODEL, b"q" * 16)
    assert "another prompt template (default)" in note
    (note,) = direction_notes(conditions(path, layer=2), "org/model", MODEL, PROMPT)
    assert "made at resid_post.1 and is used at resid_post.2" in note


def test_files_of_others_say_nothing(tmp_path):
    plain = tmp_path / "plain.safetensors"
    save_file({"direction": np.ones(4, dtype=np.float32)}, plain)
    save_file({"direction": np.ones(4, dtype=np.float32)}, tmp_path / "odd.safetensors",
              metadata={"axiograph_direction": '{"name": 3}'})  # fmt: skip
    (tmp_path / "bad.safetensors").write_bytes(b"{")
    for name in ("plain", "odd", "bad", "missing"):
        assert read_provenance(tmp_path / f"{name}.safetensors") is None
        assert direction_notes(conditions(tmp_path / f"{name}.safetensors"), "m", MODEL, PROMPT) == []
    assert read_vectors(tmp_path / "bad.safetensors") == {}

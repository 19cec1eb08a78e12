"""Whether an SAE's label means the study's model."""

from __future__ import annotations

import json

import pytest

from axiograph.engine.workers.models import ModelSource
from axiograph.steering.directions.steered_model import SteeredModel, steered_model
from tests import tiny


@pytest.mark.parametrize(
    ("label", "name", "same"),
    [
        ("google/gemma-2b-it", "google/gemma-2b-it", True),
        ("gemma-2b-it", "google/gemma-2b-it", True),
        ("Gemma_2B_IT", "google/gemma-2b-it", True),
        ("gemma-2b", "google/gemma-2b-it", False),
        ("gpt2-small", "openai-community/gpt2", True),
        ("gpt2", "gpt2-small", True),
        ("gpt2-medium", "openai-community/gpt2", False),
        ("pythia-70m-deduped", "EleutherAI/pythia-70m-deduped", True),
        ("/home/x/SmolLM2-135M/", "HuggingFaceTB/SmolLM2-135M", True),
        ("", "anything", True),
    ],
)
def test_names(label, name, same):
    assert SteeredModel((name,)).is_meant_by(label) == same


def test_a_model_without_a_name_is_meant_by_any():
    assert SteeredModel().is_meant_by("gemma-2b")


def test_a_folder_and_the_name_that_its_configuration_keeps(tmp_path):
    config = tiny.config("llama", 100)
    folder = tmp_path / "downloaded"
    folder.mkdir()
    source = ModelSource(str(folder), folder, None, "float32", False)
    assert steered_model(source, config) == SteeredModel((str(folder),), "added")
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "HuggingFaceTB/SmolLM2-135M"}))
    made = steered_model(source, config)
    assert made.is_meant_by("SmolLM2-135M") and made.is_meant_by("downloaded")
    assert not made.is_meant_by("SmolLM2-360M")
    for damaged in ("[1]", "{", '{"_name_or_path": 3}'):
        (folder / "config.json").write_text(damaged)
        assert steered_model(source, config).names == (str(folder),)


def test_the_respondent_that_axiograph_ships_goes_by_its_own_name():
    from axiograph.engine.study.loading import load_study
    from axiograph.engine.workers.models import load_config, resolve_model
    from tests.docs.test_architecture import ROOT

    study = load_study(ROOT / "examples" / "respondent.yaml")
    source = resolve_model(study.model)
    assert steered_model(source, load_config(source)).is_meant_by("axiograph-respondent")

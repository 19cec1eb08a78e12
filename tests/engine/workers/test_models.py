"""Models: found, checked, loaded from safetensors alone, and told apart by their digests."""

from __future__ import annotations

import json
import shutil
import types

import pytest
import torch
from safetensors.torch import load_file, save_file

from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import ModelSpec
from axiograph.engine.workers.models import (
    ModelSource,
    decoder_layers,
    load_config,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_model,
)
from tests import asking, tiny


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def folder(tiny_model, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(tiny_model("llama"), tmp_path / "model")


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def resolve(folder, **fields):
    return resolve_model(ModelSpec(path=folder, dtype="float32", **fields))


def test_a_directory_becomes_a_source(folder):
    source = resolve(folder)
    assert source == ModelSource(str(folder), folder, None, "float32", False)
    assert load_config(source).hidden_size == tiny.WIDTH
    assert load_tokenizer(source).is_fast
    model = load_model(source, "cpu")
    assert not model.training and model.dtype == torch.float32
    weights = load_file(folder / "model.safetensors")
    assert torch.equal(model.model.norm.weight, weights["model.norm.weight"])
    assert load_model(asking.source(folder, "bfloat16"), "cpu").dtype == torch.bfloat16


def test_missing_parts_of_a_directory(folder):
    with pytest.raises(InputError, match=r"model\.path: expected a model directory, found none at"):
        resolve(folder / "none")
    weights = folder / "model.safetensors"
    state = load_file(weights)
    weights.unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"\*\.safetensors .*found none\..*pickled weights are not read"):
        resolve(folder)
    # Nor does loading fall back on them, should they lie beside damaged ones.
    with pytest.raises(InputError, match="a causal language model that loads"):
        load_model(asking.source(folder), "cpu")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json in .*found none"):
        resolve(folder)


def test_damaged_weights(folder):
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a tensor at all"):
        weights.write_bytes(damaged)
        with pytest.raises(InputError, match=r"model .*: expected a causal language model that loads"):
            load_model(resolve(folder), "cpu")


def test_weights_that_are_missing_are_not_made_up(folder):
    """transformers would fill them with random numbers and only warn."""
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.weight"):
        load_model(resolve(folder), "cpu")


def test_weights_of_another_shape_are_refused(folder):
    edit(folder, intermediate_size=48)
    with pytest.raises(InputError, match="a causal language model that loads"):
        load_model(resolve(folder), "cpu")


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_complete_weights_load_whether_tied_or_not(tiny_model, shape):
    assert load_model(asking.source(tiny_model(shape)), "cpu").dtype == torch.float32


def test_unknown_architectures_and_damaged_configurations(folder):
    edit(folder, model_type="no_such_model", architectures=["NoSuchModel"])
    for load in (load_config, lambda source: load_model(source, "cpu")):
        with pytest.raises(InputError, match="no_such_model"):
            load(resolve(folder))
    edit(folder, model_type="llama", hidden_size="wide")
    with pytest.raises(InputError, match=r"config\.json of .*hidden_size"):
        load_config(resolve(folder))
    for text in ("{", "", "[1]", "[]", '"text"', "{}"):
        (folder / "config.json").write_text(text)
        with pytest.raises(InputError, match=r"config\.json of .*a model that transformers knows"):
            load_config(resolve(folder))


def test_a_model_that_is_no_causal_language_model(folder):
    edit(folder, model_type="t5", architectures=["T5ForConditionalGeneration"])
    with pytest.raises(InputError, match="a causal language model"):
        load_model(resolve(folder), "cpu")


def test_a_missing_or_damaged_tokenizer(folder):
    for text in ("{", "{}", '{"added_tokens": []}', "[]"):
        (folder / "tokenizer.json").write_text(text)
        with pytest.raises(InputError, match="tokenizer of"):
            load_tokenizer(resolve(folder))
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(InputError, match="tokenizer of"):
        load_tokenizer(resolve(folder))


@pytest.fixture
def own_code(folder, tmp_path):
    """A model directory whose configuration names Python code of its own."""
    (folder / "own.py").write_text(
        "from pathlib import Path\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    auto_map = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    edit(folder, model_type="own", architectures=["OwnModel"], auto_map=auto_map)
    return folder


def test_code_of_a_model_is_not_run_by_default(own_code, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    assert ModelSpec(path=own_code).trust_remote_code is False
    source = resolve(own_code)
    with pytest.raises(InputError, match=r"needs model\.trust_remote_code"):
        load_config(source)
    with pytest.raises(InputError, match="custom code"):
        load_model(source, "cpu")
    assert not (tmp_path / "ran").exists()


def test_digest_of_a_directory(folder, tmp_path):
    same = shutil.copytree(folder, tmp_path / "same")
    first = resolve(folder).digest()
    assert resolve(same).digest() == first
    # Neither readme nor tokenizer are the model; weights, configuration and end tokens are.
    (same / "README.md").write_text("hello")
    (same / "tokenizer_config.json").write_text("{}")
    assert resolve(same).digest() == first
    edit(same, rms_norm_eps=1e-5)
    second = resolve(same).digest()
    state = load_file(same / "model.safetensors")
    state["model.norm.weight"][0] += 1
    save_file(state, same / "model.safetensors", metadata={"format": "pt"})
    third = resolve(same).digest()
    (same / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5]}))
    assert len({first, second, third, resolve(same).digest()}) == 4


def test_code_of_its_own_belongs_to_a_trusted_model(own_code):
    def digest(trusted):
        return resolve(own_code, trust_remote_code=trusted).digest()

    plain, trusted = digest(False), digest(True)
    (own_code / "own.py").write_text("# another model\n")
    assert digest(False) == plain
    assert digest(True) != trusted


def test_digest_of_a_hub_model_is_its_commit(tmp_path):
    def source(name, revision):
        return ModelSource(name, tmp_path, revision, "float32", False).digest()

    assert source("a/b", "1") == source("a/b", "1")
    assert len({source("a/b", "1"), source("a/b", "2"), source("a/c", "1")}) == 3


def test_a_hub_model_that_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/no-such-model", "not a name//at all"):
        with pytest.raises(InputError, match=r"model\.hub: expected the hub model"):
            resolve_model(ModelSpec(hub=name, revision="abc"))


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    for device in ("nonsense", "cuda:97", "", "meta"):
        with pytest.raises(InputError, match="a device of this machine"):
            resolve_device(device)


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_decoder_layers_of_every_shape(tiny_model, shape):
    model = load_model(asking.source(tiny_model(shape)), "cpu")
    layers = decoder_layers(model)
    assert len(layers) == tiny.LAYERS
    assert list(layers) == list(asking.layers_of(model))


def test_models_without_known_layers_are_refused():
    with pytest.raises(InputError, match="list of decoder layers"):
        decoder_layers(types.SimpleNamespace(encoder=1))

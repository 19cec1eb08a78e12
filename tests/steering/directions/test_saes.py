"""SAEs as released, and those that must be refused."""

from __future__ import annotations

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from axiograph.engine.errors import InputError
from axiograph.engine.study.steering import HookPointSpec, SaeSource
from axiograph.steering.directions.saes import check_layer, load_sae
from axiograph.steering.directions.steered_model import SteeredModel
from tests import tiny


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path):
    return tiny.save_sae(tmp_path / "sae")


def load(folder, width=tiny.WIDTH, layers=tiny.LAYERS):
    return load_sae(SaeSource(path=folder), width, layers)


def edit(folder, **changes):
    """Change fields of cfg.json, those of its metadata by the prefix meta_."""
    config = json.loads((folder / "cfg.json").read_text())
    for key, value in changes.items():
        where = config["metadata"] if key.startswith("meta_") else config
        where[key.removeprefix("meta_")] = value
    (folder / "cfg.json").write_text(json.dumps(config))


def test_rows_are_the_files_rows(folder):
    sae = load(folder)
    weights = load_file(folder / "sae_weights.safetensors")
    assert sae.n_features == 64
    assert sae.hook_point == HookPointSpec(layer=1, place="resid_post")
    assert torch.equal(sae.w_dec, weights["W_dec"])
    assert torch.equal(sae.direction(63), weights["W_dec"][63])
    assert sae.name == f"SAE {folder}"


def test_a_direction_is_a_copy(folder):
    sae = load(folder)
    before = sae.w_dec.clone()
    sae.direction(3).zero_()
    assert torch.equal(sae.w_dec, before)


def test_activations_by_hand(folder):
    weights = load_file(folder / "sae_weights.safetensors")
    weights["b_dec"] += 0.3
    weights["b_enc"] -= 0.1
    save_file(weights, folder / "sae_weights.safetensors")
    stream = torch.randn(2, 5, tiny.WIDTH, generator=torch.Generator().manual_seed(3))
    by_hand = ((stream - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]).relu()
    found = load(folder).activations(stream.bfloat16().float())
    assert found.shape == (2, 5, 64)
    assert torch.allclose(load(folder).activations(stream), by_hand, atol=1e-5)
    assert (by_hand > 0).any() and (by_hand == 0).any()


def test_half_precision_weights_come_out_in_float32(folder):
    weights = load_file(folder / "sae_weights.safetensors")
    save_file({k: v.bfloat16() for k, v in weights.items()}, folder / "sae_weights.safetensors")
    sae = load(folder)
    assert sae.w_dec.dtype == torch.float32
    assert torch.equal(sae.w_dec, weights["W_dec"].bfloat16().float())


@pytest.fixture
def released(folder, monkeypatch):
    """A release that sae-lens knows, with a norm that it folds into its weights on loading."""
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.loading import pretrained_saes_directory as directory

    weights = load_file(folder / "sae_weights.safetensors")

    def loader(repo_id, folder_name, device="cpu", force_download=False, cfg_overrides=None):
        config = json.loads((folder / "cfg.json").read_text())
        config["normalize_activations"] = "expected_average_only_in"
        return config | (cfg_overrides or {}), {k: v.clone() for k, v in weights.items()}, None

    entry = directory.PretrainedSAELookup(
        release="own-release",
        repo_id="nobody/nothing",
        model="m",
        conversion_func="own",
        saes_map={"blocks.1": "x"},
        expected_var_explained={},
        expected_l0={},
        neuronpedia_id={},
        norm_scaling_factor={"blocks.1": 4.0},
        config_overrides=None,
    )
    monkeypatch.setitem(loaders.NAMED_PRETRAINED_SAE_LOADERS, "own", loader)
    monkeypatch.setitem(directory.get_pretrained_saes_directory(), "own-release", entry)
    return weights


def test_w_dec_is_as_released_where_sae_lens_folds_a_norm(released):
    sae = load_sae(SaeSource(release="own-release", id="blocks.1"), tiny.WIDTH, tiny.LAYERS)
    assert torch.allclose(sae.encoder.W_dec, released["W_dec"] / 4)  # it was folded
    assert torch.equal(sae.w_dec, released["W_dec"])
    assert sae.name == "SAE own-release/blocks.1"
    # Activations are those of the stream as it is: sae-lens folded the norm for that.
    stream = torch.randn(3, tiny.WIDTH, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(sae.activations(stream), (4 * stream @ released["W_enc"]).relu(), atol=1e-4)
    # What it adds per activation is the folded row, a quarter of the released one.
    ((unit, note),) = sae.unit_notes
    assert unit == "max_activation" and "4 times what the SAE itself adds" in note


def test_a_layer_of_a_cross_layer_transcoder_is_refused(released, monkeypatch):
    """sae-lens sums its rows over the layers to which it writes."""
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.loading import pretrained_saes_directory as directory

    known = directory.get_pretrained_saes_directory()["own-release"]
    kind = "mntss_clt_layer_transcoder"
    plain = loaders.NAMED_PRETRAINED_SAE_LOADERS["own"]

    def loader(*args, **kwargs):
        config, weights, sparsity = plain(*args, **kwargs)
        names = {"hook_name": "blocks.1.hook_resid_mid", "hook_name_out": "blocks.1.hook_mlp_out"}
        changed = {"architecture": "transcoder", "d_out": tiny.WIDTH, "apply_b_dec_to_input": False}
        changed |= {"normalize_activations": "none", "metadata": config["metadata"] | names}
        return config | changed, weights, sparsity

    monkeypatch.setitem(loaders.NAMED_PRETRAINED_SAE_LOADERS, kind, loader)
    monkeypatch.setattr(known, "conversion_func", kind)
    source = SaeSource(release="own-release", id="blocks.1")
    sae = load_sae(source, tiny.WIDTH, tiny.LAYERS, SteeredModel(("m",), "added"))
    for ask in (lambda: sae.hook_point, sae.check_told):
        with pytest.raises(InputError, match="rows are sums over all layers to which it writes"):
            ask()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (SaeSource(release="own-release", id="blocks.7"), r"blocks\.7 not found"),
        (SaeSource(release="no-such-release", id="blocks.1"), "no-such-release not found"),
    ],
)
def test_unknown_names_are_refused(released, source, found):
    with pytest.raises(InputError, match=found):
        load_sae(source, tiny.WIDTH, tiny.LAYERS)


def test_wrong_width(folder):
    with pytest.raises(InputError, match="the model's width 48, found width 32"):
        load(folder, width=48)


def test_layer_out_of_range(folder):
    edit(folder, meta_hook_name="blocks.3.hook_resid_post")
    with pytest.raises(InputError, match="a layer from 0 to 2, found layer 3"):
        load(folder)
    check_layer(HookPointSpec(layer=2), 3, "here")
    with pytest.raises(InputError, match="here: expected a layer from 0 to 2"):
        check_layer(HookPointSpec(layer=3), 3, "here")


@pytest.mark.parametrize("feature", [-1, 64, 10**9])
def test_feature_out_of_range(folder, feature):
    with pytest.raises(InputError, match=f"feature numbers from 0 to 63, found {feature}"):
        load(folder).direction(feature)


def test_resid_pre_is_a_hook_point(folder):
    edit(folder, meta_hook_name="blocks.0.hook_resid_pre")
    assert load(folder).hook_point == HookPointSpec(layer=0, place="resid_pre")


@pytest.mark.parametrize(
    "name",
    [
        "blocks.1.hook_mlp_out",
        "blocks.1.attn.hook_z",
        "blocks.1.hook_resid_mid",
        "hook_embed",
        "blocks.x.hook_resid_post",
        "blocks.1.hook_resid_post_extra",
        "",
        None,
    ],
)
def test_other_hook_points_are_refused(folder, name):
    edit(folder, meta_hook_name=name)
    sae = load(folder)
    with pytest.raises(InputError, match=r"hook_name: .*residual stream only"):
        _ = sae.hook_point
    with pytest.raises(
        InputError, match="an encoder that reads resid_pre or resid_post, found one that reads"
    ):
        _ = sae.reading_point


@pytest.mark.parametrize("key", ["center_writing_weights", "fold_ln"])
def test_saes_of_processed_weights_are_refused(folder, key):
    edit(folder, meta_model_from_pretrained_kwargs={key: True})
    with pytest.raises(InputError, match=rf"processed weights \({key}\)"):
        load(folder)


def test_processing_that_is_switched_off_is_fine(folder):
    edit(folder, meta_model_from_pretrained_kwargs={"center_writing_weights": False, "fold_ln": False})
    assert load(folder).n_features == 64


def test_configurations_from_before_sae_lens_6(folder):
    """There the hook name and the model's options stand at the top."""
    old = {
        "architecture": "standard", "d_in": 32, "d_sae": 64, "dtype": "float32", "device": "cpu",
        "hook_name": "blocks.2.hook_resid_pre", "activation_fn_str": "relu", "apply_b_dec_to_input": True,
        "normalize_activations": "none", "model_from_pretrained_kwargs": {"center_writing_weights": False},
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(old))
    assert load(folder).hook_point == HookPointSpec(layer=2, place="resid_pre")
    old["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    (folder / "cfg.json").write_text(json.dumps(old))
    with pytest.raises(InputError, match="center_writing_weights"):
        load(folder)


@pytest.mark.parametrize("file", ["cfg.json", "sae_weights.safetensors"])
def test_missing_and_damaged_files(folder, file):
    path = folder / file
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"[1, 2]"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="an SAE that sae-lens loads"):
            load(folder)
    path.unlink()
    with pytest.raises(InputError, match=f"{file} in .*none"):
        load(folder)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickled_weights_are_never_unpickled(folder, tmp_path):
    mark = tmp_path / "exploded"
    (folder / "sae_weights.safetensors").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(InputError, match="an SAE that sae-lens loads"):
        load(folder)
    assert not mark.exists()


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"cfg\.json in"):
        load(tmp_path / "none")


def test_digest_depends_on_the_contents(folder, tmp_path):
    same = tiny.save_sae(tmp_path / "elsewhere")
    assert load(folder).digest == load(same).digest
    weights = load_file(same / "sae_weights.safetensors")
    weights["W_dec"][0, 0] += 1
    save_file(weights, same / "sae_weights.safetensors")
    assert load(folder).digest != load(same).digest


def test_digest_of_a_release_depends_on_its_directions(released):
    source = SaeSource(release="own-release", id="blocks.1")
    first = load_sae(source, tiny.WIDTH, tiny.LAYERS).digest
    assert load_sae(source, tiny.WIDTH, tiny.LAYERS).digest == first
    released["W_dec"][0, 0] += 1
    assert load_sae(source, tiny.WIDTH, tiny.LAYERS).digest != first

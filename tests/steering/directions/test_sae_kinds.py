"""Every kind of SAE that sae-lens saves: used as sae-lens itself would, or refused with the way out."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from axiograph.engine.errors import InputError
from axiograph.engine.study.conditions import Condition, OperationPoint
from axiograph.engine.study.steering import HookPointSpec, OperationSpec, SaeSource
from axiograph.steering.directions.clamping import feature_clamp
from axiograph.steering.directions.operations import Directions, Scales, resolve_conditions
from axiograph.steering.directions.saes import load_sae
from axiograph.steering.directions.steered_model import SteeredModel
from tests import sae_kinds, tiny

POST = HookPointSpec(layer=1)
MODEL = SteeredModel(("organisation/Tiny-1",), "added")
INFERENCE = ("standard", "topk", "jumprelu", "gated", "abstopk", "matching_pursuit")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def load(folder, model=MODEL):
    return load_sae(SaeSource(path=folder), tiny.WIDTH, tiny.LAYERS, model)


def stream(seed=3):
    return torch.randn(6, tiny.WIDTH, generator=torch.Generator().manual_seed(seed))


def directions(folder, model=MODEL, **operation):
    """(directions, the point of one operation of feature 3)"""
    given = {"features": (3,), "strengths": (1.0,), **operation}
    spec = OperationSpec(sae=SaeSource(path=folder), **given)
    return Directions(tiny.WIDTH, tiny.LAYERS, model), OperationPoint(spec, 3, 1.0)


def own_sae(folder):
    from sae_lens import SAE

    return SAE.load_from_disk(folder, device="cpu", dtype="float32")


@pytest.mark.parametrize("kind", INFERENCE)
def test_kinds_with_one_row_per_feature(kind, tmp_path):
    folder = sae_kinds.save(tmp_path / "sae", kind)
    sae, own = load(folder), own_sae(folder)
    assert sae.hook_point == sae.reading_point == POST
    assert torch.equal(sae.direction(7), load_file(folder / "sae_weights.safetensors")["W_dec"][7])
    with torch.inference_mode():
        assert torch.equal(sae.activations(stream()), own.encode(stream()))
        # What one activation adds to what the SAE reconstructs is the row itself.
        one = torch.zeros(1, sae_kinds.FEATURES)
        one[0, 7] = 1.0
        added = own.decode(one) - own.decode(torch.zeros_like(one))
    assert torch.allclose(added[0], sae.direction(7), atol=1e-5)
    assert sae.notes == () and sae.unit_notes == ()


@pytest.mark.parametrize("kind", ["standard", "jumprelu", "gated"])
def test_a_clamp_is_sae_lens_own(kind, tmp_path):
    sae = load(sae_kinds.save(tmp_path / "sae", kind))
    rows = 2 * stream()
    for feature in range(0, 64, 9):
        with torch.inference_mode():
            before = sae.encoder.encode(rows)
            after = before.clone()
            after[:, feature] = 2.5
            wanted = rows + sae.encoder.decode(after) - sae.encoder.decode(before)
        assert torch.allclose(feature_clamp(sae, feature, 2.5).apply(rows), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["topk", "abstopk", "matching_pursuit"])
def test_a_clamp_of_features_that_depend_on_each_other_is_refused(kind, tmp_path):
    with pytest.raises(InputError, match=r"read one at a time.*Use kind: clamp or add"):
        feature_clamp(load(sae_kinds.save(tmp_path / "sae", kind)), 3, 1.0)


def test_a_temporal_sae_steers_and_is_not_read(tmp_path):
    """Its rows are added by what it predicts and by what is new alike; which of them, its past decides."""
    folder = sae_kinds.save(tmp_path / "sae", "temporal")
    sae, own = load(folder), own_sae(folder)
    with torch.inference_mode():
        novel, predicted = own.encode_with_predictions(stream()[None])
        assert torch.allclose(own(stream()[None]), (novel + predicted) @ sae.w_dec + own.b_dec, atol=1e-4)
    assert sae.hook_point == POST
    reason = r"a TemporalSAE, whose activations depend on all tokens before\. Use kind: add"
    with pytest.raises(InputError, match=reason):
        _ = sae.reading_point
    with pytest.raises(InputError, match=reason):
        feature_clamp(sae, 3, 1.0)


@pytest.mark.parametrize("kind", sae_kinds.TRAINED)
def test_checkpoints_of_a_kind_that_exists_for_inference_too(kind, tmp_path):
    folder = sae_kinds.save_checkpoint(tmp_path / "sae", kind)
    sae = load(folder)
    assert torch.equal(sae.w_dec, load_file(folder / "sae_weights.safetensors")["W_dec"])
    assert sae.hook_point == sae.reading_point == POST


@pytest.mark.parametrize("kind", sae_kinds.BATCH_TOPK)
def test_checkpoints_that_choose_by_the_batch_are_refused_with_the_way_out(kind, tmp_path):
    folder = sae_kinds.save_checkpoint(tmp_path / "checkpoint", kind)
    with pytest.raises(
        InputError, match=rf"a training checkpoint \({kind}\).*save_inference_model"
    ) as refused:
        load(folder)
    # The way out is one: what the message says, done.
    import sae_lens

    call = refused.value.remedy.partition("sae_lens.")[2].partition(", and name")[0]
    assert call.endswith('.save_inference_model("FOLDER")') and str(folder) in call
    checkpoint = getattr(sae_lens, call.partition(".")[0]).load_from_disk(folder)
    checkpoint.save_inference_model(tmp_path / "inference")
    sae = load(tmp_path / "inference")
    assert type(sae.encoder).__name__ == "JumpReLUSAE" and sae.hook_point == POST
    assert (sae.activations(3 * stream()) > 0).any()
    feature_clamp(sae, 3, 1.0)


@pytest.mark.parametrize("kind", sae_kinds.TRANSCODERS)
def test_a_transcoder_acts_where_it_writes(kind, tmp_path):
    folder = sae_kinds.save(
        tmp_path / "sae", kind, "blocks.0.hook_resid_post", meta_hook_name_out="blocks.2.hook_mlp_out"
    )
    sae = load(folder)
    assert sae.hook_point == HookPointSpec(layer=2)
    assert sae.reading_point == HookPointSpec(layer=0)
    with torch.inference_mode():
        assert torch.equal(sae.activations(stream()), own_sae(folder).encode(stream()))
    with pytest.raises(
        InputError, match=r"reads blocks\.0\.hook_resid_post and writes to blocks\.2\.hook_mlp_out"
    ):
        feature_clamp(sae, 3, 1.0)
    made, point = directions(folder)
    assert made.hook_point(point) == HookPointSpec(layer=2)
    (note,) = made.notes
    assert "writes to blocks.2.hook_mlp_out" in note and "resid_post.2" in note


@pytest.mark.parametrize(
    "hook", ["blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_in", "blocks.1.mlp.hook_in"]
)
def test_a_transcoder_that_reads_normalised_inputs_steers_and_is_not_read(hook, tmp_path):
    sae = load(
        sae_kinds.save(tmp_path / "sae", "transcoder", hook, meta_hook_name_out="blocks.1.hook_mlp_out")
    )
    assert sae.hook_point == POST
    with pytest.raises(InputError, match=rf"one that reads '{hook}', not the stream"):
        _ = sae.reading_point
    scales = Scales({(sae.name, 3): 2.0})
    made, point = directions(tmp_path / "sae", unit="max_activation")
    with pytest.raises(InputError, match="not the stream"):
        resolve_conditions([Condition("c", (point,))], made, scales)


def test_a_transcoder_without_the_name_of_its_output_is_refused_until_the_study_says_where(tmp_path):
    folder = sae_kinds.save(tmp_path / "sae", "transcoder")
    with pytest.raises(InputError, match=r"hook_name_out: .*'hook_point' in the study"):
        _ = load(folder).hook_point
    made, point = directions(folder, hook_point=HookPointSpec(layer=2))
    assert made.hook_point(point) == HookPointSpec(layer=2)
    assert "does not say where it was trained, and steers at resid_post.2" in made.notes[0]


def test_a_transcoder_of_a_model_with_a_norm_behind_its_mlp(tmp_path):
    """TransformerLens' hook_mlp_out is behind that norm; the module's own output is before it."""
    normed, unknown = SteeredModel(("m",), "normed"), SteeredModel(("m",), "unknown")
    lens = sae_kinds.save(tmp_path / "lens", "transcoder", meta_hook_name_out="blocks.1.hook_mlp_out")
    own = sae_kinds.save(tmp_path / "own", "transcoder", meta_hook_name_out="model.layers.1.mlp")
    assert load(lens, normed).hook_point == load(own).hook_point == POST
    with pytest.raises(InputError, match="before the norm through which this model puts it"):
        _ = load(own, normed).hook_point
    for folder in (lens, own):
        with pytest.raises(
            InputError, match=r"in an architecture where it may not be added as it is.*hook_point"
        ):
            _ = load(folder, unknown).hook_point
    made, point = directions(own, normed, hook_point=POST)
    with pytest.raises(InputError, match="before the norm"):  # no vector of the stream, whoever says so
        made.hook_point(point)


@pytest.mark.parametrize("rescaling", ["layer_norm", "constant_norm_rescale"])
def test_inputs_rescaled_while_reading(rescaling, tmp_path):
    folder = sae_kinds.save(tmp_path / "sae", "standard", normalize_activations=rescaling)
    sae, weights = load(folder), load_file(folder / "sae_weights.safetensors")
    rows = 4 * stream() + 1
    if rescaling == "layer_norm":
        centred = rows - rows.mean(-1, keepdim=True)
        scaled = centred / (centred.std(-1, keepdim=True) + 1e-5)
    else:
        scaled = rows * tiny.WIDTH**0.5 / rows.norm(dim=-1, keepdim=True)
    by_hand = ((scaled - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]).relu()
    assert torch.allclose(sae.activations(rows), by_hand, atol=1e-4) and (by_hand > 0).any()
    with pytest.raises(InputError, match=f"inputs rescaled by {rescaling}"):
        feature_clamp(sae, 3, 1.0)
    for unit, noted in (("raw", True), ("max_activation", True), ("unit_norm", False)):
        made, point = directions(folder, unit=unit)
        made.hook_point(point)
        assert any(f"trained on rescaled activations ({rescaling})" in n for n in made.notes) == noted
    made, point = directions(folder, kind="project_out", strengths=())
    assert made.hook_point(point) == POST and made.notes == []


def test_a_scale_that_was_not_folded_in(tmp_path):
    folder = sae_kinds.save(tmp_path / "sae", "standard", normalize_activations="expected_average_only_in")
    sae = load(folder)
    assert sae.hook_point == POST
    with pytest.raises(
        InputError, match=r"read the stream at a wrong scale.*fold_activation_norm_scaling_factor"
    ):
        _ = sae.reading_point
    # The way out: folded, it reads the stream at that scale.
    own = own_sae(folder)
    own.fold_activation_norm_scaling_factor(0.25)
    own.save_model(tmp_path / "folded")
    folded, weights = load(tmp_path / "folded"), load_file(folder / "sae_weights.safetensors")
    by_hand = ((0.25 * stream() - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]).relu()
    assert folded.reading_point == POST
    assert torch.allclose(folded.activations(stream()), by_hand, atol=1e-5)


def test_whitened_activations_are_another_basis(tmp_path):
    folder = sae_kinds.save_checkpoint(
        tmp_path / "sae", "standard", normalize_activations="covariance_whitening"
    )
    with pytest.raises(InputError, match=r"whitened activations.*at the end of training"):
        load(folder)


def test_activations_rescaled_by_the_length_of_the_row(tmp_path):
    folder = sae_kinds.save(tmp_path / "sae", "topk", rescale_acts_by_decoder_norm=True)
    sae, own = load(folder), own_sae(folder)
    with torch.inference_mode():
        assert torch.equal(sae.activations(stream()), own.encode(stream()))
        one = torch.zeros(1, sae_kinds.FEATURES)
        one[0, 7] = 1.0
        added = (own.decode(one) - own.decode(torch.zeros_like(one)))[0]
    assert torch.allclose(added, sae.direction(7) / sae.direction(7).norm(), atol=1e-5)
    assert [unit for unit, _ in sae.unit_notes] == ["max_activation"]
    # Saved for inference by a training run, rows have length 1, and there is nothing to say.
    sae_kinds.trained("topk").save_inference_model(tmp_path / "inference")
    assert load(tmp_path / "inference").unit_notes == ()


def test_bfloat16(tmp_path):
    folder = sae_kinds.save(tmp_path / "sae", "standard", dtype="bfloat16")
    sae, weights = load(folder), load_file(folder / "sae_weights.safetensors")
    assert weights["W_dec"].dtype == torch.bfloat16 and sae.w_dec.dtype == torch.float32
    assert torch.equal(sae.w_dec, weights["W_dec"].float())
    # Read in float32, by the rounded weights.
    w = {name: tensor.float() for name, tensor in weights.items()}
    by_hand = ((stream() - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    assert torch.allclose(sae.activations(stream()), by_hand, atol=1e-5)


def test_another_models_label_is_noted_and_steers(tmp_path):
    folder = sae_kinds.save(tmp_path / "sae", "standard", meta_model_name="other/Large-2")
    made, point = directions(folder)
    assert made.hook_point(point) == POST
    assert made.notes == [
        f"SAE {folder} is labelled as one of other/Large-2, and the study's model is organisation/Tiny-1: "
        "vectors of another model steer all the same, and mean nothing."
    ]
    folder = sae_kinds.save(tmp_path / "same", "standard", meta_model_name="tiny_1")
    made, point = directions(folder)
    made.hook_point(point)
    assert made.notes == []


def test_the_study_may_say_where(tmp_path):
    other = HookPointSpec(layer=0, place="resid_pre")
    for number, hook in enumerate([None, "layer_1_residual", "blocks.1.hook_resid_mid", "hook_embed"]):
        folder = sae_kinds.save(tmp_path / str(number), "standard", hook)
        made, point = directions(folder)
        with pytest.raises(InputError, match="'hook_point' in the study"):
            made.hook_point(point)
        made, point = directions(folder, hook_point=other)
        assert made.hook_point(point) == other
        (note,) = made.notes
        assert "steers at resid_pre.0, as the study says" in note and (hook or "does not say") in note
    # Against what the metadata say, it is an experiment: done, and said.
    made, point = directions(sae_kinds.save(tmp_path / "known", "standard"), hook_point=other)
    assert made.hook_point(point) == other
    assert "was trained at blocks.1.hook_resid_post, and steers at resid_pre.0" in made.notes[0]
    made, point = directions(tmp_path / "known", hook_point=POST)
    assert made.hook_point(point) == POST and made.notes == []
    # A head's own coordinates are not the stream's, whatever the study says.
    made, point = directions(
        sae_kinds.save(tmp_path / "z", "standard", "blocks.1.attn.hook_z"), hook_point=POST
    )
    with pytest.raises(InputError, match="not the stream, and nothing that is added to it"):
        made.hook_point(point)

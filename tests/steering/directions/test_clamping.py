"""Clamping an activation: against sae-lens' own encode and decode, and the SAEs that are refused."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_lens import (
    GatedSAE,
    GatedSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
)

from axiograph.engine.errors import InputError
from axiograph.engine.study.steering import HookPointSpec
from axiograph.steering.directions.clamping import feature_clamp
from axiograph.steering.directions.hook_names import HookSite
from axiograph.steering.directions.saes import Sae
from axiograph.steering.hf.proof import reset

WIDTH, FEATURES = 12, 20


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def made(kind, **settings):
    torch.manual_seed(4)
    classes = {
        "standard": (StandardSAE, StandardSAEConfig),
        "jumprelu": (JumpReLUSAE, JumpReLUSAEConfig),
        "gated": (GatedSAE, GatedSAEConfig),
        "topk": (TopKSAE, TopKSAEConfig),
    }
    cls, config = classes[kind]
    common = {"d_in": WIDTH, "d_sae": FEATURES, "dtype": "float32", "device": "cpu"}
    encoder = cls(config(**common, **settings))
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter.copy_(
                torch.rand_like(parameter) if name == "threshold" else torch.randn_like(parameter) / 3
            )
    return Sae("an SAE", HookSite.at(HookPointSpec(layer=0)), encoder.W_dec.detach().clone(), encoder, b"")


@pytest.mark.parametrize("kind", ["standard", "jumprelu", "gated"])
@pytest.mark.parametrize("centred", [True, False])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), feature=st.integers(0, FEATURES - 1), target=st.floats(0, 50))
def test_the_error_is_kept(kind, centred, seed, feature, target):
    sae = made(kind, apply_b_dec_to_input=centred)
    rows = 3 * torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        before = sae.encoder.encode(rows)
        after = before.clone()
        after[:, feature] = target
        error = rows - sae.encoder.decode(before)
        wanted = sae.encoder.decode(after) + error
    clamp = feature_clamp(sae, feature, target)
    for found in (clamp.apply(rows), reset(rows, clamp)):
        assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_some_features_are_active_and_some_are_not():
    """So that both sides of the threshold are tried above."""
    sae = made("jumprelu")
    active = sae.encoder.encode(3 * torch.randn(200, WIDTH)) > 0
    assert 0.1 < float(active.float().mean()) < 0.9


def test_by_hand():
    sae = made("standard", apply_b_dec_to_input=False)
    with torch.no_grad():
        sae.encoder.W_enc[:, 3], sae.encoder.W_dec[3], sae.encoder.b_enc[3] = 0.0, 0.0, -1.0
        sae.encoder.W_enc[0, 3], sae.encoder.W_dec[3, 1] = 2.0, 5.0
    clamp = feature_clamp(sae, 3, 4.0)
    row = torch.zeros(1, WIDTH)
    # Not active: all of 4 × 5 is added. Active at 2 × 1.5 − 1 = 2: what is missing, 2 × 5.
    assert clamp.apply(row)[0, 1] == 20.0
    row[0, 0] = 1.5
    found = clamp.apply(row)
    assert found[0, 1] == 10.0 and found[0, 0] == 1.5


def test_a_gate_by_hand():
    """Open above 1 along the first axis, where the magnitude is e^0.5 · h − 1; and shut by the magnitude."""
    sae = made("gated", apply_b_dec_to_input=False)
    with torch.no_grad():
        for name in ("W_enc", "b_gate", "b_mag", "r_mag"):
            getattr(sae.encoder, name).zero_()
        sae.encoder.W_enc[0, 3] = 1.0
        sae.encoder.b_gate[3], sae.encoder.r_mag[3], sae.encoder.b_mag[3] = -1.0, 0.5, -1.0
        sae.encoder.W_dec[3] = 0.0
        sae.encoder.W_dec[3, 1] = 2.0
    rows = torch.zeros(3, WIDTH)
    rows[:, 0] = torch.tensor([0.9, 1.1, 4.0])  # the first has a magnitude above 0, and a shut gate
    found = feature_clamp(sae, 3, 0.0).apply(rows)[:, 1]
    wanted = -2 * torch.tensor([0.0, 1.1 * math.exp(0.5) - 1, 4 * math.exp(0.5) - 1])
    assert torch.allclose(found, wanted, atol=1e-5)
    with torch.no_grad():
        sae.encoder.b_mag[3] = -3.0
    found = feature_clamp(sae, 3, 0.0).apply(rows)[:, 1]
    assert torch.allclose(found, -2 * torch.tensor([0.0, 0.0, 4 * math.exp(0.5) - 3]), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings"), [("topk", {"k": 3}), ("standard", {"normalize_activations": "layer_norm"})]
)
def test_features_that_are_not_read_one_at_a_time_are_refused(kind, settings):
    with pytest.raises(InputError, match="read one at a time"):
        feature_clamp(made(kind, **settings), 2, 1.0)


def test_no_such_feature():
    with pytest.raises(InputError, match="0 to 19"):
        feature_clamp(made("standard"), FEATURES, 1.0)

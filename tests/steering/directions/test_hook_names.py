"""Names of hooks, in the words of three libraries."""

from __future__ import annotations

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.engine.study.steering import HookPointSpec
from axiograph.steering.directions.hook_names import hook_site, mlp_output
from tests import tiny


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("blocks.15.hook_resid_post", "resid_post"),
        ("blocks.15.hook_resid_pre", "resid_pre"),
        ("blocks.15.hook_out", "resid_post"),
        ("blocks.15.hook_in", "resid_pre"),
        ("model.layers.15", "resid_post"),
        ("model.layers.15.output", "resid_post"),
        ("model.layers.15.input", "resid_pre"),
        ("model.language_model.layers.15", "resid_post"),
        ("model.decoder.layers.15", "resid_post"),
        ("transformer.h.15", "resid_post"),
        ("gpt_neox.layers.15", "resid_post"),
        ("layers.15", "resid_post"),
    ],
)
def test_the_stream(name, place):
    site = hook_site(name, "unknown")
    assert site.point == HookPointSpec(layer=15, place=place) and site.is_stream


@pytest.mark.parametrize(
    ("name", "mlp", "acts"),
    [
        ("blocks.3.hook_mlp_out", "added", True),
        ("blocks.3.hook_mlp_out", "normed", True),
        ("blocks.3.hook_mlp_out", "unknown", False),
        ("blocks.3.ln2_post.hook_out", "normed", True),
        ("model.layers.3.post_feedforward_layernorm.output", "normed", True),
        ("blocks.3.mlp.hook_out", "added", True),
        ("blocks.3.mlp.hook_out", "normed", False),
        ("model.layers.3.mlp", "added", True),
        ("transformer.h.3.mlp.output", "added", True),
        ("model.layers.3.mlp", "normed", False),
        ("model.layers.3.mlp", "unknown", False),
    ],
)
def test_what_an_mlp_adds_acts_at_the_output_of_its_layer(name, mlp, acts):
    site = hook_site(name, mlp)
    assert (site.point == HookPointSpec(layer=3)) == acts and (site.point is None) == (not acts)
    assert not (acts and site.is_stream)


@pytest.mark.parametrize(
    ("name", "may_be_told"),
    [
        ("", True),
        ("residual 15", True),
        ("vision_tower.layers.3", True),
        ("blocks.15.hook_resid_post\n", True),
        ("blocks.１５.hook_resid_post", True),
        ("hook_embed", True),
        ("blocks.15.hook_resid_mid", True),
        ("blocks.15.hook_attn_out", True),
        ("model.layers.15.self_attn", True),
        ("blocks.15.attn.hook_z", False),
        ("blocks.15.mlp.hook_post", False),
        ("blocks.15.ln1.hook_normalized", False),
        ("model.layers.15.input_layernorm", False),
    ],
)
def test_no_hook_points(name, may_be_told):
    site = hook_site(name, "added")
    assert site.point is None and site.reason and site.may_be_told == may_be_told


@given(name=st.text(), mlp=st.sampled_from(["added", "normed", "unknown"]))
def test_any_text_is_a_site_or_none(name, mlp):
    site = hook_site(name, mlp)
    assert site.name == name and (site.point is None) == bool(site.reason)


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_mlps_of_models(shape):
    wanted = "normed" if shape in ("gemma2", "gemma3") else "added"
    assert mlp_output(tiny.config(shape, 100)) == wanted


def test_models_that_norm_the_sum_or_were_never_looked_at():
    assert mlp_output(types.SimpleNamespace(model_type="opt", do_layer_norm_before=False)) == "unknown"
    assert mlp_output(types.SimpleNamespace(model_type="granite")) == "unknown"
    assert mlp_output(object()) == "unknown"

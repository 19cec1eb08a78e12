"""Feature activations and residual norms on the span, against passes over one prompt at a time."""

from __future__ import annotations

import polars as pl
import pytest
import torch

from axiograph.engine.errors import InputError
from axiograph.engine.prompting.prompts import Prompt
from axiograph.engine.study.steering import HookPointSpec, SaeSource
from axiograph.engine.workers.models import load_model, load_tokenizer
from axiograph.steering.directions.operations import Scales
from axiograph.steering.directions.saes import load_sae
from axiograph.steering.hf.measurement import (
    FEATURE_SCHEMA,
    feature_table,
    load_scales,
    measure_residual_norms,
    save_features,
    save_norms,
    span_streams,
)
from tests import asking, tiny

POST, PRE = HookPointSpec(layer=0), HookPointSpec(layer=2, place="resid_pre")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def by_hand(model, prompts, index):
    """Span rows of transformers' own hidden states, prompt after prompt, without padding."""
    with torch.inference_mode():
        return torch.cat(
            [
                model(input_ids=torch.tensor([p.ids]), output_hidden_states=True).hidden_states[index][
                    0, list(p.span)
                ]
                for p in prompts
            ]
        )


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_streams_and_norms_equal_passes_by_hand(tiny_model, shape):
    source = asking.source(tiny_model(shape))
    model = load_model(source, "cpu")
    prompts = asking.prompts(load_tokenizer(source), 11)
    streams = span_streams(model, prompts, [POST, PRE], batch_size=4)
    norms = measure_residual_norms(model, prompts, [POST, PRE], batch_size=4)
    for point, index in ((POST, 1), (PRE, 2)):
        wanted = by_hand(model, prompts, index)
        assert streams[point].shape == (sum(len(p.span) for p in prompts), tiny.WIDTH)
        assert torch.allclose(streams[point], wanted, atol=1e-4)
        assert norms[str(point)] == pytest.approx(float(wanted.norm(dim=-1).median()), rel=1e-5)
    assert list(norms) == ["resid_post.0", "resid_pre.2"]


def test_batch_size_does_not_matter(tiny_model):
    source = asking.source(tiny_model("gemma3"))
    model, prompts = load_model(source, "cpu"), asking.prompts(load_tokenizer(source), 9)
    one, all_together = (span_streams(model, prompts, [PRE], size)[PRE] for size in (1, 9))
    assert torch.allclose(one, all_together, atol=1e-5)


def test_half_precision_streams_come_out_in_float32(tiny_model):
    source = asking.source(tiny_model("llama"), "bfloat16")
    model, prompts = load_model(source, "cpu"), asking.prompts(load_tokenizer(source), 2)
    assert span_streams(model, prompts, [POST], 2)[POST].dtype == torch.float32


def test_prompts_without_a_span_have_no_norm(tiny_model):
    source = asking.source(tiny_model("llama"))
    model = load_model(source, "cpu")
    bare = [Prompt("", p.ids, ()) for p in asking.prompts(load_tokenizer(source), 2)]
    with pytest.raises(InputError, match="residual_norm"):
        measure_residual_norms(model, bare, [POST], 2)


@pytest.fixture(scope="module")
def sae(tmp_path_factory):
    folder = tiny.save_sae(tmp_path_factory.mktemp("measure") / "sae", features=16)
    return load_sae(SaeSource(path=folder), tiny.WIDTH, tiny.LAYERS)


def test_feature_table_by_hand(sae):
    stream = torch.randn(7, tiny.WIDTH, generator=torch.Generator().manual_seed(0))
    acts = (stream @ sae.encoder.W_enc + sae.encoder.b_enc).relu().detach()
    table = feature_table(sae, stream)
    assert dict(table.schema) == FEATURE_SCHEMA
    assert sorted(table["feature"]) == list(range(16))
    assert table["max_activation"].is_sorted(descending=True)
    for name, feature, largest, mean, share in table.iter_rows():
        column = acts[:, feature]
        assert name == sae.name
        assert largest == pytest.approx(float(column.max()), rel=1e-5, abs=1e-6)
        assert mean == pytest.approx(float(column.mean()), rel=1e-5, abs=1e-6)
        assert share == pytest.approx(int((column > 0).sum()) / 7)
    assert 0 < table["share_active"].mean() < 1


def test_features_without_activation_stand_last_in_order(sae):
    table = feature_table(sae, torch.zeros(2, tiny.WIDTH))
    assert table["max_activation"].to_list() == [0.0] * 16
    assert table["share_active"].to_list() == [0.0] * 16
    assert table["feature"].to_list() == list(range(16))


def test_scales_are_recorded_and_read(sae, tmp_path):
    features, norms = tmp_path / "features.parquet", tmp_path / "scales.json"
    digests = {sae.name: "aa"}
    assert load_scales(features, norms, "model", digests) == Scales({}, {})
    table = feature_table(sae, torch.ones(1, tiny.WIDTH))
    save_features(table, features, "model", digests)
    save_norms({"resid_post.0": 12.5}, norms, "model")
    scales = load_scales(features, norms, "model", digests)
    assert scales.residual_norm == {"resid_post.0": 12.5}
    five = table.filter(pl.col("feature") == 5)["max_activation"].item()
    assert scales.max_activation[sae.name, 5] == five
    assert len(scales.max_activation) == 16


def test_scales_hold_for_what_they_were_measured_on_only(sae, tmp_path):
    features, norms = tmp_path / "features.parquet", tmp_path / "scales.json"
    sizes = (("a", 1.0), ("b", 2.0))
    tables = {name: feature_table(sae, torch.full((1, tiny.WIDTH), size)) for name, size in sizes}
    for name, table in tables.items():
        save_features(table, features, name, {sae.name: "aa"})
        save_norms({"resid_post.0": float(len(table))}, norms, name)
    for name, table in tables.items():
        largest = {(sae.name, row["feature"]): row["max_activation"] for row in table.iter_rows(named=True)}
        assert load_scales(features, norms, name, {sae.name: "aa"}).max_activation == largest
    assert tables["a"]["max_activation"].sum() != tables["b"]["max_activation"].sum()
    assert load_scales(features, norms, "c", {sae.name: "aa"}) == Scales({}, {})
    assert load_scales(features, norms, "a", {sae.name: "bb"}).max_activation == {}  # the SAE's file changed
    save_features(tables["b"], features, "a", {sae.name: "aa"})  # measured again
    again = load_scales(features, norms, "a", {sae.name: "aa"})
    assert again.max_activation == load_scales(features, norms, "b", {sae.name: "aa"}).max_activation
    assert pl.read_parquet(features).height == 2 * 16


def test_damaged_records_are_named(tmp_path):
    features, norms = tmp_path / "features.parquet", tmp_path / "scales.json"
    features.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"features\.parquet"):
        load_scales(features, norms, "a", {})
    features.unlink()
    norms.write_text("{")
    with pytest.raises(InputError, match=r"scales\.json"):
        load_scales(features, norms, "a", {})

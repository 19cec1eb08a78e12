"""The last layer of a pass over prompts: the same logits, from less work, and never behind anybody's back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from axiograph.engine.hf.layout import PromptLayout, Stretch
from axiograph.engine.hf.model import NoPackedHooks, PackedModel
from axiograph.engine.hf.parity import why_not_packed
from axiograph.engine.hf.prefixes import LayerCache, PrefixCache
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.workers.generation import Generator, NoHooks
from axiograph.engine.workers.models import decoder_layers, load_model, load_tokenizer
from tests import asking, tiny

SIZES, KEEP = (5, 1, 9, 100), np.array([4, 5, 14, 113, 114, 110])
TOKENS = sum(SIZES)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def one_pass(passes, into=None):
    """Logits behind KEEP of prompts of SIZES that share nothing."""
    places = np.concatenate([np.arange(n) for n in SIZES])
    slots = np.repeat(np.arange(len(SIZES)), SIZES)
    layout = PromptLayout([Stretch(n, -1, 0) for n in SIZES], PrefixCache(1, 1), into, slots, places)
    ids = np.random.default_rng(0).integers(5, 200, TOKENS)
    with torch.inference_mode(), passes.entered():
        return passes.run(layout, ids, layout.positions, KEEP)


class Counting:
    """How many tokens went through each MLP; no hook, since those are watched for."""

    def __init__(self, model, monkeypatch):
        self.tokens = []
        for layer in decoder_layers(model):
            monkeypatch.setattr(layer.mlp, "forward", self.counted(layer.mlp.forward))

    def counted(self, forward):
        def forwarded(x):
            self.tokens.append(x.shape[1])
            return forward(x)

        return forwarded


@pytest.mark.parametrize("shape", [*tiny.SHAPES, "mqa"])
def test_logits_keys_and_values_are_those_of_the_whole_layer(tiny_model, shape):
    passes = PackedModel(load_model(asking.source(tiny_model(shape)), "cpu"))
    assert passes.last_layer.shortened
    stored, whole = LayerCache(len(SIZES), max(SIZES)), LayerCache(len(SIZES), max(SIZES))
    found = one_pass(passes, stored)
    passes.last_layer.shortened = False
    wanted = one_pass(passes, whole)
    assert found.shape == wanted.shape == (len(KEEP), wanted.shape[1])
    assert torch.allclose(found, wanted, atol=1e-4)
    for layer in whole.keys:
        assert torch.allclose(stored.keys[layer], whole.keys[layer], atol=1e-5)
        assert torch.allclose(stored.values[layer], whole.values[layer], atol=1e-5)


def test_the_last_layer_works_for_what_is_asked_for_alone(tiny_model, monkeypatch):
    model = load_model(asking.source(tiny_model("llama")), "cpu")
    counting, passes = Counting(model, monkeypatch), PackedModel(model)
    one_pass(passes)
    assert counting.tokens == [TOKENS] * (tiny.LAYERS - 1) + [len(KEEP)]
    assert "forward" not in decoder_layers(model)[-1].__dict__


@pytest.mark.parametrize("watched", ["layer", "mlp", "attention input", "final norm", "everything"])
def test_who_watches_the_layer_sees_all_tokens(tiny_model, monkeypatch, watched):
    model = load_model(asking.source(tiny_model("llama")), "cpu")
    counting, passes = Counting(model, monkeypatch), PackedModel(model)
    unwatched = one_pass(passes)
    counting.tokens.clear()
    seen, last = [], decoder_layers(model)[-1]
    if watched == "everything":
        modules = torch.nn.modules.module
        handle = modules.register_module_forward_hook(
            lambda module, _, out: seen.append(out.shape) if module is last else None
        )
    elif watched == "attention input":
        handle = last.self_attn.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    else:
        module = {"layer": last, "mlp": last.mlp, "final norm": model.model.norm}[watched]
        handle = module.register_forward_hook(lambda _, __, out: seen.append(out.shape))
    assert torch.allclose(one_pass(passes), unwatched, atol=1e-4)
    handle.remove()
    assert [shape[1] for shape in seen] == [TOKENS] == counting.tokens[-1:]


def test_the_input_of_the_layer_may_be_watched(tiny_model, monkeypatch):
    """Steering at resid_pre of the last layer, and the proof of steering before it, cost nothing."""
    model = load_model(asking.source(tiny_model("llama")), "cpu")
    counting, passes = Counting(model, monkeypatch), PackedModel(model)
    seen = []
    handle = decoder_layers(model)[-1].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    one_pass(passes)
    handle.remove()
    assert [shape[1] for shape in seen] == [TOKENS]
    assert counting.tokens[-1] == len(KEEP)


@pytest.mark.parametrize("fault", ["wrong", "raises"])
def test_a_model_that_does_not_bear_it_keeps_its_last_layer(tiny_model, monkeypatch, fault):
    source = asking.source(tiny_model("llama"))
    model = load_model(source, "cpu")
    passes = PackedModel(model)
    generator = Generator(model, load_tokenizer(source), SamplingSpec(max_tokens=2))
    prompts = [[7, 8, 9, 10], [7, 8, 11]]
    wrong = {"wrong": lambda given, n, chosen: given, "raises": lambda *_: 1 / 0}[fault]
    monkeypatch.setattr("axiograph.engine.hf.last_layer._chosen", wrong)
    assert why_not_packed(generator, passes, prompts, NoHooks(), NoPackedHooks(prompts)) is None
    assert not passes.last_layer.shortened

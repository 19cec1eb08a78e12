"""Rotary embeddings in one pass: the models' own numbers, and only where a model turns halves."""

from __future__ import annotations

import pytest
import torch
import transformers as tf
from transformers.models.cohere import modeling_cohere
from transformers.models.llama import modeling_llama

from engine import rotary
from engine.rotary import Rotary, turned

OWN = modeling_llama.apply_rotary_pos_emb


def llama(head=32, dtype=torch.float32):
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=99, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=head,
    )  # fmt: skip
    return tf.LlamaForCausalLM(config).eval().to(dtype)


@pytest.fixture
def counted(monkeypatch):
    """How many tensors were turned here."""
    seen = []

    def watched(x, cos, sin):
        seen.append(x.shape)
        return turned(x, cos, sin)

    monkeypatch.setattr(rotary, "turned", watched)
    return seen


@torch.inference_mode()
def test_a_models_logits_are_its_own(counted):
    model, ids = llama(), torch.arange(40)[None]
    wanted = model(ids).logits
    embeddings = Rotary(model)
    counted.clear()
    with embeddings.used():
        found = model(ids).logits
    assert len(counted) == 4
    assert torch.allclose(found, wanted, atol=1e-5)
    assert modeling_llama.apply_rotary_pos_emb is OWN


@pytest.mark.parametrize("threads", [1, 3])
@torch.inference_mode()
def test_it_is_the_models_function_however_tensors_lie(torch_threads, threads):
    torch_threads(threads)
    q = torch.randn(1, 300, 6, 64).transpose(1, 2)
    k = torch.randn(1, 2, 300, 64)
    cos, sin = torch.randn(1, 300, 64), torch.randn(1, 300, 128)[..., ::2]
    for wanted, given in zip(OWN(q, k, cos, sin), (q, k), strict=True):
        found = turned(given, cos, sin)
        assert found.shape == wanted.shape
        assert torch.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("case", ["batch", "head of eight", "half precision"])
@torch.inference_mode()
def test_what_is_not_fit_goes_to_the_models_own(counted, case):
    model = llama(8 if case == "head of eight" else 32)
    embeddings = Rotary(model)
    counted.clear()
    if case == "half precision":
        model = model.to(torch.bfloat16)
    ids = torch.arange(40).reshape(2, 20) if case == "batch" else torch.arange(40)[None]
    wanted = model(ids).logits
    with embeddings.used():
        assert torch.equal(model(ids).logits, wanted)
    assert counted == []


def test_functions_that_turn_in_another_way_are_left_alone():
    assert rotary._is_proven(OWN)
    # Neighbours instead of halves.
    assert not rotary._is_proven(modeling_cohere.apply_rotary_pos_emb)
    assert not rotary._is_proven(None)
    assert not rotary._is_proven(lambda q, k: (q, k))
    assert Rotary(llama(dtype=torch.bfloat16))._proven == {}


def test_gradients_and_functions_of_others_are_left_alone(monkeypatch):
    model, other = llama(), llama()
    embeddings = Rotary(other)
    with embeddings.used():
        model(torch.arange(40)[None]).logits.sum().backward()
    assert float(model.model.layers[0].self_attn.q_proj.weight.grad.abs().sum()) > 0
    theirs = lambda *given, **named: OWN(*given, **named)  # noqa: E731
    monkeypatch.setattr(modeling_llama, "apply_rotary_pos_emb", theirs)
    with embeddings.used():
        assert modeling_llama.apply_rotary_pos_emb is theirs


def test_two_models_at_once_leave_the_code_as_it_was():
    one, other = Rotary(llama()), Rotary(llama())
    first, second = one.used(), other.used()
    first.__enter__()
    second.__enter__()
    assert modeling_llama.apply_rotary_pos_emb is not OWN
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert modeling_llama.apply_rotary_pos_emb is OWN
    with pytest.raises(KeyError), one.used():
        raise KeyError
    assert modeling_llama.apply_rotary_pos_emb is OWN

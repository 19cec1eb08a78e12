"""Products by oneDNN: the model's own numbers, its own weights, and itself again afterwards."""

from __future__ import annotations

import pytest
import torch

from axiograph.engine.kernels import products as packed_products
from axiograph.engine.kernels.products import Products


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(24, 40), torch.nn.Linear(40, 16, bias=False)
        self.half = torch.nn.Linear(16, 16, dtype=torch.bfloat16)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


@pytest.fixture
def model():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def counted(monkeypatch):
    """Products that went by oneDNN, as numbers of rows."""
    seen = []
    real = packed_products._forward

    def watched(layer, packed):
        seen.append(layer)
        return real(layer, packed)

    monkeypatch.setattr(packed_products, "_forward", watched)
    return seen


@pytest.mark.parametrize("tokens", [1, 7, 8, 300])
@torch.inference_mode()
def test_numbers_are_the_models_own(model, counted, tokens):
    x = torch.randn(1, tokens, 24)
    wanted = model(x)
    with Products(model).used():
        found = model(x)
    assert torch.allclose(found, wanted, atol=1e-5)
    # Half precision is left alone.
    assert counted == [model.first, model.last]


@torch.inference_mode()
def test_afterwards_the_model_is_as_before_whatever_happened(model):
    x = torch.randn(1, 30, 24)
    wanted = model(x)
    with pytest.raises(KeyError), Products(model).used():
        raise KeyError
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert torch.equal(model(x), wanted)


def test_other_weights_are_laid_out_anew(model):
    products, x = Products(model), torch.randn(1, 30, 24)
    with torch.no_grad(), products.used():
        model(x)
    with torch.no_grad():
        model.first.weight.mul_(2)  # in place
    model.last.weight = torch.nn.Parameter(torch.randn(16, 40))  # another one
    with torch.no_grad():
        wanted = model(x)
        with products.used():
            assert torch.allclose(model(x), wanted, atol=1e-5)


def test_weights_are_laid_out_once(model, monkeypatch):
    made = []
    real = packed_products._lay_out
    monkeypatch.setattr(packed_products, "_lay_out", lambda weight: made.append(weight) or real(weight))
    products = Products(model)
    for _ in range(3):
        with products.used():
            pass
    assert len(made) == 2


def test_without_the_memory_for_a_second_copy_nothing_is_done(model, counted, monkeypatch):
    size = 4 * (24 * 40 + 40 * 16)
    monkeypatch.setattr(packed_products, "available", lambda: 4 * size - 1)
    with Products(model).used():
        pass
    assert counted == []
    monkeypatch.setattr(packed_products, "available", lambda: 4 * size)
    with Products(model).used():
        pass
    assert len(counted) == 2


def test_a_forward_that_others_have_put_there_is_left_alone(model, counted):
    model.first.forward = lambda x: torch.zeros(*x.shape[:-1], 40)
    with Products(model).used():
        assert bool((model(torch.randn(1, 20, 24)) == 0).all())
    assert counted == [model.last]
    assert "forward" in model.first.__dict__

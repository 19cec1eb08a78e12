"""Norms and gates in one pass: the model's own numbers, and nothing that merely looks like them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.fused import Fused, gated, normalised
from engine.models import load_model
from tests import asking, tiny


class RMSNorm(torch.nn.Module):
    def __init__(self, width=32, eps=1e-6):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(width) + 0.5)
        self.eps = eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class AbsoluteRMSNorm(RMSNorm):
    """Another formula under the same name."""

    def forward(self, x):
        return self.weight * x / (x.abs().mean(-1, keepdim=True) + self.eps)


class Gate(torch.nn.Module):
    def __init__(self, act_fn):
        super().__init__()
        self.gate_proj, self.up_proj = torch.nn.Linear(32, 48), torch.nn.Linear(32, 48)
        self.down_proj, self.act_fn = torch.nn.Linear(48, 32), act_fn

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


@pytest.mark.parametrize("shape", ["llama", "gemma", "gemma2", "gemma3", "qwen2", "qwen3", "mistral"])
def test_a_models_norms_and_gates_are_known_and_give_its_own_numbers(tiny_model, shape):
    model = load_model(asking.source(tiny_model(shape)), "cpu")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(len(name)))
    fused = Fused(model)
    kinds = [type(module).__name__ for module in fused._forwards]
    assert sum("MLP" in kind for kind in kinds) == tiny.LAYERS
    norms = sum(type(module).__name__.endswith("RMSNorm") for module in model.modules())
    assert sum("Norm" in kind for kind in kinds) == norms
    ids = torch.arange(5, 65).reshape(2, 30)
    with torch.inference_mode():
        wanted = model(ids).logits
        with fused.used():
            found = model(ids).logits
        assert torch.equal(model(ids).logits, wanted)
    assert not torch.equal(found, wanted)
    assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))


class Clamping(Gate):
    """As SiLU, until gates are wide open."""

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x).clamp(max=7)) * self.up_proj(x))


class GatedRMSNorm(RMSNorm):
    """As Mamba's: a plain norm, unless it is given more."""

    def forward(self, x, gate=None):
        return super().forward(x if gate is None else x * gate)


class DemandingRMSNorm(RMSNorm):
    def forward(self, x, gate):
        return super().forward(x * gate)


def shrunk(module):
    """With weights so small that gates are nearly linear."""
    for weight in module.parameters():
        weight.mul_(1e-3)
    return module


@torch.inference_mode()
def test_what_follows_another_formula_is_left_alone():
    others = [AbsoluteRMSNorm(), RMSNorm(20), RMSNorm().double(), DemandingRMSNorm()]
    others += [torch.nn.RMSNorm((4, 32), eps=1e-6)]
    others += [Clamping(torch.nn.SiLU()), shrunk(Clamping(torch.nn.SiLU()))]
    for act_fn in (torch.nn.ReLU(), torch.nn.GELU(), torch.nn.Hardswish()):
        others += [Gate(act_fn), shrunk(Gate(act_fn))]
    assert Fused(torch.nn.ModuleList(others))._forwards == {}
    known = [RMSNorm(), Gate(torch.nn.SiLU()), Gate(torch.nn.GELU("tanh"))]
    assert list(Fused(torch.nn.ModuleList(known))._forwards) == known


@pytest.mark.parametrize("threads", [1, 3])
@torch.inference_mode()
def test_large_inputs_are_shared_by_threads(torch_threads, threads):
    torch_threads(threads)
    x = torch.randn(1, 701, 320)
    norm = RMSNorm(320, 1e-3)
    assert torch.allclose(normalised(x, norm.weight, 0.0, 1e-3), norm(x), atol=1e-5)
    up = torch.randn(1, 701, 320)
    wanted = torch.nn.functional.silu(x) * up
    assert torch.allclose(gated(x, up, 1.0, 0.0), wanted, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_other_numbers_go_to_the_modules_own(dtype):
    norm = RMSNorm()
    fused, x = Fused(torch.nn.ModuleList([norm])), torch.randn(1, 5, 32).to(dtype)
    wanted = norm(x)
    with fused.used():
        assert torch.equal(norm(x), wanted)


@torch.inference_mode()
def test_more_arguments_go_to_the_modules_own():
    norm, x, gate = GatedRMSNorm(), torch.randn(1, 5, 32), torch.randn(1, 5, 32)
    fused = Fused(torch.nn.ModuleList([norm]))
    assert list(fused._forwards) == [norm]
    wanted = norm(x, gate), norm(x, gate=gate), norm(x=x)
    with fused.used():
        found = norm(x, gate), norm(x, gate=gate), norm(x=x)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@torch.inference_mode()
def test_hooks_in_the_module_see_what_they_saw():
    mlp, x = Gate(torch.nn.SiLU()), torch.randn(1, 5, 32)
    fused, seen = Fused(torch.nn.ModuleList([mlp])), []
    mlp(x)
    for part in (mlp.gate_proj, mlp.act_fn):
        part.register_forward_hook(lambda _, __, out: seen.append(out))
    mlp(x)
    with fused.used():
        mlp(x)
    assert len(seen) == 4
    assert torch.allclose(seen[0], seen[2]) and torch.allclose(seen[1], seen[3])


@torch.inference_mode()
def test_a_weight_that_changes_is_seen():
    norm = RMSNorm()
    fused, x = Fused(torch.nn.ModuleList([norm])), torch.randn(1, 5, 32)
    norm.weight.copy_(torch.randn(32))
    wanted = norm(x)
    with fused.used():
        assert torch.allclose(norm(x), wanted, atol=1e-5)


@torch.inference_mode()
def test_gates_at_the_ends_of_the_numbers():
    x = torch.tensor(
        [0.0, -0.0, 1e-30, -1e-30, 50, -50, 88, -88, 1e3, -1e3, 1e30, -1e30, np.inf, np.nan, 2, -2]
    )
    found = gated(x.clone(), torch.ones(16), 1.0, 0.0)
    wanted = torch.nn.functional.silu(x)
    assert torch.equal(found.isnan(), x.isnan())
    # A gate is never quite shut: e ** −88 is left.
    finite = x.isfinite()
    off = (found - wanted).abs()[finite]
    assert bool((off <= 1e-6 * wanted[finite].abs() + 1e-38 * x[finite].abs()).all())
    assert found[12] == torch.inf
    norm = RMSNorm(16)
    assert normalised(x[None], norm.weight, 0.0, 1e-6).isnan().any()

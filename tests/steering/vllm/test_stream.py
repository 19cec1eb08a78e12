"""The stream inside vLLM's layers: pairs and single tensors, read and changed. Without vLLM."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from axiograph.engine.study.steering import HookPointSpec
from axiograph.steering.directions.operations import Operation
from axiograph.steering.vllm.rows import stack_operations
from axiograph.steering.vllm.stream import Streamed, apply_rounds, returned_stream, stream_receiver

WIDTH, TOKENS = 6, 5
POINT = HookPointSpec(layer=0)


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def streams(dtype=torch.float32):
    hidden, residual = random(1, TOKENS, WIDTH).to(dtype), random(2, TOKENS, WIDTH).to(dtype)
    return {"single": Streamed(hidden.clone(), None), "pair": Streamed(hidden.clone(), residual.clone())}


def test_a_pair_is_its_sum():
    for stream in streams().values():
        assert torch.equal(stream.rows(torch.tensor([3, 0])), stream.whole()[[3, 0]])
    pair = streams()["pair"]
    assert torch.equal(pair.whole(), pair.hidden + pair.residual)


def test_what_layers_return_and_receive():
    a, b = random(0, 2, 3), random(1, 2, 3)
    assert returned_stream(a).residual is None and returned_stream((a, b)).residual is b
    for other in ((a, None), (a, b[:1]), (a,), [a, b], None):
        with pytest.raises(TypeError, match="neither one tensor nor a"):
            returned_stream(other)

    class Pair(torch.nn.Module):
        def forward(self, positions, hidden_states, residual):
            return hidden_states, residual

    class Single(torch.nn.Module):
        def forward(self, hidden_states):
            return hidden_states

    received = stream_receiver(Pair())
    for args, kwargs in (
        ((0, a, b), {}),
        ((0, a), {"residual": b}),
        ((), {"hidden_states": a, "residual": b}),
    ):
        assert (received(args, kwargs).hidden, received(args, kwargs).residual) == (a, b)
    assert received((0, a, None), {}).residual is None
    assert stream_receiver(Single())((a,), {}).residual is None
    norm = stream_receiver(torch.nn.LayerNorm(3))
    assert norm((a,), {}).residual is None and norm((a, b), {}).residual is b


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["single", "pair"])
def test_rounds_by_hand(kind, dtype):
    axis = torch.nn.functional.normalize(random(5, WIDTH), dim=-1)
    add = Operation("add", "all", POINT, random(3, WIDTH), None, 0.0)
    clamp = Operation("clamp", "all", POINT, None, axis, 2.5)
    out = Operation("project_out", "all", POINT, None, axis, 0.0)
    table = stack_operations([(add, clamp), (out,)], "cpu")
    stream = streams(dtype)[kind]
    before = stream.whole()
    # Token 1: add, then clamp. Token 3: project out. Token 4: add alone. Tokens 0 and 2: nothing.
    rounds = [(np.array([4, 1, 3]), np.array([0, 0, 2])), (np.array([1]), np.array([1]))]
    apply_rounds(stream, rounds, table)
    wanted = before.clone()
    wanted[1] += add.vector
    wanted[1] += (2.5 - wanted[1] @ axis) * axis
    wanted[3] -= (wanted[3] @ axis) * axis
    wanted[4] += add.vector
    after = stream.whole()
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    torch.testing.assert_close(after, wanted, rtol=0, atol=1e-5 if dtype == torch.float32 else 0.05)
    assert not torch.allclose(after[[1, 3, 4]], before[[1, 3, 4]], atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strength_zero_changes_no_bit(dtype):
    table = stack_operations([(Operation("add", "all", POINT, torch.zeros(WIDTH), None, 0.0),)], "cpu")
    for stream in streams(dtype).values():
        before = stream.whole()
        apply_rounds(stream, [(np.arange(TOKENS), np.zeros(TOKENS, int))], table)
        assert torch.equal(stream.whole(), before)

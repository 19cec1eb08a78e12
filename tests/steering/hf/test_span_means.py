"""The stream that is averaged is the model's own, whatever the batch."""

import numpy as np
import pytest
import torch

from axiograph.engine.errors import RunError
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.models import load_model, load_tokenizer
from axiograph.steering.hf.span_means import Reading, span_means
from tests import asking

POINTS = [HookPointSpec(layer=0), HookPointSpec(layer=1), HookPointSpec(layer=2, place="resid_pre")]
HIDDEN = [1, 2, 2]  # hidden_states[L] is what goes into layer L


def readings(tokenizer):
    prompts = asking.prompts(tokenizer, 9)
    spans = [prompt.span for prompt in prompts[:3]]
    lasts = [(len(prompt.ids) - 1,) for prompt in prompts[3:6]]
    alls = [tuple(range(2, len(prompt.ids))) for prompt in prompts[6:]]
    return [Reading(p.ids, at) for p, at in zip(prompts, spans + lasts + alls, strict=True)]


@pytest.mark.parametrize("shape", ["llama", "gemma2", "gpt2"])
def test_means_are_those_of_a_plain_loop(tiny_model, shape):
    source = asking.source(tiny_model(shape))
    model, rows = load_model(source, "cpu"), readings(load_tokenizer(source))
    done = []
    found = span_means(model, rows, POINTS, 4, done.append)
    assert sum(done) == 9
    for point, number in zip(POINTS, HIDDEN, strict=True):
        norms = []
        for row, mean in zip(rows, found[point].means, strict=True):
            with torch.inference_mode():
                out = model(input_ids=torch.tensor([list(row.ids)]), output_hidden_states=True)
            stream = [out.hidden_states[number][0, position].double() for position in row.positions]
            assert mean == pytest.approx((sum(stream) / len(stream)).numpy(), abs=1e-4)
            norms += [float(h.norm()) for h in stream]
        assert found[point].norm == pytest.approx(np.median(norms), rel=1e-5)


def test_neither_the_batch_nor_the_order_matters(tiny_model):
    source = asking.source(tiny_model("llama"))
    model, rows = load_model(source, "cpu"), readings(load_tokenizer(source))
    one = span_means(model, rows, POINTS[:1], 1)[POINTS[0]]
    many = span_means(model, rows, POINTS[:1], 9)[POINTS[0]]
    turned = span_means(model, rows[::-1], POINTS[:1], 9)[POINTS[0]]
    assert one.means == pytest.approx(many.means, abs=1e-5)
    assert (turned.means[::-1] == many.means).all() and turned.norm == many.norm


def test_a_stream_that_overflows_is_said(tiny_model):
    source = asking.source(tiny_model("llama"))
    model, rows = load_model(source, "cpu"), readings(load_tokenizer(source))
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.fill_(float("inf"))
    with pytest.raises(RunError, match=r"resid_post\.1"):
        span_means(model, rows, POINTS, 9)

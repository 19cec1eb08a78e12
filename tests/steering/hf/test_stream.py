"""Reading and changing the stream, against transformers' own hidden states and against toy modules."""

from __future__ import annotations

import types

import pytest
import torch

from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.generation import pad_batch
from axiograph.engine.workers.models import load_model, load_tokenizer
from axiograph.engine.workers.worker import Request
from axiograph.steering.directions.operations import Operation
from axiograph.steering.hf.stream import Steering, hooked
from tests import asking, tiny


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def point(layer, place="resid_post"):
    return HookPointSpec(layer=layer, place=place)


def add(vector, where, at=None):
    return Operation("add", where, at or point(1), torch.tensor(vector), None, 0.0)


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_hook_points_are_the_hidden_states(tiny_model, shape):
    """resid_post of layer L is the output of decoder layer L, resid_pre its input (DESIGN 9)."""
    source = asking.source(tiny_model(shape))
    model = load_model(source, "cpu")
    ids = torch.tensor([asking.prompts(load_tokenizer(source), 1)[0].ids])
    with torch.inference_mode():
        states = model(input_ids=ids, output_hidden_states=True).hidden_states
        for layer in range(tiny.LAYERS):
            for place, index in (("resid_pre", layer), ("resid_post", layer + 1)):
                seen = []
                with hooked(
                    model, point(layer, place), lambda stream, seen=seen: seen.append(stream.clone())
                ):
                    model(input_ids=ids)
                assert seen[0].shape == (1, ids.shape[1], tiny.WIDTH)
                if index < tiny.LAYERS:  # the last of the hidden states is normed
                    assert torch.equal(seen[0], states[index])


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_what_a_function_returns_replaces_the_stream(tiny_model, shape):
    source = asking.source(tiny_model(shape))
    model = load_model(source, "cpu")
    ids = torch.tensor([asking.prompts(load_tokenizer(source), 1)[0].ids])
    for layer in range(tiny.LAYERS - 1):
        seen = []
        with (
            torch.inference_mode(),
            hooked(model, point(layer), lambda stream: stream + 1),
            hooked(model, point(layer), lambda stream: stream * 2),
            hooked(model, point(layer + 1, "resid_pre"), lambda stream, seen=seen: seen.append(stream)),
        ):
            model(input_ids=ids)
        with torch.inference_mode():
            plain = model(input_ids=ids, output_hidden_states=True).hidden_states[layer + 1]
        assert torch.equal(seen[0], (plain + 1) * 2)


class Layer(torch.nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, hidden_states, extra=None):
        return (hidden_states, "beside") if self.form == "tuple" else hidden_states


def toy(form="tensor", n=2):
    """A 'model' whose layers hand the stream on, given by position or by name."""
    layers = torch.nn.ModuleList(Layer(form) for _ in range(n))
    return types.SimpleNamespace(model=types.SimpleNamespace(layers=layers), device=torch.device("cpu"))


@pytest.mark.parametrize("form", ["tensor", "tuple"])
def test_layers_that_return_tuples_or_take_names(form):
    model, stream = toy(form), torch.zeros(1, 2, 3)
    layer = model.model.layers[0]
    for place in ("resid_pre", "resid_post"):
        for call in (lambda: layer(stream, "x"), lambda: layer(hidden_states=stream)):
            with hooked(model, point(0, place), lambda s: s + 5):
                out = call()
            if form == "tuple":
                assert out[1] == "beside"
                out = out[0]
            assert torch.equal(out, stream + 5)
            with hooked(model, point(0, place), lambda s: None):
                out = call()
            assert torch.equal(out[0] if form == "tuple" else out, stream)


def test_hooks_are_taken_off_again():
    model, stream = toy(), torch.zeros(1, 1, 2)
    with pytest.raises(KeyError), hooked(model, point(0), lambda s: s + 1):
        raise KeyError
    assert torch.equal(model.model.layers[0](stream), stream)


def requests(lengths, spans):
    return [
        Request(bytes(16), "r", "c", "i", 0, list(range(5, 5 + n)), span, "", [])
        for n, span in zip(lengths, spans, strict=True)
    ]


def prefill(operations, rows, extra=0, dtype=torch.float32):
    """The stream behind layer 1 of a toy model, zero before, prompts followed by `extra` further tokens."""
    model = toy()
    steering = Steering(model, operations, rows)
    batch = pad_batch([[*row.prompt_ids, *[3] * extra] for row in rows], 0, "cpu")
    stream = torch.zeros(*batch.ids.shape, 2, dtype=dtype)
    with steering.prefill(batch):
        return model.model.layers[1](stream)[:, :, 0].tolist(), steering, model


def test_spans_by_hand():
    """Rows of 4, 2 and 3 tokens with one more behind each; padding stays untouched."""
    rows = requests((4, 2, 3), ([1, 2], [0], []))
    operations = [
        (add([1.0, 0.0], "prompt_span"),),
        (add([2.0, 0.0], "prompt"),),
        (add([3.0, 0.0], "all"), add([100.0, 0.0], "generated")),
    ]
    found, steering, _ = prefill(operations, rows, extra=1)
    assert found == [[0, 1, 1, 0, 0], [0, 0, 2, 2, 0], [0, 3, 3, 3, 3]]
    assert steering.hook_points(("prompt_span", "prompt", "all")) == [point(1)]


def test_decode_acts_on_rows_that_stay():
    rows = requests((2, 2, 2), ([0], [0], [0]))
    operations = [(add([1.0, 0.0], "generated"),), (add([2.0, 0.0], "prompt"),), (add([3.0, 0.0], "all"),)]
    steering, model = Steering(toy(), operations, rows), None
    model = steering._model

    def step(n):
        with steering.decode():
            return model.model.layers[1](torch.zeros(n, 1, 2))[:, 0, 0].tolist()

    assert step(3) == [1, 0, 3]
    steering.keep([2, 1])
    assert step(2) == [3, 0]
    steering.keep([1])
    assert step(1) == [0]


def test_operations_of_a_row_follow_their_order():
    """With h = 0: add 3, then clamp to 1 leaves 1; clamp to 1, then add 3 leaves 4."""
    axis = torch.tensor([1.0, 0.0])
    plus = add([3.0, 5.0], "prompt")
    clamp = Operation("clamp", "prompt", point(1), None, axis, 1.0)
    out = Operation("project_out", "prompt", point(1), None, axis, 0.0)
    rows = requests((1, 1, 1, 1), ([0], [0], [0], [0]))
    found, _, _ = prefill([(plus, clamp), (clamp, plus), (plus, out), (plus, plus, clamp, plus)], rows)
    assert found == [[1], [4], [0], [4]]


def test_half_precision_is_rounded_once():
    """1,000 + 1 − 1,000 in bfloat16 steps of 4 would lose the 1."""
    big, one, back = (add([x, 0.0], "prompt") for x in (1000.0, 1.0, -1000.0))
    found, _, _ = prefill([(big, one, back)], requests((1,), ([0],)), dtype=torch.bfloat16)
    assert found == [[1]]


def test_a_batch_without_spans_is_left_alone():
    found, _, _ = prefill([(add([1.0, 0.0], "prompt_span"),), ()], requests((2, 2), ([], [])))
    assert found == [[0, 0], [0, 0]]


def test_hook_points_come_in_layer_order():
    points = [point(1), point(1, "resid_pre"), point(0), point(0, "resid_pre")]
    steering = Steering(toy(), [[add([1.0, 0.0], "all", at)] for at in points], requests((1,) * 4, ([],) * 4))
    assert steering.hook_points(("all",)) == [points[3], points[2], points[1], points[0]]
    assert steering.hook_points(("prompt",)) == []

"""Packed generation against the simple loop, whatever the order, the batch and the memory."""

from __future__ import annotations

import gc
import random
import resource

import pytest
import torch

from axiograph.engine.errors import RunError
from axiograph.engine.hf.generation import PackedGenerator
from axiograph.engine.hf.model import NoPackedHooks, PackedModel
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.workers.generation import Generator, NoHooks
from axiograph.engine.workers.machine import MemoryEndedError
from axiograph.engine.workers.models import load_model, load_tokenizer
from tests import asking, tiny

GREEDY = SamplingSpec(max_tokens=12)
DRAWN = SamplingSpec(method="sample", temperature=0.9, top_p=0.95, max_tokens=8)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def load(folder):
    source = asking.source(folder)
    return asking.untie(load_model(source, "cpu")), load_tokenizer(source)


def simple_answers(generator, requests):
    return generator([r.prompt_ids for r in requests], [r.request_id for r in requests], NoHooks())


def packed_answers(packed, requests, limit=None):
    prompts = [r.prompt_ids for r in requests]
    return packed(prompts, [r.request_id for r in requests], NoPackedHooks(prompts), limit)


def with_ends(generator, requests):
    """Let rows end at many different steps; their answers then."""
    free = simple_answers(generator, requests)
    tokens = {token for answer in free for token in answer.ids}
    ends = {t: len({a.ids.index(t) for a in free if t in a.ids}) for t in tokens}
    generator.eos |= {max(ends, key=lambda t: (ends[t], -t))}
    return simple_answers(generator, requests)


@pytest.mark.parametrize("shape", [*tiny.SHAPES, "mqa"])
def test_answers_are_those_of_the_simple_loop(tiny_model, shape):
    """Rows come, go and change places: 48 rows of mixed lengths through 48, 7 and 1 places."""
    model, tokenizer = load(tiny_model(shape))
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 48))]
    generator = Generator(model, tokenizer, GREEDY)
    wanted = with_ends(generator, requests)
    assert len({len(answer.ids) for answer in wanted}) > 4
    for limit, tokens, seed in ((48, 1024, 0), (7, 60, 1), (1, 1024, 2)):
        packed = PackedGenerator(generator, PackedModel(model, tokens))
        shuffled = random.Random(seed).sample(range(48), 48)
        found = packed_answers(packed, [requests[i] for i in shuffled], limit)
        for i, answer in zip(shuffled, found, strict=True):
            assert answer == wanted[i], (shape, limit, i)


def test_draws_are_those_of_the_simple_loop(tiny_model):
    model, tokenizer = load(tiny_model("llama"))
    prompts = asking.prompts(tokenizer, 10)
    # Four of each prompt. Tokens are drawn by rank, so two that are equally likely but for rounding may
    # change places: none are among the draws of these ids (those from 0 on hold two that differ by 4e-9).
    requests = [asking.request(100 + i, prompts[i % 10]) for i in range(40)]
    generator = Generator(model, tokenizer, DRAWN)
    wanted = simple_answers(generator, requests)
    packed = PackedGenerator(generator, PackedModel(model))
    assert packed_answers(packed, requests, 9) == wanted
    assert len({answer.ids for answer in wanted}) > 25


def test_no_prompts_and_single_tokens(tiny_model):
    model, tokenizer = load(tiny_model("llama"))
    generator = Generator(model, tokenizer, GREEDY)
    packed = PackedGenerator(generator, PackedModel(model))
    assert packed_answers(packed, []) == []
    requests = [asking.request(i, asking.Prompt("", (9,) * n, ())) for i, n in enumerate((1, 1, 2, 40))]
    assert packed_answers(packed, requests) == simple_answers(generator, requests)


def test_stored_prefixes_serve_later_calls(tiny_model, monkeypatch):
    """The second call computes only what the first did not."""
    model, tokenizer = load(tiny_model("gemma2"))
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 27))]
    generator = Generator(model, tokenizer, GREEDY)
    passes = PackedModel(model)
    computed = []
    run = passes.run

    def counted(layout, ids, positions, keep):
        computed.append(len(ids))
        return run(layout, ids, positions, keep)

    monkeypatch.setattr(passes, "run", counted)
    packed = PackedGenerator(generator, passes)
    first = packed_answers(packed, requests)
    before = sum(computed)
    assert packed_answers(packed, requests[::-1])[::-1] == first == simple_answers(generator, requests)
    assert sum(computed) - before < before
    assert int(passes.prefixes._users.sum()) == 0


class Fails:
    """A pass that runs out of memory while more than `most` rows are under way, or always."""

    def __init__(self, passes, most, error):
        self.run, self.most, self.error, self.times = passes.run, most, error, 0

    def __call__(self, layout, ids, positions, keep):
        if len(ids if keep is None else keep) > self.most:
            self.times += 1
            raise self.error
        return self.run(layout, ids, positions, keep)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_costs_no_answer(tiny_model, error, monkeypatch, caplog):
    model, tokenizer = load(tiny_model("llama"))
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 26))]
    generator = Generator(model, tokenizer, GREEDY)
    wanted = with_ends(generator, requests)
    passes = PackedModel(model)
    monkeypatch.setattr(passes, "run", Fails(passes, 5, error))
    packed = PackedGenerator(generator, passes)
    assert packed_answers(packed, requests, 26) == wanted
    assert [text.split(" rows")[0] for text in packed.halvings] == ["26", "13", "6"]
    assert "memory ran out" in caplog.text
    # Later calls begin where this one ended.
    assert packed_answers(packed, requests, 26) == wanted
    assert len(packed.halvings) == 3


def test_no_memory_for_a_single_row_is_an_error(tiny_model, monkeypatch):
    model, tokenizer = load(tiny_model("llama"))
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 3))]
    passes = PackedModel(model)
    monkeypatch.setattr(passes, "run", Fails(passes, 0, MemoryError()))
    packed = PackedGenerator(Generator(model, tokenizer, GREEDY), passes)
    with pytest.raises(MemoryEndedError):
        packed_answers(packed, requests)


def test_other_errors_are_not_taken_for_memory(tiny_model, monkeypatch):
    model, tokenizer = load(tiny_model("llama"))
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 9))]
    generator = Generator(model, tokenizer, GREEDY)
    passes = PackedModel(model)
    packed = PackedGenerator(generator, passes)
    with monkeypatch.context() as patched:
        patched.setattr(passes, "run", Fails(passes, 2, RuntimeError("size mismatch")))
        with pytest.raises(RuntimeError, match="size mismatch"):
            packed_answers(packed, requests, 3)
    assert packed.halvings == []
    assert packed_answers(packed, requests, 3) == simple_answers(generator, requests)


def test_nan_is_an_error(tiny_model):
    model, tokenizer = load(tiny_model("llama"))
    with torch.no_grad():
        model.lm_head.weight[40, 0] = float("nan")
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 3))]
    packed = PackedGenerator(Generator(model, tokenizer, GREEDY), PackedModel(model))
    with pytest.raises(RunError, match="NaN"):
        packed_answers(packed, requests)


def test_the_model_attends_as_before_afterwards(tiny_model):
    for shape in ("llama", "gemma2"):
        model, tokenizer = load(tiny_model(shape))
        before = model.config._attn_implementation
        requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 3))]
        packed_answers(PackedGenerator(Generator(model, tokenizer, GREEDY), PackedModel(model)), requests)
        assert model.config._attn_implementation == before
    assert before == "eager"  # what PyTorch's fused attention would not do: soft-capping


@pytest.mark.slow
def test_memory_does_not_grow_over_a_hundred_thousand_requests(tiny_model):
    model, tokenizer = load(tiny_model("llama"))
    generator = Generator(model, tokenizer, SamplingSpec(max_tokens=2))
    packed = PackedGenerator(generator, PackedModel(model))
    prompts = asking.prompts(tokenizer, 50)
    sizes = []
    for call in range(50):
        requests = [asking.request(call * 2000 + i, prompts[(i + call) % 50]) for i in range(2000)]
        packed_answers(packed, requests, 256)
        gc.collect()
        sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # KiB
    assert sizes[-1] - sizes[9] < 8 * 1024

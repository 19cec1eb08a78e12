"""Batched generation against a plain loop, draws against their distribution, stopping against the parse."""

from __future__ import annotations

import collections
import csv
import random
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.answers.parsing import is_complete, parse_answer
from axiograph.engine.errors import RunError
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.workers import generation
from axiograph.engine.workers.generation import (
    Generator,
    NoHooks,
    StopCheck,
    TokenChooser,
    in_batches,
    pad_batch,
    with_smaller_batches,
)
from axiograph.engine.workers.models import load_model, load_tokenizer
from tests import asking, tiny

LABELLED = Path(__file__).parents[1] / "answers" / "labelled_answers.csv"
DRAWN = SamplingSpec(method="sample", temperature=1.0, max_tokens=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def load(folder):
    source = asking.source(folder)
    return asking.untie(load_model(source, "cpu")), load_tokenizer(source)


def generate(generator, requests):
    ids = [request.request_id for request in requests]
    return generator([request.prompt_ids for request in requests], ids, NoHooks())


def test_pad_batch_by_hand():
    batch = pad_batch([[7, 8, 9], [5]], pad=3, device="cpu")
    assert batch.ids.tolist() == [[7, 8, 9], [3, 3, 5]]
    assert batch.mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert batch.starts == (0, 2)


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_rows_that_leave_at_different_steps_equal_the_plain_loop(tiny_model, shape, monkeypatch, capsys):
    """Mixed lengths, batches of 24; a frequent token serves as end of sequence, so that the cache is
    cut down again and again (also the sliding windows of gemma2, gemma3 and mistral)."""
    model, tokenizer = load(tiny_model(shape))
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 24))]
    free = [asking.plain_loop(model, request, (), 14, {2}) for request in requests]
    eos, plain = asking.with_ends(free)
    seen: dict[bytes, list[float]] = {}
    monkeypatch.setattr(generation, "TokenChooser", asking.Watched(TokenChooser, seen))
    model.generation_config.eos_token_id = [2, eos]
    found = generate(Generator(model, tokenizer, SamplingSpec(max_tokens=14)), requests)
    ties = 0
    for request, output, expected in zip(requests, found, plain, strict=True):
        tie = asking.is_tie(output.ids, expected)
        asking.same_logits(seen[request.request_id], expected, tie)
        ties += tie
        if not tie:
            assert output.finish == ("limit" if len(expected.ids) == 14 else "eos")
        assert eos not in output.ids
        assert output.text == tokenizer.decode(output.ids, skip_special_tokens=True)
    with capsys.disabled():
        lengths = sorted({len(p.ids) for p in plain})
        print(f" [{shape}: {ties} ties of {len(requests)} rows, lengths {lengths}]", end="")


def test_batches_of_any_size_and_order_give_the_same(tiny_model):
    model, tokenizer = load(tiny_model("llama"))
    requests = [asking.request(i, p) for i, p in enumerate(asking.prompts(tokenizer, 64))]
    for sampling in (SamplingSpec(max_tokens=8), DRAWN.model_copy(update={"max_tokens": 8})):
        generator = Generator(model, tokenizer, sampling)
        whole = dict(zip([r.request_id for r in requests], generate(generator, requests), strict=True))
        assert len({output.ids for output in whole.values()}) > 8
        for size, seed in ((1, 0), (7, 1), (30, 2), (64, 3)):
            shuffled = random.Random(seed).sample(requests, len(requests))
            for group in in_batches(range(64), size):
                rows = [shuffled[i] for i in group]
                for row, output in zip(rows, generate(generator, rows), strict=True):
                    assert output == whole[row.request_id], (sampling.method, size)


def test_a_draw_depends_on_the_id_alone(tiny_model):
    model, tokenizer = load(tiny_model("llama"))
    prompt = asking.prompts(tokenizer, 1)[0]
    generator = Generator(model, tokenizer, DRAWN)
    rows = [asking.request(i, prompt) for i in (3, 3, 4, 5, 6)]
    outputs = generate(generator, rows)
    assert outputs[0] == outputs[1]
    assert len({output.ids for output in outputs}) == 4
    again = generate(Generator(model, tokenizer, DRAWN), rows[2:3])
    assert again[0] == outputs[2]


def draws(logits, sampling, n=20_000, step=0):
    ids = [i.to_bytes(16, "big") for i in range(n)]
    choose = TokenChooser(sampling, ids)
    return np.array(choose(torch.tensor(logits).expand(n, -1), range(n), step))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [1.0, 0.75])
def test_draws_follow_their_distribution(temperature, top_p):
    """Chi-square on 20,000 ids; probabilities and nucleus by hand."""
    logits = [0.0, 1.0, -1.0, 2.0, 0.5, -30.0]
    p = np.exp(np.array(logits) / temperature)
    p /= p.sum()
    order = np.argsort(-p)
    before = np.concatenate([[0.0], np.cumsum(p[order])[:-1]])
    nucleus = order[before < top_p]
    sampling = SamplingSpec(method="sample", temperature=temperature, top_p=top_p, max_tokens=3)
    counts = np.bincount(draws(logits, sampling, step=2), minlength=6)
    outside = np.setdiff1d(np.arange(6), nucleus)
    assert counts[outside].sum() == 0
    expected = p[nucleus] / p[nucleus].sum() * counts.sum()
    some = expected > 5
    if some.sum() == 1:
        assert counts[nucleus] == [20_000]
        return
    assert scipy.stats.chisquare(counts[nucleus][some], expected[some], sum_check=False).pvalue > 1e-3


def test_steps_of_one_row_are_independent():
    sampling = SamplingSpec(method="sample", temperature=1.0, max_tokens=2)
    first, second = (draws([0.0, 0.0], sampling, step=step) for step in (0, 1))
    pairs = np.bincount(2 * first + second, minlength=4)
    assert scipy.stats.chisquare(pairs).pvalue > 1e-3


@settings(max_examples=150, deadline=None)
@given(
    logits=st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=12),
    top_p=st.floats(1e-6, 1.0),
    temperature=st.floats(0.05, 5.0),
    seed=st.integers(0, 2**128 - 1),
)
def test_the_nucleus_is_never_left_and_never_empty(logits, top_p, temperature, seed):
    sampling = SamplingSpec(method="sample", temperature=temperature, top_p=top_p, max_tokens=1)
    token = TokenChooser(sampling, [seed.to_bytes(16, "little")])(torch.tensor([logits]), [0], 0)[0]
    p = torch.softmax(torch.tensor(logits).double() / temperature, -1)
    likelier = float(p[p > p[token]].sum())
    assert likelier < top_p + 1e-12
    assert p[token] > 0 or len(logits) == 1


def test_a_vanishing_nucleus_is_the_likeliest_token():
    sampling = SamplingSpec(method="sample", temperature=1.0, top_p=1e-9, max_tokens=1)
    assert set(draws([0.0, 0.3, 0.2], sampling, n=500)) == {1}


def test_nan_logits_are_an_error_not_an_answer():
    logits = torch.tensor([[0.0, 1.0], [float("nan"), 1.0]])
    for sampling in (SamplingSpec(), DRAWN):
        choose = TokenChooser(sampling, [bytes(16), bytes(15) + b"\1"])
        with pytest.raises(RunError, match="NaN"):
            choose(logits, [0, 1], 0)
        assert choose(logits[:1], [0], 0) in ([0], [1])


def texts():
    with LABELLED.open(encoding="utf-8", newline="") as file:
        labelled = [row["text"] for row in csv.DictReader(file)]
    return [text for text in labelled if text.strip()]


def scripted(tokenizer, answers, tail):
    """A script with a stretch for each answer, and the prompts that lead to the start of each."""
    script, prompts = [], []
    for answer in answers:
        prompts.append([9] * (len(script) + 1))
        script += tokenizer(answer + tail, add_special_tokens=False)["input_ids"]
        script += tokenizer(" on" * 8, add_special_tokens=False)["input_ids"]
    return script, prompts


@pytest.mark.parametrize("kind", ["nobos", "sentencepiece"])
def test_stopping_early_never_changes_the_state(tmp_path, kind):
    """Labelled answers as a model's output: with the stop rule, and read on to the limit behind it."""
    tokenizer = tiny.tokenizer(kind)
    answers = random.Random(0).sample([text for text in texts() if len(text) < 60], 14)
    answers += ["Answer: yes", "Hm.\nAnswer: No.", "Answer: not sure\n", "Answer: no, but yes!"]
    tail = "\nAnswer: no. And\nQuestion: Do"
    script, prompts = scripted(tokenizer, answers, tail)
    model = load_model(asking.source(asking.scripted_model(tmp_path, tokenizer, script)), "cpu")
    ids = [i.to_bytes(16, "little") for i in range(len(prompts))]
    generator = Generator(model, tokenizer, SamplingSpec(max_tokens=36))
    stopped = generator(prompts, ids, NoHooks())
    generator.stop = NeverStop(tokenizer)
    whole = generator(prompts, ids, NoHooks())
    finishes = collections.Counter(output.finish for output in stopped)
    assert finishes["complete"] >= 10
    states = set()
    for early, late in zip(stopped, whole, strict=True):
        assert late.ids[: len(early.ids)] == early.ids
        assert late.finish == "limit" and len(late.ids) == 36
        assert parse_answer(early.text).state == parse_answer(late.text).state, late.text
        states.add(parse_answer(early.text).state)
        # Not one token too many.
        assert early.finish != "complete" or not is_complete(generator.stop.text(early.ids[:-1]))
    assert {"yes", "no", "unsure"} <= states


class NeverStop(StopCheck):
    def __call__(self, ids):
        return False


def test_finish_reasons_and_ids_without_eos(tmp_path):
    tokenizer = tiny.tokenizer("nobos")
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    complete, endless = encode("Well.\nAnswer: yes\n"), encode(" on" * 12)
    short = encode("Answer: no")
    script = [*complete, *short, 2, *endless, 2, *endless]
    model = load_model(asking.source(asking.scripted_model(tmp_path, tokenizer, script)), "cpu")
    starts = [0, len(complete), len(complete) + len(short), len(complete) + len(short) + 1]
    prompts = [[9] * (start + 1) for start in starts]
    generator = Generator(model, tokenizer, SamplingSpec(max_tokens=len(complete)))
    outputs = generator(prompts, [bytes(16)] * 4, NoHooks())
    assert [output.finish for output in outputs] == ["complete", "eos", "eos", "limit"]
    assert [list(output.ids) for output in outputs] == [complete, short, [], endless[: len(complete)]]
    assert [output.text for output in outputs][:3] == ["Well.\nAnswer: yes\n", "Answer: no", ""]


def test_memory_that_runs_out_halves_the_batch():
    sizes, answered = [], []

    def run(rows):
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("too many")
        answered.extend(rows)

    with_smaller_batches(run, list(range(13)), device="cpu")
    assert answered == list(range(13))
    assert max(size for size in sizes if size <= 3) == 3 and sizes[0] == 13

    def never(rows):
        raise torch.OutOfMemoryError("none at all")

    with pytest.raises(torch.OutOfMemoryError):
        with_smaller_batches(never, [1, 2, 3], device="cpu")

    def other(rows):
        raise ValueError("not memory")

    with pytest.raises(ValueError):
        with_smaller_batches(other, [1, 2, 3], device="cpu")


def test_in_batches():
    assert list(in_batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_batches([], 3)) == []

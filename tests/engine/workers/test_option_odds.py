"""Options by their probabilities, beside an obvious reference: a full pass for every spelling."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.prompting.options import ShownScale
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.workers.log_odds import drawn
from axiograph.engine.workers.models import load_tokenizer
from axiograph.engine.workers.option_odds import OptionOdds
from axiograph.engine.workers.spelled_scales import SpelledScale, spelled_scale
from tests import asking, tiny

AGREE = Scale.of("agree", ["Disagree strongly", "Disagree", "Neutral", "Agree", "Agree strongly"])
TEN = Scale.of("ten", [f"{n} of ten" for n in range(1, 11)])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def letters(text):
    return [ord(c) for c in text]


def test_spellings_and_what_goes_on():
    """One token a character: "Agree" goes on to "Agree strongly" by its space, "1" to "10" by any digit."""
    words = spelled_scale(ShownScale(AGREE, "labels"), letters)
    assert {"".join(map(chr, ids)) for ids in words.spellings["Agree"]} == {
        "Agree",
        "agree",
        " Agree",
        " agree",
    }
    assert words.goes_on[tuple(map(ord, "Agree"))] == (ord(" "),)
    assert tuple(map(ord, "Agree strongly")) not in words.goes_on
    numbers = spelled_scale(ShownScale(TEN, "numbers"), letters)
    assert numbers.goes_on[ord("1"),] == numbers.goes_on[ord("7"),] == tuple(map(ord, "0123456789"))
    five = spelled_scale(ShownScale(AGREE, "numbers"), letters)
    assert not five.goes_on  # no option has a second digit


def test_probabilities_by_hand():
    """P(1) = .5 of which .4 goes on to 10; P(2) = .3; the rest is something else."""
    scale = SpelledScale(
        ShownScale(Scale.of("s", ["a", "b", "c"], codes=[1, 2, 10]), "numbers"),
        {"1": ((1,),), "2": ((2,),), "10": ((1, 0),)},
        {(1,): (0,)},
    )
    rule = OptionOdds(scale, (0, 1, 2), 0.5)
    first = {1: math.log(0.5), 2: math.log(0.3)}
    assert rule.first_tokens == [1, 2] and rule.beginnings(first) == [(1,)]
    columns = rule.columns({(): first, (1,): {0: math.log(0.4)}})
    assert columns["probabilities"] == pytest.approx([0.3, 0.3, 0.2])
    assert columns["mass"] == pytest.approx(0.8) and columns["state"] == "chosen"
    assert columns["entropy"] == pytest.approx(-(2 * 0.375 * math.log(0.375) + 0.25 * math.log(0.25)))
    strict = OptionOdds(scale, (0, 1, 2), 0.9).columns({(): first, (1,): {0: math.log(0.4)}})
    assert (strict["state"], strict["reason"], strict["chosen"]) == ("unparsed", "low-mass", None)


def scale_config(folder, prompt, builder, show, scale, **changes):
    spelled = spelled_scale(ShownScale(scale, show), builder.continuation)
    fields = {"scoring": ScoringSpec(mode="logprob", mass_threshold=0.0), "scales": {scale.name: spelled}}
    return asking.config(folder, prompt, **(fields | changes))


def score(probabilities, scale):
    return sum(p * s for p, s in zip(probabilities, scale.scores, strict=True)) / sum(probabilities)


def full_pass(model, request, ids, goes_on):
    """P of a spelling, and that none of `goes_on` follows, from one pass over all of it."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*request.cued_ids, *ids]])).logits[0].double()
    p = logits.softmax(-1)
    start = len(request.cued_ids) - 1
    chain = math.prod(float(p[start + k, token]) for k, token in enumerate(ids))
    return chain * (1 - sum(float(p[-1, token]) for token in goes_on))


@pytest.mark.parametrize("shape", ["llama", "gemma3"])
@pytest.mark.parametrize(("show", "scale"), [("labels", AGREE), ("numbers", TEN), ("letters", AGREE)])
def test_probabilities_are_those_of_full_passes(tiny_model, shape, show, scale):
    folder = tiny_model(shape)
    tokenizer = load_tokenizer(asking.source(folder))
    builder, prompts = asking.builder(tokenizer), asking.prompts(tokenizer, 6)
    order = tuple(reversed(range(len(scale.labels))))
    cue = builder.continuation("\nAnswer:")
    requests = [
        dataclasses.replace(asking.request(n, p, cue=cue), scale=scale.name, order=list(order))
        for n, p in enumerate(prompts)
    ]
    worker = HfWorker(scale_config(folder, prompts[0], builder, show, scale))
    spelled = worker.config.scales[scale.name]
    assert (worker.fallback is None and spelled.goes_on) or show == "letters"
    rows = worker(asking.table(requests)).to_pylist()
    for request, row in zip(requests, rows, strict=True):
        expected = [
            sum(full_pass(worker.model, request, ids, spelled.goes_on.get(ids, ())) for ids in spellings)
            for spellings in spelled.of(order)
        ]
        assert row["probabilities"] == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert row["mass"] == pytest.approx(sum(expected), rel=1e-4)
        assert score(row["probabilities"], scale) == pytest.approx(score(expected, scale), abs=1e-5)
        assert (row["state"], row["chosen"]) == ("chosen", expected.index(max(expected)))
        assert row["order"] == list(order) and row["log_odds"] is None


def test_packed_passes_and_batches_read_the_same(tiny_model, monkeypatch):
    folder = tiny_model("qwen3")
    tokenizer = load_tokenizer(asking.source(folder))
    builder, prompts = asking.builder(tokenizer), asking.prompts(tokenizer, 8)
    cue = builder.continuation("\nAnswer:")
    mixed = [
        dataclasses.replace(asking.request(n, p, cue=cue), scale="agree", order=[0, 1, 2, 3, 4])
        if n % 2
        else asking.request(n, p, cue=cue)
        for n, p in enumerate(prompts)
    ]
    worker = HfWorker(scale_config(folder, prompts[0], builder, "labels", AGREE))
    packed = worker(asking.table(mixed)).to_pylist()
    monkeypatch.setattr(worker, "_packed", None)
    simple = worker(asking.table(mixed)).to_pylist()
    for one, other in zip(packed, simple, strict=True):
        assert one["state"] == other["state"] and one["chosen"] == other["chosen"]
        assert one["mass"] == pytest.approx(other["mass"], rel=1e-4)
        for name in ("probabilities", "log_odds"):
            assert one[name] == (None if other[name] is None else pytest.approx(other[name], abs=1e-5))


@pytest.mark.parametrize("kind", ["bpe", "gpt2", "sentencepiece"])
@pytest.mark.parametrize("show", ["labels", "numbers", "letters"])
def test_spellings_of_tokenizers_decode_to_their_texts(kind, show):
    tokenizer = tiny.tokenizer(kind)
    spelled = spelled_scale(ShownScale(AGREE, show), asking.builder(tokenizer).continuation)
    for text, spellings in spelled.spellings.items():
        assert {tokenizer.decode(ids).strip().lower() for ids in spellings} == {text.lower()}


def test_draws_follow_the_probabilities():
    columns = {"probabilities": [0.1, 0.0, 0.3], "log_odds": None}
    chosen = [drawn(columns, n.to_bytes(16, "little"))["chosen"] for n in range(2000)]
    assert chosen.count(1) == 0 and chosen.count(0) / 2000 == pytest.approx(0.25, abs=0.03)
    odds = {"log_odds": math.log(3.0)}
    states = [drawn(odds, n.to_bytes(16, "little"))["state"] for n in range(2000)]
    assert states.count("yes") / 2000 == pytest.approx(0.75, abs=0.03)


def test_constrained_answers_are_options_whatever_is_written(tiny_model):
    """A random model writes no marker: the options are read behind the cue; the mass says what was forced."""
    folder = tiny_model("llama")
    tokenizer = load_tokenizer(asking.source(folder))
    builder, prompts = asking.builder(tokenizer), asking.prompts(tokenizer, 5)
    cue = tuple(builder.continuation("\nAnswer:"))
    requests = [
        dataclasses.replace(asking.request(n, p, cue=cue), scale="agree", order=[0, 1, 2, 3, 4])
        for n, p in enumerate(prompts)
    ]
    config = scale_config(
        folder, prompts[0], builder, "numbers", AGREE,
        scoring=ScoringSpec(mode="constrained"), cue_ids=cue, sampling=SamplingSpec(max_tokens=4),
    )  # fmt: skip
    worker = HfWorker(config)
    for request, row in zip(requests, worker(asking.table(requests)).to_pylist(), strict=True):
        assert (row["state"], row["reason"], row["fallback"]) == ("chosen", "constrained", True)
        assert row["new_tokens"] == len(row["answer_ids"]) == 4 and 0 < row["mass"] < 1
        behind = dataclasses.replace(request, cued_ids=[*request.prompt_ids, *row["answer_ids"], *cue])
        spelled = worker.config.scales["agree"]
        expected = [
            sum(full_pass(worker.model, behind, ids, ()) for ids in spelled.spellings[code])
            for code in "12345"
        ]
        assert row["probabilities"] == pytest.approx(expected, rel=1e-4)
        assert row["chosen"] == expected.index(max(expected))

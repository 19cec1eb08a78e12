"""logprob mode by hand: full passes of plain transformers, one row and one spelling at a time."""

from __future__ import annotations

import math
import types

import pytest
import torch

from axiograph.engine.answers.parsing import NO_SPELLINGS, YES_SPELLINGS
from axiograph.engine.errors import RunError
from axiograph.engine.workers.generation import NoHooks, StopCheck
from axiograph.engine.workers.log_odds import LogOdds, longest, up_to_marker
from axiograph.engine.workers.models import load_model, load_tokenizer
from axiograph.engine.workers.spellings import LogprobScorer, spelling_ids
from tests import asking, tiny


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


class Letters:
    """Stands for a prompt builder whose continuations are given by a function of the text."""

    def __init__(self, continuation):
        self.continuation = continuation


def test_every_spelling_that_is_no_other_one():
    yes, no = spelling_ids(Letters(lambda text: [ord(c) for c in text]))
    assert {"".join(map(chr, ids)) for ids in yes} == set(YES_SPELLINGS)
    assert {"".join(map(chr, ids)) for ids in no} == set(NO_SPELLINGS)


def test_spellings_with_equal_ids_count_once():
    yes, no = spelling_ids(Letters(lambda text: [len(text.strip())]))
    assert (yes, no) == (((3,),), ((2,),))


def test_a_spelling_that_begins_with_another_is_left_out():
    """Its probability is part of the shorter one's, on its own side or on the other."""
    ids = {"yes": [1], " yes": [1, 9], "Yes": [2, 3], " Yes": [4, 5], "YES": [2], " YES": [7, 1]}
    ids |= {"no": [4], " no": [6], "No": [6, 6], " No": [8, 4], "NO": [7, 2], " NO": [7]}
    yes, no = spelling_ids(Letters(lambda text: ids[text]))
    assert yes == ((1,), (2,))
    assert no == ((4,), (6,), (7,), (8, 4))


@pytest.mark.parametrize("kind", ["bpe", "gpt2", "nobos", "sentencepiece"])
def test_spellings_of_tokenizers(kind):
    """They decode to what they spell, none begins another, and together they count every text once."""
    tokenizer = tiny.tokenizer(kind)
    sides = spelling_ids(asking.builder(tokenizer))
    everything = [ids for side in sides for ids in side]
    for side, texts in zip(sides, (YES_SPELLINGS, NO_SPELLINGS), strict=True):
        for ids in side:
            # A space at the very front is what decoding takes off.
            assert tokenizer.decode(ids).strip() in {text.strip() for text in texts}
            assert not set(ids) & {tokenizer.bos_token_id, tokenizer.eos_token_id}
    for ids in everything:
        assert not any(ids != other and ids[: len(other)] == other for other in everything)
    assert any(len(ids) > 1 for ids in everything)
    # " yes" and "yes" are not one spelling.
    assert len(sides[0]) == 6


def rule(**changes):
    fields = {
        "mass_threshold": 0.0,
        "yes_ids": ((40,), (41,), (42, 43, 44)),
        "no_ids": ((50,), (51, 40)),
    }
    return LogOdds(types.SimpleNamespace(**(fields | changes)))


def columns(model, prompts, rule):
    read = LogprobScorer(model, 0)(prompts, [rule] * len(prompts), NoHooks(), lambda rows: NoHooks(), prompts)
    return [rule.columns(logps) for logps in read]


def by_hand(model, prompt, spellings):
    """P of each spelling: the product of its tokens' probabilities, from one full pass each."""
    total = 0.0
    for ids in spellings:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0].double()
        p = torch.softmax(logits, -1)
        total += math.prod(float(p[len(prompt) - 1 + k, token]) for k, token in enumerate(ids))
    return total


def test_a_pass_over_the_longest_beginnings_comes_by_all_the_others():
    assert longest([]) == []
    assert longest([(1,), (1, 2), (3,), (1, 4), (1, 2, 5)]) == [(1, 2, 5), (1, 4), (3,)]


def test_spellings_that_cannot_matter_are_not_read_on():
    first = {40: -0.1, 41: -5.0, 42: -19.0, 50: -3.0, 51: -3.0}
    assert rule().beginnings(first) == [(51,)]
    assert rule().beginnings(first | {42: -18.0}) == [(42,), (42, 43), (51,)]


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_log_odds_and_mass_by_hand(tiny_model, shape):
    source = asking.source(tiny_model(shape))
    model = load_model(source, "cpu")
    prompts = [list(p.ids) for p in asking.prompts(load_tokenizer(source), 7)]
    seen = []
    for prompt, result in zip(prompts, columns(model, prompts, rule()), strict=True):
        yes, no = (by_hand(model, prompt, side) for side in rule().options)
        assert result["log_odds"] == pytest.approx(math.log(yes / no), abs=1e-4)
        assert result["mass"] == pytest.approx(yes + no, rel=1e-4)
        assert result["state"] == ("yes" if yes > no else "no")
        assert (result["finish"], result["reason"], result["fallback"]) == ("scored", "log-odds", False)
        seen.append(result["log_odds"])
    assert max(seen) - min(seen) > 0.1


def test_batches_do_not_matter(tiny_model):
    source = asking.source(tiny_model("gemma2"))
    model = load_model(source, "cpu")
    prompts = [list(p.ids) for p in asking.prompts(load_tokenizer(source), 9)]

    def ask(rows):
        return [result["log_odds"] for result in columns(model, rows, rule())]

    assert ask(prompts[::-1])[::-1] == pytest.approx(ask(prompts), abs=1e-5)
    assert [odds for row in prompts for odds in ask([row])] == pytest.approx(ask(prompts), abs=1e-5)


def test_mass_below_the_threshold_is_unparsed(tiny_model):
    source = asking.source(tiny_model("llama"))
    model = load_model(source, "cpu")
    prompts = [list(p.ids) for p in asking.prompts(load_tokenizer(source), 4)]
    masses = [row["mass"] for row in columns(model, prompts, rule())]
    threshold = sorted(masses)[2]
    strict = rule(mass_threshold=threshold)
    for mass, result in zip(masses, columns(model, prompts, strict), strict=True):
        assert result["mass"] == mass
        assert (result["state"] == "unparsed") == (mass < threshold)
        assert result["reason"] == ("low-mass" if mass < threshold else "log-odds")
        assert result["log_odds"] is not None  # the number is kept


def test_nan_is_an_error(tiny_model):
    source = asking.source(tiny_model("llama"))
    model = load_model(source, "cpu")
    with torch.no_grad():
        model.lm_head.weight[40, 0] = float("nan")
    with pytest.raises(RunError, match="NaN"):
        columns(model, [[5, 6]], rule())


@pytest.mark.parametrize("kind", ["nobos", "sentencepiece"])
@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("A thought.\nAnswer: yes", "A thought.\nAnswer:"),
        ("answer : no\nAnswer: yes", "answer :"),
        ("The answer is no", None),
        ("Question: what?", None),
        ("", None),
    ],
)
def test_thoughts_end_at_the_first_marker(kind, text, until):
    tokenizer = tiny.tokenizer(kind)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    stop = StopCheck(tokenizer)
    found = up_to_marker(ids, stop.text)
    assert (None if found is None else stop.text(found)) == until
    assert found is None or tuple(ids[: len(found)]) == found

"""The plain worker from request table to response table: generate, logprob with its fallback, refusals."""

from __future__ import annotations

import dataclasses
import math
import random

import pyarrow as pa
import pytest
import torch

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.workers.models import load_tokenizer
from axiograph.engine.workers.spellings import spelling_ids
from axiograph.engine.workers.worker import REQUEST_SCHEMA, requests_of, responses_table
from tests import asking, tiny


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def worker_of(folder, **changes):
    prompts = asking.prompts(load_tokenizer(asking.source(folder)), 64)
    return HfWorker(asking.config(folder, prompts[0], **changes)), prompts


def answers(worker, requests):
    return worker(asking.table(requests)).to_pylist()


@pytest.fixture(scope="module")
def llama(tiny_model):
    return worker_of(tiny_model("llama"), sampling=SamplingSpec(max_tokens=6))


def test_rows_carry_what_the_store_needs(llama):
    worker, prompts = llama
    requests = [asking.request(i, prompt) for i, prompt in enumerate(prompts[:5])]
    table = worker(asking.table(requests))
    assert table.schema.equals(RESPONSE_SCHEMA)
    for request, row in zip(requests, table.to_pylist(), strict=True):
        for name in ("request_id", "role", "condition", "item_id", "repeat"):
            assert row[name] == getattr(request, name)
        assert row["prompt_tokens"] == len(request.prompt_ids)
        assert row["new_tokens"] == len(row["answer_ids"]) <= 6
        assert (row["mode"], row["backend"], row["device"], row["dtype"]) == (
            "generate",
            "hf",
            "cpu",
            "float32",
        )
        assert row["versions"].startswith(f"torch {torch.__version__}")
        assert (row["log_odds"], row["mass"], row["proof_error"]) == (None, None, None)
        assert (row["steered_tokens"], row["fallback"]) == (0, False)
        assert row["seconds"] > 0


def test_order_and_batch_size_do_not_matter(llama):
    worker, prompts = llama
    requests = [asking.request(i, prompt) for i, prompt in enumerate(prompts)]
    whole = {row["request_id"]: row for row in answers(worker, requests)}
    assert len({tuple(row["answer_ids"]) for row in whole.values()}) > 10
    for size, seed in ((1, 0), (9, 1), (64, 2)):
        sampling = SamplingSpec(max_tokens=6, batch_size=size)
        other = HfWorker(dataclasses.replace(worker.config, sampling=sampling))
        shuffled = random.Random(seed).sample(requests, 64)
        found = answers(other, shuffled)
        assert [row["request_id"] for row in found] == [request.request_id for request in shuffled]
        for row in found:
            for name in ("answer_ids", "text", "state", "reason", "finish"):
                assert row[name] == whole[row["request_id"]][name]


def test_no_requests_no_responses(llama):
    assert llama[0](asking.table([])).num_rows == 0


def test_memory_that_runs_out_costs_no_answer(llama, monkeypatch):
    """Batch by batch; packed passes have a test of their own."""
    worker, prompts = llama
    monkeypatch.setattr(worker, "_packed", None)
    requests = [asking.request(i, prompt) for i, prompt in enumerate(prompts[:13])]
    whole = answers(worker, requests)
    generate, sizes = worker._generate, []

    def narrow(rows, hooks):
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(rows, hooks)

    monkeypatch.setattr(worker, "_generate", narrow)
    found = answers(worker, requests)
    assert max(size for size in sizes if size <= 3) == 3 and sum(s for s in sizes if s <= 3) == 13
    for one, other in zip(found, whole, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_a_steered_condition_is_refused(tiny_model):
    worker, prompts = worker_of(tiny_model("llama"), steered=frozenset({"f1:+3"}))
    assert len(answers(worker, [asking.request(0, prompts[0])])) == 1
    with pytest.raises(RunError, match=r"unsteered requests, found condition 'f1:\+3'"):
        answers(worker, [asking.request(0, prompts[0]), asking.request(1, prompts[1], "f1:+3")])


def with_length(prompt, n, cue=0):
    return dataclasses.replace(asking.request(0, prompt), prompt_ids=[5] * n, cued_ids=[5] * (n + cue))


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_a_prompt_longer_than_the_model(tiny_model, shape):
    """512 tokens hold a prompt of 506 and an answer of 6."""
    worker, prompts = worker_of(tiny_model(shape), sampling=SamplingSpec(max_tokens=6))
    assert answers(worker, [with_length(prompts[0], 506, 9)])[0]["new_tokens"] > 0
    with pytest.raises(InputError, match=r"item 0, .*at most 512 tokens, .*507 of the prompt and up to 6"):
        answers(worker, [with_length(prompts[0], 507, 9)])


def test_a_prompt_longer_than_the_model_in_logprob_mode(tiny_model):
    """Behind the prompt stand the cue or a thought, and all but one token of the longest spelling."""
    for tokens, cue, room in ((6, 9, 11), (9, 2, 11)):
        worker, prompts = worker_of(
            tiny_model("llama"),
            sampling=SamplingSpec(max_tokens=tokens),
            yes_ids=((7, 8, 9),),
            scoring=ScoringSpec(mode="logprob"),
        )
        assert answers(worker, [with_length(prompts[0], 512 - room, cue)])[0]["mode"] == "logprob"
        with pytest.raises(InputError, match=f"up to {room} of the answer"):
            answers(worker, [with_length(prompts[0], 513 - room, cue)])


def test_requests_survive_the_table():
    prompt = asking.Prompt("", (3, 4), (1,))
    request = asking.request(7, prompt, "c")
    assert requests_of(asking.table([request])) == [request]
    assert asking.table([request]).schema.equals(REQUEST_SCHEMA)


def test_responses_must_answer_the_requests(llama):
    _, prompts = llama
    requests = [asking.request(i, prompts[i]) for i in range(3)]
    rows = [vars(request) | {"state": "no"} for request in requests]
    kept = [
        {k: v for k, v in row.items() if k not in ("prompt_ids", "span", "span_text", "cued_ids")}
        for row in rows
    ]
    assert responses_table(kept, requests)["item_id"].to_pylist() == ["0", "1", "2"]
    for wrong in (kept[:2], kept[::-1], [kept[0], kept[0], kept[2]], [*kept, kept[0]]):
        with pytest.raises(RunError, match="one response for each request"):
            responses_table(wrong, requests)


# A model whose next token depends on the position alone: each row below starts at its own stretch of a
# script. The cue is one token, so the position behind it is one further than that behind the prompt.
THOUGHTS = {
    "yes": " on on\nAnswer: yes\n",
    "no": " on\nAnswer: no\n",
    "mute": " on on on on on on on on on on on on on on",
    "other": " on\nAnswer: on\n",
    "at once": None,
}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    """(worker in logprob mode, request per key of THOUGHTS)"""
    tokenizer = tiny.tokenizer("nobos")
    builder = asking.builder(tokenizer)

    def encode(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    script, requests = [], {}
    for number, (name, thought) in enumerate(THOUGHTS.items()):
        prompt = asking.Prompt("", (9,) * (len(script) + 1), ())
        requests[name] = asking.request(number, prompt, cue=encode(":")[:1])
        yes = builder.continuation(" yes")
        script += encode(" on")[:1] + yes if thought is None else encode(thought)
        script += encode(" on") * 12
    folder = asking.scripted_model(tmp_path_factory.mktemp("scripted"), tokenizer, script)
    yes_ids, no_ids = spelling_ids(builder)
    config = asking.config(
        folder,
        asking.Prompt("", (9,), ()),
        sampling=SamplingSpec(max_tokens=12),
        scoring=ScoringSpec(mode="logprob"),
        yes_ids=yes_ids,
        no_ids=no_ids,
    )
    return HfWorker(config), requests


def test_fallback_reads_behind_the_generated_thought(scripted):
    worker, requests = scripted
    rows = dict(zip(requests, answers(worker, list(requests.values())), strict=True))
    assert {name: row["state"] for name, row in rows.items()} == {
        "yes": "yes",
        "no": "no",
        "mute": "unparsed",
        "other": "unparsed",
        "at once": "yes",
    }
    for name, sign in (("yes", 1), ("no", -1)):
        row = rows[name]
        assert (row["fallback"], row["reason"], row["finish"]) == (True, "fallback", "scored")
        assert math.copysign(1, row["log_odds"]) == sign and row["mass"] > 0.5
        assert row["text"] == THOUGHTS[name]
        assert worker.tokenizer.decode(row["answer_ids"]) == row["text"]
        assert row["new_tokens"] == len(row["answer_ids"])
    for name in ("mute", "other"):
        row = rows[name]
        assert (row["fallback"], row["reason"]) == (False, "low-mass")
        assert row["text"] and row["new_tokens"] == len(row["answer_ids"])  # what it wrote is kept
        assert row["mass"] < 0.5
    row = rows["at once"]
    assert (row["fallback"], row["reason"], row["new_tokens"]) == (False, "log-odds", 0)
    assert row["mass"] > 0.5 and row["log_odds"] > 0


def test_fallback_equals_a_pass_by_hand(scripted):
    """Prompt, thought up to and with the marker, then every spelling; not the text behind the marker."""
    worker, requests = scripted
    request = requests["no"]
    row = answers(worker, [request])[0]
    thought = worker.tokenizer(" on\nAnswer:", add_special_tokens=False)["input_ids"]
    assert row["answer_ids"][: len(thought)] == thought
    sides = []
    for spellings in (worker.config.yes_ids, worker.config.no_ids):
        total = 0.0
        for ids in spellings:
            full = [*request.prompt_ids, *thought, *ids]
            p = asking.full_logits(worker.model, full, (), request).double().softmax(-1)
            at = len(full) - len(ids) - 1
            total += math.prod(float(p[at + k, token]) for k, token in enumerate(ids))
        sides.append(total)
    assert row["log_odds"] == pytest.approx(math.log(sides[0] / sides[1]), abs=1e-4)
    assert row["mass"] == pytest.approx(sum(sides), rel=1e-4)


def test_fallback_does_not_depend_on_the_batch(scripted):
    worker, requests = scripted
    whole = answers(worker, list(requests.values()))
    for request, row in zip(requests.values(), whole, strict=True):
        alone = answers(worker, [request])[0]
        for name in ("state", "fallback", "text", "answer_ids"):
            assert alone[name] == row[name]
        assert alone["log_odds"] == pytest.approx(row["log_odds"], abs=1e-5)


def test_generate_mode_reads_the_same_thoughts(scripted):
    worker, requests = scripted
    generating = HfWorker(dataclasses.replace(worker.config, scoring=ScoringSpec()))
    rows = dict(zip(requests, answers(generating, list(requests.values())), strict=True))
    assert {name: (row["state"], row["finish"], row["fallback"]) for name, row in rows.items()} == {
        "yes": ("yes", "complete", False),
        "no": ("no", "complete", False),
        "mute": ("unparsed", "limit", False),
        "other": ("unparsed", "complete", False),
        "at once": ("yes", "limit", False),  # no marker, and nothing else
    }
    assert rows["yes"]["text"] == THOUGHTS["yes"]


def test_worker_takes_tables_of_several_chunks(llama):
    worker, prompts = llama
    parts = [asking.table([asking.request(i, prompts[i])]) for i in range(3)]
    assert worker(pa.concat_tables(parts))["item_id"].to_pylist() == ["0", "1", "2"]

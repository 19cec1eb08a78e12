"""Random plans by packed passes and batch by batch: the same answers, with the same proof."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axiograph.engine.study.schema import SamplingSpec
from tests import asking, tiny
from tests.steering.hf.test_worker import KINDS, POINTS, SPANS, act, logprob, worker_of

STEPS = 5
FEW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
# Nothing reads the last layer's output at a span that ends before the last token.
ACTS = [
    (k, p, s) for k, p, s in itertools.product(KINDS, POINTS, SPANS) if (p, s) != (POINTS[5], "prompt_span")
]

plans = st.fixed_dictionaries(
    {
        # Conditions of one to three operations each: any kinds, places and spans, in any order.
        "conditions": st.lists(
            st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2)), min_size=1, max_size=3),
            min_size=1,
            max_size=5,
        ),
        "requests": st.lists(st.tuples(st.integers(0, 17), st.integers(0, 5)), min_size=1, max_size=20),
        "at_once": st.integers(1, 20),
        "tokens": st.sampled_from([20, 150, 1024]),
    }
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def acts_of(plan):
    return {
        f"c{i}": tuple(act(kind, point, span, seed) for (kind, point, span), seed in own)
        for i, own in enumerate(plan["conditions"])
    }


def asked(plan, prompts, cue=()):
    names = ["baseline", *acts_of(plan)]
    return [
        asking.request(i, prompts[p], names[c % len(names)], cue) for i, (p, c) in enumerate(plan["requests"])
    ]


def both(worker, requests, tokens):
    assert worker.fallback is None
    worker._packed._passes.pass_tokens = tokens
    packed = worker(asking.table(requests)).to_pylist()
    worker._packed, kept = None, worker._packed
    simple = worker(asking.table(requests)).to_pylist()
    worker._packed = kept
    for one, other in zip(packed, simple, strict=True):
        assert one["steered_tokens"] == other["steered_tokens"]
        assert (one["proof_error"] is None) == (other["proof_error"] is None)
        assert one["proof_error"] is None or one["proof_error"] < 1e-4
    return packed, simple


def check(folder, plan):
    acts = acts_of(plan)
    sampling = SamplingSpec(max_tokens=STEPS, batch_size=plan["at_once"])
    worker, prompts = worker_of(folder, acts, sampling=sampling, steered=frozenset(acts))
    requests = asked(plan, prompts)
    for request, one, other in zip(requests, *both(worker, requests, plan["tokens"]), strict=True):
        if one["answer_ids"] == other["answer_ids"]:
            assert one["text"] == other["text"] and one["finish"] == other["finish"]
            continue
        own, eos = acts.get(request.condition, ()), set(worker._generator.eos)
        assert asking.is_tie(one["answer_ids"], asking.plain_loop(worker.model, request, own, STEPS, eos))


@pytest.mark.parametrize("shape", ["llama", "gemma2", "gpt2"])
@FEW
@given(plan=plans)
def test_random_plans(tiny_model, shape, plan):
    check(tiny_model(shape), plan)


@pytest.mark.slow
@pytest.mark.parametrize("shape", tiny.SHAPES)
@MANY
@given(plan=plans)
def test_many_random_plans(tiny_model, shape, plan):
    check(tiny_model(shape), plan)


@FEW
@given(plan=plans)
def test_random_plans_in_logprob_mode(tiny_model, plan):
    """`all` reaches into cue and spelling; `generated` has nothing to act on and is left out."""
    conditions = [[a for a in own if a[0][2] != "generated"] for own in plan["conditions"]]
    plan = plan | {"conditions": [own for own in conditions if own]}
    acts = acts_of(plan)
    worker, prompts = worker_of(tiny_model("gemma3"), acts, **logprob(None))
    cue = asking.builder(worker.tokenizer).continuation("\nAnswer:")
    for one, other in zip(*both(worker, asked(plan, prompts, cue), plan["tokens"]), strict=True):
        assert one["log_odds"] == pytest.approx(other["log_odds"], abs=2e-4)
        assert one["mass"] == pytest.approx(other["mass"], rel=2e-4)


def test_conditions_share_what_lies_before_the_span(tiny_model):
    """And nothing behind it: tokens computed for three conditions of one prompt's rows, counted."""
    acts = {f"c{i}": (act("add", POINTS[3], "prompt_span", i),) for i in range(3)}
    worker, prompts = worker_of(tiny_model("llama"), acts, sampling=SamplingSpec(max_tokens=1))
    prompt = prompts[13]
    requests = [asking.request(i, prompt, f"c{i % 3}") for i in range(12)]
    passes, computed = worker._packed._passes, []
    run = passes.run
    passes.run = lambda layout, ids, positions, keep: (
        computed.append(len(ids)) or run(layout, ids, positions, keep)
    )
    worker(asking.table(requests))
    before, behind = prompt.span[0], len(prompt.ids) - 1 - prompt.span[0]
    # Once what lies before, three times what lies behind, and each row's last token.
    assert sum(computed) in (before + 3 * behind + 12, 3 * (before + behind) + 12)
    if before >= 16:
        assert sum(computed) == before + 3 * behind + 12


def test_no_requests_no_responses(tiny_model):
    worker, _ = worker_of(tiny_model("llama"), {"c": (act("add", POINTS[3], "all"),)})
    assert worker(asking.table([])).num_rows == 0

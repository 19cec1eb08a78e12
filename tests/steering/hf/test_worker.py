"""The hook worker against a plain loop that steers full passes over one row at a time."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
import torch

import axiograph.engine.workers.generation
import axiograph.steering.hf.proof
import axiograph.steering.hf.stream
import axiograph.steering.hf.worker
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.workers.generation import TokenChooser
from axiograph.engine.workers.models import load_tokenizer
from axiograph.steering.directions.clamping import feature_clamp
from axiograph.steering.directions.hook_names import HookSite
from axiograph.steering.directions.operations import Operation
from axiograph.steering.directions.saes import Sae
from axiograph.steering.hf.proof import RowProof
from axiograph.steering.hf.worker import HookWorker, check_spans
from tests import asking, tiny
from tests.asking import Act

POINTS = [(layer, place) for layer in (0, 1, 2) for place in ("resid_pre", "resid_post")]
SPANS = ("prompt_span", "prompt", "generated", "all")
KINDS = ("add", "clamp", "project_out", "clamp_feature")
LONG_OR_WIDE = {"prompt_span": 1.0, "prompt": 0.5, "generated": 0.7, "all": 0.4}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def act(kind, point, where, seed=0, size=12.0):
    """An operation along a random direction, of about the size of the tiny models' streams."""
    vector = torch.randn(tiny.WIDTH, generator=torch.Generator().manual_seed(seed))
    unit = vector / vector.norm()
    size *= LONG_OR_WIDE[where]
    if kind == "clamp_feature":
        return Act(*point, where, sae=tiny.sae(tiny.WIDTH, 16), feature=seed % 16, target=size)
    if kind == "add":
        return Act(*point, where, add=size * unit)
    return Act(*point, where, axis=unit, target=-size if kind == "clamp" else 0.0)


def operation(act):
    if act.sae is not None:
        loaded = Sae("tiny", HookSite.at(act.point), act.sae.W_dec.detach(), act.sae, b"")
        clamp = feature_clamp(loaded, act.feature, act.target)
        return Operation("clamp_feature", act.where, act.point, None, None, 0.0, clamp)
    kind = "add" if act.add is not None else "clamp" if act.target else "project_out"
    return Operation(kind, act.where, act.point, act.add, act.axis, act.target)


def operations(acts):
    return {name: tuple(map(operation, own)) for name, own in acts.items()}


def several():
    """Conditions of several operations: at one place and at several, overlapping spans, order matters."""
    return {
        "both ends": (act("add", POINTS[0], "prompt_span"), act("add", POINTS[5], "all", 1)),
        "add then clamp": (act("add", POINTS[3], "prompt", 2), act("clamp", POINTS[3], "prompt_span", 2)),
        "clamp then add": (act("clamp", POINTS[3], "prompt_span", 2), act("add", POINTS[3], "prompt", 2)),
        "same place twice": (
            act("add", POINTS[2], "all", 3),
            act("project_out", POINTS[2], "generated", 4),
            act("add", POINTS[1], "all", 5),
        ),
        "a feature clamped among others": (
            act("project_out", POINTS[3], "all", 6),
            act("clamp_feature", POINTS[3], "prompt", 7),
            act("clamp_feature", POINTS[3], "all", 8),
            act("clamp_feature", POINTS[1], "prompt_span", 9),
        ),
    }


def every():
    product = itertools.product(KINDS, SPANS, POINTS)
    singles = {f"{k} {w} {p}": (act(k, p, w, i),) for i, (k, w, p) in enumerate(product)}
    # Nothing reads the last layer's output at a span that ends before the last token.
    return {name: own for name, own in singles.items() if f"prompt_span {POINTS[5]}" not in name} | several()


def pairwise():
    """A part of `every` in which each pair of hook point, kind and span comes up."""
    number = {name: i for names in (KINDS, SPANS, POINTS) for i, name in enumerate(names)}

    def taken(own):
        at = number[own[0].layer, own[0].place]
        return len(own) > 1 or (number[operation(own[0]).kind] + number[own[0].where] + at) % 2 == 0

    return {name: own for name, own in every().items() if taken(own)}


def worker_of(folder, acts, **changes):
    """A hook worker over `folder` with its prompts (a fresh output matrix for tied models)."""
    prompts = asking.prompts(load_tokenizer(asking.source(folder)), 18)
    config = asking.config(folder, prompts[4], **changes)
    worker = HookWorker(config, operations(acts), frozenset({"baseline", *acts}))
    asking.untie(worker.model)
    return worker, prompts


def answers(worker, requests):
    return worker(asking.table(requests)).to_pylist()


def test_pairs_are_covered():
    singles = [own[0] for own in pairwise().values() if len(own) == 1]
    kinds = [operation(a).kind for a in singles]
    assert len({(a.point, k) for a, k in zip(singles, kinds, strict=True)}) == 24
    assert len({(a.point, a.where) for a in singles}) == 23
    assert len({(a.where, k) for a, k in zip(singles, kinds, strict=True)}) == 16


def sweep(folder, acts, monkeypatch, steps=10):
    """(rows, ties, share of steered rows that differ from their baseline) of one batch of all conditions."""
    worker, prompts = worker_of(
        folder, acts, sampling=SamplingSpec(max_tokens=steps, batch_size=128), steered=frozenset(acts)
    )
    names = ["baseline", *acts, *["baseline"] * 17]
    requests = [asking.request(i, prompts[(i * 7) % 18], name) for i, name in enumerate(names)]

    def plain_of(request, own):
        return asking.plain_loop(worker.model, request, own, steps, set(worker._generator.eos))

    bases = [plain_of(asking.request(0, prompt), ()).ids for prompt in prompts]
    free = [plain_of(request, acts.get(request.condition, ())) for request in requests]
    steered = [i for i, request in enumerate(requests) if request.condition in acts]
    differ = sum(free[i].ids != bases[(i * 7) % 18] for i in steered)
    eos, wanted = asking.with_ends(free)
    worker._generator.eos |= {eos}
    seen: dict[bytes, list[float]] = {}
    monkeypatch.setattr(
        axiograph.engine.workers.generation, "TokenChooser", asking.Watched(TokenChooser, seen)
    )
    ties = 0
    for request, plain, row in zip(requests, wanted, answers(worker, requests), strict=True):
        tie = asking.is_tie(row["answer_ids"], plain)
        asking.same_logits(seen[request.request_id], plain, tie)
        ties += tie
        own = acts.get(request.condition)
        assert (row["proof_error"] is None) == (own is None)
        width = len(request.prompt_ids)
        in_prompt = [a for a in own or () if a.where != "generated"]
        touched = {i for a in in_prompt for i in asking.acted_places(a, request, width)}
        assert row["steered_tokens"] == len(touched)
    return len(requests), ties, differ / len(acts)


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_mixed_batch_equals_the_plain_loop(tiny_model, shape, monkeypatch, capsys):
    rows, ties, differ = sweep(tiny_model(shape), pairwise(), monkeypatch, steps=6)
    assert differ > 0.5  # otherwise this test could not see steering that does nothing
    with capsys.disabled():
        print(f" [{shape}: {ties} ties in {rows} rows, {differ:.0%} steered away]", end="")


@pytest.mark.slow
@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_every_combination_equals_the_plain_loop(tiny_model, shape, monkeypatch, capsys):
    rows, ties, differ = sweep(tiny_model(shape), every(), monkeypatch, steps=16)
    assert differ > 0.5
    with capsys.disabled():
        print(f" [{shape}: {ties} ties in {rows} rows, {differ:.0%} steered away]", end="")


@pytest.mark.parametrize("shape", ["llama", "gemma2", "gpt2"])
def test_any_batch_size_and_order_gives_the_same(tiny_model, shape):
    acts = pairwise()
    worker, prompts = worker_of(tiny_model(shape), acts, sampling=SamplingSpec(max_tokens=6))
    names = ["baseline", *acts]
    requests = [asking.request(i, prompts[i % 18], names[i % len(names)]) for i in range(64)]
    whole = {row["request_id"]: row for row in answers(worker, requests)}
    for size, seed in ((1, 1), (5, 2), (64, 3)):
        worker.config = dataclasses.replace(
            worker.config, sampling=SamplingSpec(max_tokens=6, batch_size=size)
        )
        for row in answers(worker, random.Random(seed).sample(requests, 64)):
            for name in ("answer_ids", "text", "state", "reason", "finish", "condition", "steered_tokens"):
                assert row[name] == whole[row["request_id"]][name]


def test_drawn_answers_do_not_depend_on_the_batch(tiny_model):
    acts = several()
    sampling = SamplingSpec(method="sample", temperature=0.8, top_p=0.9, max_tokens=6)
    worker, prompts = worker_of(tiny_model("qwen3"), acts, sampling=sampling)
    names = ["baseline", *acts]
    requests = [asking.request(i, prompts[i % 18], names[i % 5]) for i in range(30)]
    whole = answers(worker, requests)
    worker.config = dataclasses.replace(worker.config, sampling=sampling.model_copy(update={"batch_size": 4}))
    again = answers(worker, requests[::-1])[::-1]
    assert [row["answer_ids"] for row in whole] == [row["answer_ids"] for row in again]


def logprob(tokenizer, **changes):
    return {
        "scoring": ScoringSpec(mode="logprob", mass_threshold=0.0),
        "yes_ids": ((40,), (41, 42, 43)),
        "no_ids": ((50,), (51, 40)),
    } | changes


def test_strength_zero_is_the_baseline(tiny_model):
    idle = {
        f"idle {where} {point}": (Act(*point, where, add=torch.zeros(tiny.WIDTH)),)
        for where in SPANS
        for point in POINTS
    }
    acts = idle | {"strong": (act("add", POINTS[2], "all"),)}
    folder = tiny_model("gemma3")
    worker, prompts = worker_of(folder, acts)
    requests = [asking.request(i, prompts[4], name) for i, name in enumerate(["baseline", *acts])]
    baseline, *rest = answers(worker, requests)
    assert rest[-1]["answer_ids"] != baseline["answer_ids"]
    for row in rest[:-1]:
        assert (row["answer_ids"], row["text"]) == (baseline["answer_ids"], baseline["text"])
        assert row["proof_error"] == 0.0
        assert (row["steered_tokens"] > 0) == ("generated" not in row["condition"])
    within = {name: own for name, own in acts.items() if "generated" not in name}
    worker, prompts = worker_of(folder, within, **logprob(worker.tokenizer))
    cue = asking.builder(worker.tokenizer).continuation("\nAnswer:")
    requests = [asking.request(i, prompts[4], name, cue) for i, name in enumerate(["baseline", *within])]
    baseline, *rest = answers(worker, requests)
    rounding = 1e-5
    assert abs(rest[-1]["log_odds"] - baseline["log_odds"]) > 100 * rounding
    for row in rest[:-1]:
        assert row["log_odds"] == pytest.approx(baseline["log_odds"], abs=rounding)
        assert row["mass"] == pytest.approx(baseline["mass"], rel=1e-5)
        assert row["proof_error"] == 0.0


@pytest.mark.parametrize("shape", ["llama", "gemma3", "gpt2", "opt"])
def test_steered_log_odds_by_hand(tiny_model, shape):
    """Full passes over one row; `all` reaches into cue and spelling, the other spans stay in the prompt."""
    acts = {name: own for name, own in pairwise().items() if all(a.where != "generated" for a in own)}
    tokenizer = load_tokenizer(asking.source(tiny_model(shape)))
    worker, prompts = worker_of(tiny_model(shape), acts, **logprob(tokenizer))
    names = ["baseline", *acts]
    cue = asking.builder(tokenizer).continuation("\nAnswer:")
    requests = [asking.request(i, prompts[(5 * i) % 18], name, cue) for i, name in enumerate(names)]
    odds = set()
    for request, row in zip(requests, answers(worker, requests), strict=True):
        sides = []
        for spellings in (worker.config.yes_ids, worker.config.no_ids):
            total = 0.0
            for ids in spellings:
                full = [*request.cued_ids, *ids]
                own = acts.get(request.condition, ())
                logits = asking.full_logits(worker.model, full, own, request).double()
                logp = logits.log_softmax(-1)
                at = len(full) - len(ids) - 1
                total += float(sum(logp[at + k, token] for k, token in enumerate(ids)).exp())
            sides.append(total)
        assert row["log_odds"] == pytest.approx(torch.tensor(sides[0] / sides[1]).log().item(), abs=2e-4)
        assert row["mass"] == pytest.approx(sum(sides), rel=2e-4)
        odds.add(round(row["log_odds"], 3))
    assert len(odds) > len(acts) / 2


def test_unknown_condition_is_refused(tiny_model):
    worker, prompts = worker_of(tiny_model("llama"), {"known": (act("add", POINTS[3], "all"),)})
    with pytest.raises(RunError, match="'other'"):
        answers(worker, [asking.request(0, prompts[0]), asking.request(1, prompts[1], "other")])


def test_a_span_of_other_words_is_refused(tiny_model):
    worker, prompts = worker_of(tiny_model("llama"), {"known": (act("add", POINTS[3], "prompt_span"),)})
    request = asking.request(0, prompts[0], "known")
    moved = dataclasses.replace(request, span=[i + 1 for i in request.span])
    with pytest.raises(RunError, match="decode to 'your values'"):
        answers(worker, [moved])


def test_dtypes_in_which_long_chains_round(tiny_model):
    """A large operation undone by the next: each row's error stays within rounding, so the proof holds."""
    for dtype in ("float32", "bfloat16"):
        big, small = (act("add", POINTS[3], "prompt", 1, size) for size in (4000.0, 1.0))
        back = Act(*POINTS[3], "prompt", add=-big.add)
        held = (
            act("add", POINTS[3], "prompt_span", 2, 4000.0),
            act("clamp", POINTS[3], "prompt_span", 2, 3.0),
        )
        acts = {"there and back": (big, back, small), "held": held}
        folder = tiny_model("llama")
        worker, prompts = worker_of(folder, acts, source=asking.source(folder, dtype))
        for row in answers(worker, [asking.request(i, prompts[i], name) for i, name in enumerate(acts)]):
            assert row["proof_error"] < 0.1


def no_hooks(model, point, function):
    return axiograph.steering.hf.worker._nothing()


def test_canary_refuses_when_hooks_never_fire(tiny_model, monkeypatch):
    for where in ("prompt_span", "generated"):
        acts = {"c": (act("add", POINTS[3], where),)}
        with monkeypatch.context() as patched:
            # Neither the steering nor the probe is called, as in a compiled pass.
            patched.setattr(axiograph.steering.hf.stream, "hooked", no_hooks)
            patched.setattr(axiograph.steering.hf.proof, "hooked", no_hooks)
            with pytest.raises(RunError):
                worker_of(tiny_model("llama"), acts)
            # Even a proof that finds nothing wrong does not help where the output stays the same.
            patched.setattr(axiograph.steering.hf.worker, "check_prompt_pass", lambda *args: [RowProof()])
            patched.setattr(axiograph.steering.hf.worker, "check_step", lambda *args: [0.0])
            with pytest.raises(RunError, match=r"canary.*equal ones"):
                worker_of(tiny_model("llama"), acts)
        worker_of(tiny_model("llama"), acts)


def test_canary_refuses_steering_that_nothing_reads(tiny_model):
    acts = {"too late": (act("add", POINTS[5], "prompt_span"),)}
    with pytest.raises(RunError, match=r"canary.*'too late'.*layer and span"):
        worker_of(tiny_model("llama"), acts)


def test_canary_passes_over_idle_conditions(tiny_model):
    idle = {"zero": (Act(*POINTS[3], "all", add=torch.zeros(tiny.WIDTH)),)}
    assert worker_of(tiny_model("llama"), idle)[0]._canary_conditions() == []


def test_canary_takes_the_strongest_of_each_kind(tiny_model):
    acts = {
        "weak": (act("add", POINTS[3], "all", 0, 1.0),),
        "strong": (act("add", POINTS[3], "all", 1, 9.0),),
        "elsewhere": (act("add", POINTS[4], "all"),),
        "out": (act("project_out", POINTS[3], "all"),),
    }
    worker, _ = worker_of(tiny_model("llama"), acts)
    assert set(worker._canary_conditions()) == {"strong", "elsewhere", "out"}


def test_generated_span_is_refused_in_logprob_mode():
    conditions = operations({"late": (act("add", POINTS[3], "generated"),)})
    check_spans(conditions, "generate", tiny.LAYERS)
    with pytest.raises(InputError, match=r"'late'.*generated"):
        check_spans(conditions, "logprob", tiny.LAYERS)


def test_steering_that_nothing_reads_is_refused():
    """Behind the last layer only the last token's stream is read: the span of the prompt is not."""
    last = (tiny.LAYERS - 1, "resid_post")
    alone = operations({"late": (act("add", last, "prompt_span"),)})
    with pytest.raises(InputError, match=rf"'late'.*resid_post\.{tiny.LAYERS - 1} at the prompt's span"):
        check_spans(alone, "generate", tiny.LAYERS)
    early = act("add", (0, "resid_post"), "prompt_span")
    fine = {"both": (early, act("add", last, "prompt_span")), "all": (act("add", last, "all"),)}
    check_spans(operations(fine), "generate", tiny.LAYERS)

"""The proof of steering against planted faults: each must stop the run."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import axiograph.steering.hf.stream
from axiograph.engine.errors import RunError
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.generation import Batch, pad_batch
from axiograph.engine.workers.models import load_tokenizer
from axiograph.steering.directions.operations import Operation
from axiograph.steering.hf.proof import Change, RowProof, StreamProbe, _compare, check_prompt_pass, check_step
from axiograph.steering.hf.worker import HookWorker
from tests import asking, tiny

POINT = HookPointSpec(layer=1, place="resid_post")
REQUEST = asking.request(0, asking.Prompt("", (5, 6, 7, 8), (1, 2)), "c")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def unit(seed):
    vector = torch.randn(tiny.WIDTH, generator=torch.Generator().manual_seed(seed))
    return vector / vector.norm()


def conditions(span, point):
    return {
        "add": (Operation("add", span, point, 9 * unit(0), None, 0.0),),
        "other": (Operation("add", span, point, 7 * unit(1), None, 0.0),),
        "clamp": (Operation("clamp", span, point, None, unit(2), -8.0),),
        "out": (Operation("project_out", span, point, None, unit(3), 0.0),),
    }


# Points read at the next layer's entry, at the place itself and at the final norm.
PLACES = [
    ("prompt_span", POINT),
    ("prompt", HookPointSpec(layer=1, place="resid_pre")),
    ("generated", HookPointSpec(layer=2, place="resid_post")),
]
real_operate, real_round, real_hooked = (
    axiograph.steering.hf.stream._operate,
    axiograph.steering.hf.stream.Steering._round,
    axiograph.steering.hf.stream.hooked,
)


def rotated(round_):
    return dataclasses.replace(round_, index=(round_.index + 1) % len(round_.operations))


def shifted(self, acting, columns):
    round_ = real_round(self, acting, columns)
    return dataclasses.replace(round_, columns=round_.columns - 1)


def of_the_next_row(self, acting, columns):
    round_ = real_round(self, acting, columns)
    return dataclasses.replace(round_, rows=(round_.rows + 1) % len(self._operations))


def one_more(self, acting, columns):
    round_ = real_round(self, acting, columns)
    further = torch.cat([round_.columns, round_.columns[-1:] + 1])
    rows, index = (torch.cat([t, t[-1:]]) for t in (round_.rows, round_.index))
    return dataclasses.replace(round_, rows=rows, columns=further, index=index)


def a_layer_early(model, point, function):
    return real_hooked(model, HookPointSpec(layer=point.layer - 1, place=point.place), function)


OPERATE, PLACED, HOOKED = (
    (axiograph.steering.hf.stream, "_operate"),
    (axiograph.steering.hf.stream.Steering, "_round"),
    (axiograph.steering.hf.stream, "hooked"),
)
FAULTS = {
    "does nothing": (OPERATE, lambda rows, round_: rows),
    "another row's vector": (OPERATE, lambda rows, round_: real_operate(rows, rotated(round_))),
    "scaled by 0.99": (OPERATE, lambda rows, round_: rows + 0.99 * (real_operate(rows, round_) - rows)),
    "acts twice": (OPERATE, lambda rows, round_: real_operate(real_operate(rows, round_), round_)),
    "reversed": (OPERATE, lambda rows, round_: 2 * rows - real_operate(rows, round_)),
    "NaN": (OPERATE, lambda rows, round_: real_operate(rows, round_) * float("nan")),
    "infinite": (OPERATE, lambda rows, round_: real_operate(rows, round_) + float("inf")),
    "another row": (PLACED, of_the_next_row),
    "another layer": (HOOKED, a_layer_early),
}
IN_PROMPTS = {"shifted by one": (PLACED, shifted), "one more token": (PLACED, one_more)}
# One token more than the whole prompt is no token.
ELSEWHERE = {("shifted by one", "generated"), ("one more token", "generated"), ("one more token", "prompt")}


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def workers(request, tiny_model):
    """One worker per place of PLACES, in one dtype, with ten prompts."""
    folder = tiny_model("llama")
    prompts = asking.prompts(load_tokenizer(asking.source(folder)), 10)
    made = []
    for span, point in PLACES:
        own = conditions(span, point)
        config = asking.config(
            folder,
            prompts[4],
            source=asking.source(folder, request.param),
            sampling=SamplingSpec(max_tokens=3),
        )
        worker = HookWorker(config, own, frozenset({"baseline", *own}))
        worker._packed = None  # batch by batch, where these faults are planted
        made.append((span, worker))
    return made, prompts


def ask(worker, prompts, names):
    requests = [asking.request(i, prompts[i % 10], name) for i, name in enumerate(names)]
    return worker(asking.table(requests)).to_pylist()


def test_without_a_fault_the_proof_holds(workers):
    made, prompts = workers
    for span, worker in made:
        rows = ask(worker, prompts, ["add", "baseline", "clamp", "other", "out", "baseline", "add"])
        for row in rows:
            if row["condition"] == "baseline":
                assert (row["proof_error"], row["steered_tokens"]) == (None, 0)
            else:
                widths = {"prompt_span": 2, "prompt": row["prompt_tokens"], "generated": 0}
                assert row["proof_error"] < (1e-5 if row["dtype"] == "float32" else 0.05)
                assert row["steered_tokens"] == widths[span]


@pytest.mark.parametrize("fault", [*FAULTS, *IN_PROMPTS])
def test_planted_faults_stop_the_run(workers, fault, monkeypatch):
    made, prompts = workers
    (owner, name), planted = (FAULTS | IN_PROMPTS)[fault]
    monkeypatch.setattr(owner, name, planted)
    for span, worker in made:
        if (fault, span) in ELSEWHERE:
            continue
        # Neighbours have other vectors; the row behind the last is unsteered.
        names = ["add", "other", "add", "baseline"]
        with pytest.raises(RunError, match="proof of steering"):
            ask(worker, prompts, names)


@pytest.mark.parametrize("condition", ["clamp", "out"])
@pytest.mark.parametrize("fault", ["does nothing", "scaled by 0.99", "reversed", "NaN"])
def test_planted_faults_in_clamp_and_project_out(workers, fault, condition, monkeypatch):
    made, prompts = workers
    (owner, name), planted = FAULTS[fault]
    monkeypatch.setattr(owner, name, planted)
    for _, worker in made:
        if condition == "out" and fault == "scaled by 0.99" and worker.config.source.dtype == "bfloat16":
            continue  # a hundredth of a small component is within bfloat16's rounding
        with pytest.raises(RunError, match="proof of steering"):
            ask(worker, prompts, [condition] * 6)


def test_padding_that_is_counted_wrong_is_seen(workers):
    """Rows whose first real column is off by one hold other tokens than the request's."""
    made, prompts = workers
    worker = made[0][1]
    rows = [asking.request(i, prompts[i], "add") for i in (0, 1)]
    good = pad_batch([row.prompt_ids for row in rows], 0, "cpu")
    probe = StreamProbe(worker.model, [])
    for off in (-1, 1):
        bad = Batch(good.ids, good.mask, (good.starts[0] + off, good.starts[1]))
        with pytest.raises(RunError, match="the request's own tokens"):
            check_prompt_pass(probe, bad, rows, worker.conditions, worker.tokenizer)


def test_hooks_that_never_fired_are_seen(workers):
    made, prompts = workers
    rows = [asking.request(0, prompts[0], "add")]
    batch = pad_batch([rows[0].prompt_ids], 0, "cpu")
    stream = torch.zeros(1, batch.ids.shape[1], tiny.WIDTH)
    for span, worker in made:
        point = dict(PLACES)[span]
        for recorded in ({}, {point: stream}):
            probe = StreamProbe(worker.model, [])
            probe.before = recorded
            with pytest.raises(RunError, match="a pass through"):
                if span == "generated":
                    check_step(probe, rows, worker.conditions)
                else:
                    check_prompt_pass(probe, batch, rows, worker.conditions, worker.tokenizer)


def change(before, after, expected, touched, dtype):
    peak = torch.maximum(before.norm(dim=-1, keepdim=True), expected.norm(dim=-1, keepdim=True))
    return Change(before, after, expected, peak, touched, dtype)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.floats(1e-3, 1e4),
    name=st.sampled_from(["float32", "bfloat16", "float16"]),
)
def test_rounding_passes_and_two_steps_of_it_do_not(seed, size, name):
    dtype = getattr(torch, name)
    generator = torch.Generator().manual_seed(seed)
    before = torch.randn(4, 64, generator=generator).to(dtype).float()
    exact = before + size * torch.nn.functional.normalize(torch.randn(1, 64, generator=generator))
    rounded = exact.to(dtype).float()
    touched = [0, 1, 2, 3]
    error = _compare(change(before, rounded, exact, touched, dtype), REQUEST, POINT)
    assert error == float((rounded - exact).abs().max())
    wrong = rounded.clone()
    largest = int(exact[2].abs().argmax())
    slack = 40 * torch.finfo(torch.float32).eps * float(exact[2].norm() + before[2].norm())
    wrong[2, largest] += 2 * torch.finfo(dtype).eps * float(exact[2, largest].abs()) + slack
    with pytest.raises(RunError, match="strength × direction"):
        _compare(change(before, wrong, exact, touched, dtype), REQUEST, POINT)


def test_a_change_outside_the_span_of_any_size_fails():
    before = torch.ones(4, 8)
    after = before.clone()
    after[1:3] += 2
    assert _compare(change(before, after, after, [1, 2], torch.float32), REQUEST, POINT) == 0.0
    nudged = after.clone()
    nudged[0, 0] = torch.nextafter(nudged[0, 0], torch.tensor(2.0))
    with pytest.raises(RunError, match="outside the steered tokens"):
        _compare(change(before, nudged, after, [1, 2], torch.float32), REQUEST, POINT)
    with pytest.raises(RunError, match="outside the steered tokens"):
        _compare(change(before, after, before, [], torch.float32), REQUEST, POINT)


def test_row_proof_starts_empty():
    assert RowProof() == RowProof(0, 0.0)

"""The proof of packed passes against planted faults: each must stop the run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import axiograph.engine.hf.generation
import axiograph.steering.hf.packed_proof
import axiograph.steering.hf.packed_stream
import axiograph.steering.hf.proof
import axiograph.steering.hf.worker
from axiograph.engine.errors import RunError
from axiograph.engine.hf.prefixes import Evidence, PrefixCache
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.models import load_tokenizer
from axiograph.steering.directions.operations import Operation
from axiograph.steering.hf.packed_stream import Marks, _Change, _Round
from axiograph.steering.hf.worker import HookWorker
from tests import asking
from tests.steering.hf.test_proof import PLACES, conditions

NAMES = ("add", "other", "add", "baseline", "clamp", "other", "out")
real_operate, real_hooked = _Round.operate, axiograph.steering.hf.packed_stream.hooked
real_prompt, real_steps, real_change = Marks.of_prompt, Marks.of_steps, _Change.__init__


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def workers(request, tiny_model):
    folder = tiny_model("llama")
    prompts = asking.prompts(load_tokenizer(asking.source(folder)), 10)
    made = []
    for span, point in PLACES:
        config = asking.config(
            folder,
            prompts[4],
            source=asking.source(folder, request.param),
            sampling=SamplingSpec(max_tokens=3),
        )
        own = conditions(span, point)
        made.append((span, HookWorker(config, own, frozenset({"baseline", *own}))))
        assert made[-1][1].fallback is None
    return made, prompts


def ask(worker, prompts, names=NAMES):
    worker._packed._passes.forget()  # nothing computed before the fault
    requests = [asking.request(i, prompts[i % 3], name) for i, name in enumerate(names)]
    return worker(asking.table(requests)).to_pylist()


def test_without_a_fault_the_proof_holds(workers):
    made, prompts = workers
    for span, worker in made:
        for row in ask(worker, prompts):
            if row["condition"] == "baseline":
                assert (row["proof_error"], row["steered_tokens"]) == (None, 0)
            else:
                widths = {"prompt_span": 2, "prompt": row["prompt_tokens"], "generated": 0}
                assert row["proof_error"] < (1e-5 if row["dtype"] == "float32" else 0.05)
                assert row["steered_tokens"] == widths[span]


def a_layer_early(model, point, function):
    return real_hooked(model, HookPointSpec(layer=point.layer - 1, place=point.place), function)


def next_tokens(self, marks, acting):
    real_change(self, np.roll(marks, 1), acting)


def of_other_rows(self, rows):
    """Every token by the operation of another one."""
    self._which = (self._which + 1) % len(self._vectors)
    return real_operate(self, rows)


OPERATE, HOOKED = (_Round, "operate"), (axiograph.steering.hf.packed_stream, "hooked")
FAULTS = {
    "does nothing": (OPERATE, lambda self, rows: rows[self.index]),
    "another row's vector": (OPERATE, of_other_rows),
    "scaled by 0.99": (
        OPERATE,
        lambda self, rows: rows[self.index] + 0.99 * (real_operate(self, rows) - rows[self.index]),
    ),
    "reversed": (OPERATE, lambda self, rows: 2 * rows[self.index] - real_operate(self, rows)),
    "NaN": (OPERATE, lambda self, rows: real_operate(self, rows) * float("nan")),
    "another layer": (HOOKED, a_layer_early),
    "the next token": ((_Change, "__init__"), next_tokens),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_stop_the_run(workers, fault, monkeypatch):
    made, prompts = workers
    (owner, name), planted = FAULTS[fault]
    monkeypatch.setattr(owner, name, planted)
    for _, worker in made:
        with pytest.raises(RunError, match="proof of steering"):
            ask(worker, prompts)


def test_rows_marked_as_something_else_stop_the_run(workers, monkeypatch):
    """Marks decide what is steered and what is shared: unsteered, or another condition's."""
    made, prompts = workers

    def nothing(self, request, length):
        return np.zeros(length, dtype=np.int64)

    def another(real):
        def of(self, request, *length):
            changed = {"add": "other", "other": "add"}.get(request.condition, request.condition)
            return real(self, dataclasses.replace(request, condition=changed), *length)

        return of

    for span, worker in made:
        if span != "generated":
            with monkeypatch.context() as patched, pytest.raises(RunError, match="proof of steering"):
                patched.setattr(Marks, "of_prompt", nothing)
                ask(worker, prompts)
        with monkeypatch.context() as patched, pytest.raises(RunError, match="proof of steering"):
            patched.setattr(Marks, "of_prompt", another(real_prompt))
            patched.setattr(Marks, "of_steps", another(real_steps))
            ask(worker, prompts)


def test_a_prefix_of_another_condition_is_refused(workers, monkeypatch):
    """Rows grouped by their tokens alone would go on behind a prefix steered as another row is."""
    made, prompts = workers
    real = axiograph.engine.hf.generation.token_keys
    monkeypatch.setattr(axiograph.engine.hf.generation, "token_keys", lambda ids, marks: real(ids, marks * 0))
    for span, worker in made:
        if span == "generated":
            ask(worker, prompts)  # shares whole prompts, rightly
        else:
            with pytest.raises(RunError, match=r"proof of steering.*stored prefix steered as the row is"):
                ask(worker, prompts)


def test_a_prefix_of_other_tokens_is_refused(workers, monkeypatch):
    made, prompts = workers
    monkeypatch.setattr(PrefixCache, "ids", lambda self, slot, length: np.full(length, 7))
    with pytest.raises(RunError, match=r"proof of steering.*stored prefix of the row's own tokens"):
        ask(made[0][1], prompts)


def test_a_prefix_that_is_proven_in_part_is_refused(workers, monkeypatch):
    made, prompts = workers
    monkeypatch.setattr(PrefixCache, "evidence", lambda self, slot, length: Evidence.none(1))
    with pytest.raises(RunError, match=r"proof of steering.*proof of a stored prefix of \d+ tokens.*found 1"):
        ask(made[0][1], prompts)


def test_a_span_of_other_words_is_refused(workers):
    made, prompts = workers
    worker = made[0][1]
    row = asking.request(0, prompts[0], "add")
    row.span[:] = [i + 1 for i in row.span]
    with pytest.raises(RunError, match="decode to 'your values'"):
        worker(asking.table([row]))


def test_hooks_that_never_fire_stop_the_run(workers, monkeypatch):
    made, prompts = workers
    nothing = axiograph.steering.hf.worker._nothing
    monkeypatch.setattr(axiograph.steering.hf.packed_stream, "hooked", lambda *args: nothing())
    monkeypatch.setattr(axiograph.steering.hf.proof, "hooked", lambda *args: nothing())
    for _, worker in made:
        with pytest.raises(RunError, match="a pass through"):
            ask(worker, prompts)


def test_prompts_that_were_not_proven_whole_are_refused(workers, monkeypatch):
    made, prompts = workers
    monkeypatch.setattr(axiograph.steering.hf.packed_proof.ProvenRows, "_record", lambda self, tokens: None)
    with pytest.raises(RunError, match=r"proof of all \d+ tokens"):
        ask(made[0][1], prompts)


def test_equal_operations_of_two_conditions_have_one_mark():
    point = HookPointSpec(layer=1, place="resid_post")
    vector = torch.ones(4)
    own = {
        name: (Operation("add", "prompt", point, vector * size, None, 0.0),)
        for name, size in (("a", 1), ("b", 1), ("c", 2))
    }
    marks = Marks(own)
    rows = [asking.request(0, asking.Prompt("", (5, 6, 7), ()), name) for name in ("a", "b", "c", "none")]
    a, b, c, none = (marks.of_prompt(row, 4).tolist() for row in rows)
    assert a == b == [1, 1, 1, 0] and c == [2, 2, 2, 0] and none == [0] * 4
    assert marks.operations(0) == [] and marks.operations(2) == list(own["c"])

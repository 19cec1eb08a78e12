"""HfWorker by packed passes against the same worker batch by batch; models that packed passes cannot do."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import axiograph.engine.workers.log_odds
from axiograph.engine.errors import RunError
from axiograph.engine.hf.model import PackedModel
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.workers.models import load_tokenizer
from tests import asking, tiny

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def worker_of(folder, **changes):
    prompts = asking.prompts(load_tokenizer(asking.source(folder)), 40)
    worker = HfWorker(asking.config(folder, prompts[4], **changes))
    asking.untie(worker.model)
    return worker, prompts


def logprob(**changes):
    scoring = ScoringSpec(mode="logprob", mass_threshold=0.0)
    return {"scoring": scoring, "yes_ids": ((40,), (41, 42, 43)), "no_ids": ((50,), (51, 40))} | changes


def both(worker, requests, monkeypatch):
    """Rows by packed passes, and batch by batch."""
    assert worker.fallback is None and worker._packed is not None
    packed = worker(asking.table(requests)).to_pylist()
    with monkeypatch.context() as patched:
        patched.setattr(worker, "_packed", None)
        return packed, worker(asking.table(requests)).to_pylist()


def same(packed, simple):
    for one, other in zip(packed, simple, strict=True):
        for name in one.keys() - {"seconds", "log_odds", "mass", "proof_error"}:
            assert one[name] == other[name], name
        for name in ("log_odds", "mass"):
            assert one[name] == pytest.approx(other[name], abs=2e-4)


@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_log_odds_are_those_of_the_simple_scorer(tiny_model, shape, monkeypatch):
    worker, prompts = worker_of(tiny_model(shape), **logprob())
    cue = asking.builder(worker.tokenizer).continuation("\nAnswer:")
    requests = [asking.request(i, p, cue=cue) for i, p in enumerate(prompts)]
    for tokens in (1024, 50):
        worker._packed._passes.pass_tokens = tokens
        packed, simple = both(worker, requests, monkeypatch)
        same(packed, simple)
    assert len({round(row["log_odds"], 3) for row in packed}) > 10


def test_thoughts_are_written_where_there_is_too_little_mass(tiny_model, monkeypatch):
    """The threshold is the median mass, so that half of the rows need a thought."""
    worker, prompts = worker_of(tiny_model("qwen3"), **logprob())
    monkeypatch.setattr(axiograph.engine.workers.log_odds, "up_to_marker", lambda ids, text: tuple(ids[:3]))
    cue = asking.builder(worker.tokenizer).continuation("\nAnswer:")
    requests = [asking.request(i, p, cue=cue) for i, p in enumerate(prompts)]
    masses = sorted(row["mass"] for row in worker(asking.table(requests)).to_pylist())
    half = len(masses) // 2
    threshold = (masses[half - 1] + masses[half]) / 2
    assert masses[half] - masses[half - 1] > 1e-6
    scoring = ScoringSpec(mode="logprob", mass_threshold=threshold)
    worker, _ = worker_of(tiny_model("qwen3"), **logprob(scoring=scoring))
    packed, simple = both(worker, requests, monkeypatch)
    same(packed, simple)
    assert {row["fallback"] for row in packed} == {True, False}


def test_memory_that_runs_out_while_scoring_costs_no_answer(tiny_model, monkeypatch):
    worker, prompts = worker_of(tiny_model("llama"), **logprob())
    cue = asking.builder(worker.tokenizer).continuation("\nAnswer:")
    requests = [asking.request(i, p, cue=cue) for i, p in enumerate(prompts[:24])]
    wanted = worker(asking.table(requests)).to_pylist()
    run = PackedModel.run

    def narrow(self, layout, ids, positions, keep):
        if keep is not None and len(keep) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, layout, ids, positions, keep)

    monkeypatch.setattr(PackedModel, "run", narrow)
    same(worker(asking.table(requests)).to_pylist(), wanted)
    assert [note.split()[0] for note in worker._packed.generator.halvings] == ["24", "12"]
    monkeypatch.setattr(PackedModel, "run", lambda *_: (_ for _ in ()).throw(MemoryError("none")))
    with pytest.raises(RunError, match="memory for a single request"):
        worker(asking.table(requests[:1]))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(tiny_model, dtype):
    """It runs by packed passes; most greedy answers are those of float32."""
    folder = tiny_model("gemma2")
    full, prompts = worker_of(folder, sampling=SamplingSpec(max_tokens=3))
    half, _ = worker_of(folder, sampling=SamplingSpec(max_tokens=3), source=asking.source(folder, dtype))
    assert half.fallback is None
    requests = [asking.request(i, p) for i, p in enumerate(prompts)]
    pairs = zip(
        full(asking.table(requests)).to_pylist(), half(asking.table(requests)).to_pylist(), strict=True
    )
    assert sum(a["answer_ids"] == b["answer_ids"] for a, b in pairs) > 25


@pytest.mark.parametrize("reason", ["not exchangeable", "wrong logits", "raises"])
def test_a_model_that_packed_passes_cannot_do(tiny_model, reason, monkeypatch, caplog):
    """It is answered batch by batch, the same as ever, and the reason is said."""
    import transformers as tf

    wanted, prompts = worker_of(tiny_model("llama"))
    requests = [asking.request(i, p) for i, p in enumerate(prompts)]
    rows = wanted(asking.table(requests)).to_pylist()
    if reason == "not exchangeable":
        monkeypatch.setattr(tf.LlamaForCausalLM, "_supports_attention_backend", False)
    elif reason == "wrong logits":
        monkeypatch.setattr("axiograph.engine.hf.layout.HIDDEN", 0.0)
        monkeypatch.setattr("axiograph.engine.hf.layout.PromptLayout._padded", wrong_padded)
    else:
        monkeypatch.setattr("axiograph.engine.hf.layout.PromptLayout.attend", lambda *_: 1 / 0)
    with caplog.at_level(logging.WARNING):
        worker, _ = worker_of(tiny_model("llama"))
    says = {"not exchangeable": "exchanged", "wrong logits": "differ", "raises": "ZeroDivisionError"}[reason]
    assert says in worker.fallback and worker.fallback in caplog.text
    same(worker(asking.table(requests)).to_pylist(), rows)


def wrong_padded(self, heads):
    """Without the mask that keeps later tokens out."""
    return heads.v.repeat_interleave(heads.groups, 1), torch.zeros(heads.q.shape[:2])


def test_packed_passes_need_neither_pydantic_nor_polars():
    """A machine with a GPU and little else runs the benchmark's core."""
    code = """
import sys
for name in ("pydantic", "polars", "ray", "jinja2", "vllm", "sae_lens"):
    sys.modules[name] = None
sys.path.insert(0, "benchmarks")
import sampling_work
import torch
torch.set_num_threads(1)
sampling_work.SHAPES["tiny"] = (2, 32, 2, 64, 97)
model = sampling_work.random_llama("tiny")
rows, operations = sampling_work.made_work(model, 2, 2, 2)
found = sampling_work.Packed(model, operations, 3)(rows)
with torch.inference_mode():
    for row, ids in list(zip(rows, found))[::5]:
        assert sampling_work.hf_generate(model, [row], operations[row.condition], 60) == [ids]
print(len(found))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split()[-1:] == ["8"], done.stderr[-2000:]

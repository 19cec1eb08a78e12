"""Both steering workers over one model with the same conditions, and the comparison of their answers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.workers.models import load_tokenizer
from axiograph.steering.hf.worker import HookWorker
from axiograph.steering.vllm.extension import VllmSteering
from axiograph.steering.vllm.worker import SteeredVllmWorker
from tests import asking, vllm_models

STEPS = 8
# Chunks smaller than the prompts, so that spans are split, and too few blocks for the batch: preemption.
TIGHT = {
    "max_num_batched_tokens": 20,
    "max_num_seqs": 8,
    "max_model_len": 160,
    "num_gpu_blocks_override": 8,
}


def workers(folder, acts, engine_args=None, **changes):
    """(vLLM's worker, the hook worker, prompts) over one model with the same conditions."""
    prompts = asking.prompts(load_tokenizer(asking.source(folder)), 36)
    sampling = SamplingSpec(max_tokens=STEPS, batch_size=128)
    config = asking.config(folder, prompts[4], sampling=sampling, steered=frozenset(acts), **changes)
    conditions, known = vllm_models.operations(acts), frozenset({"baseline", *acts})
    steered = SteeredVllmWorker(config, engine_args or {}, conditions, known)
    return steered, HookWorker(config, conditions, known), prompts


def mixed(acts, prompts, times=2, cue=()):
    """Requests of all conditions and the baseline in one table, each under several roles and items."""
    names = ["baseline", *acts] * times
    return [asking.request(i, prompts[(i * 7) % len(prompts)], name, cue) for i, name in enumerate(names)]


@dataclass
class Events:
    """What happened to the batches of a worker: requests preempted, and spans split by a chunk."""

    preemptions: int = 0
    splits: int = 0


@contextmanager
def watched():
    """Count what the engines inside this process do."""
    from vllm.v1.core.sched.scheduler import Scheduler

    events, preempt, parts_of = Events(), Scheduler._preempt_request, VllmSteering._parts

    def preempted(self, *args, **kwargs):
        events.preemptions += 1
        return preempt(self, *args, **kwargs)

    def parts(self):
        found = parts_of(self)
        for part in found:
            inside = sum(part.start <= position < part.stop for position in part.row.span)
            events.splits += 0 < inside < len(part.row.span)
        return found

    with patch.object(Scheduler, "_preempt_request", preempted), patch.object(VllmSteering, "_parts", parts):
        yield events


def answers(worker, requests):
    return worker(asking.table(requests)).to_pylist()


def compare(steered, hooked, requests, acts):
    """Rows of both; tokens may part only at a tie of the two largest logits of the plain loop."""
    found, wanted = answers(steered, requests), answers(hooked, requests)

    def tie(place):
        request = requests[place]
        plain = asking.plain_loop(
            hooked.model, request, acts.get(request.condition, ()), STEPS, set(hooked._generator.eos)
        )
        return asking.is_tie(found[place]["answer_ids"], plain)

    vllm_models.same_rows(found, wanted, tie)
    assert max(row["proof_error"] or 0 for row in found) < 1e-4
    return found

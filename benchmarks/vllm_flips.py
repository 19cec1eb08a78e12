"""How many answers differ between vLLM and the hook worker, and how close the two tokens were there.

Both answer the same requests of examples/respondent.yaml. The gap is the difference of the two tokens'
log-probabilities at the first place where the answers differ, in a pass of the hook worker's model over what
both had written until then. DESIGN 3: such answers never meet in one contrast.

    python benchmarks/vllm_flips.py [--dtype bfloat16] [--requests 768] [--random]

--random: a model with random weights (1.84 M, see vllm_speed.py) in the respondent's place, whose tokens lie
much closer together.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from vllm_speed import save_model

from axiograph.cluster.sampling.loop import library_versions
from axiograph.cluster.sampling.preparation import Prepared, prepare
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.loading import load_study
from axiograph.engine.workers.generation import pad_batch
from axiograph.engine.workers.worker import Request, requests_of
from axiograph.steering.backend import HF, Choice
from axiograph.steering.hf.stream import Steering
from axiograph.steering.hf.worker import HookWorker

ROOT = Path(__file__).resolve().parents[1]


def answers(prepared: Prepared, backend: Choice, table: pa.Table) -> tuple[list[dict[str, Any]], Any]:
    from dataclasses import replace

    worker: Any = replace(prepared, backend=backend).make_worker()
    rows = worker(table).to_pylist()
    if hasattr(worker, "close"):
        worker.close()
    return rows, worker


def chosen(prepared: Prepared, count: int) -> pa.Table:
    """`count` requests, evenly spread over the plan's roles and conditions."""
    table = pa.Table.from_batches(list(prepared.plan.batches())).combine_chunks()
    step = max(1, table.num_rows // count)
    return prepared.request_builder(table.take(pa.array(range(0, table.num_rows, step)[:count])))


def gap(worker: HookWorker, request: Request, one: list[int], other: list[int]) -> float:
    """Difference of the log-probabilities of the tokens at which the two answers part (natural logarithm);
    an answer that ended there is taken as the end of sequence."""
    at = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    end = worker.tokenizer.eos_token_id
    first, second = (ids[at] if at < len(ids) else end for ids in (one, other))
    batch = pad_batch([[*request.prompt_ids, *one[:at]]], 0, str(worker.model.device))
    steering = Steering(worker.model, [worker.conditions.get(request.condition, ())], [request])
    with torch.inference_mode(), steering.prefill(batch):
        logits = worker.model(input_ids=batch.ids, logits_to_keep=1).logits[0, -1].float()
    logp = logits.log_softmax(-1)
    return abs(float(logp[first] - logp[second]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtype", default="bfloat16,float32")
    parser.add_argument("--requests", type=int, default=768)
    parser.add_argument("--random", action="store_true")
    arguments = parser.parse_args()
    invariant = os.environ.get("VLLM_BATCH_INVARIANT", "0")
    print(f"{platform.machine()}; {library_versions()}; VLLM_BATCH_INVARIANT={invariant}\n")
    print("| dtype | requests | other tokens | other state | median gap | largest gap |\n" + "|---" * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        changes = {"path": save_model(Path(folder), "small")} if arguments.random else {}
        for dtype in arguments.dtype.split(","):
            print(measured(changes | {"dtype": dtype}, arguments.requests), flush=True)


def measured(changes: dict[str, Any], count: int) -> str:
    """A row of the table; `changes` to the model of the study."""
    study = load_study(ROOT / "examples" / "respondent.yaml")
    study = study.model_copy(update={"model": study.model.model_copy(update=changes)})
    prepared = prepare(study, RunDir(study.out))
    table = chosen(prepared, count)
    ours, _ = answers(prepared, Choice("vllm"), table)
    theirs, hooked = answers(prepared, HF, table)
    gaps = [
        gap(hooked, request, a["answer_ids"], b["answer_ids"])
        for request, a, b in zip(requests_of(table), ours, theirs, strict=True)
        if a["answer_ids"] != b["answer_ids"]
    ]
    states = sum(a["state"] != b["state"] for a, b in zip(ours, theirs, strict=True))
    middle = f"{sorted(gaps)[len(gaps) // 2]:.4f} | {max(gaps):.4f}" if gaps else "— | —"
    return f"| {changes['dtype']} | {len(ours)} | {len(gaps)} | {states} | {middle} |"


if __name__ == "__main__":
    main()

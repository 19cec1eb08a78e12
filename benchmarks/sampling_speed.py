"""Answers per second of axiograph's worker against transformers' `generate` with a hook, in one run.

The peer is what one writes in an afternoon: transformers `generate`, a forward hook that adds the direction
at the span in the prefill, batches of eight rows of one condition (the paper's batch size), at most as many
new tokens; the end of sequence stops it. Both answer the same requests of examples/respondent.yaml; their
greedy tokens are compared. Loading and a warm-up batch are left out.

    python benchmarks/sampling_speed.py [--requests 384]
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from cluster.preparation import Prepared, prepare, request_tables
from cluster.sampling import library_versions
from engine.hf_worker import HfWorker
from engine.run_dir import RunDir
from engine.study import load_study
from engine.worker import Request, requests_of
from steering.operations import Operation
from steering.stream import hooked

ROOT = Path(__file__).resolve().parents[1]
PEER_BATCH = 8


def chosen_requests(prepared: Prepared, count: int) -> pa.Table:
    """`count` requests, evenly spread over the plan's conditions."""
    batches = prepared.plan.batches()
    table = pa.Table.from_batches(list(batches)).combine_chunks()
    step = max(1, table.num_rows // count)
    rows = table.take(pa.array(range(0, table.num_rows, step)[:count])).to_batches()
    return pa.concat_tables(request_tables(prepared, iter(rows), count))


def peer(
    worker: HfWorker, rows: list[Request], conditions: dict[str, tuple[Operation, ...]]
) -> dict[bytes, Any]:
    """transformers `generate`, one condition and eight rows at a time; new token ids by request id."""
    answers: dict[bytes, Any] = {}
    groups: dict[str, list[Request]] = {}
    for row in rows:
        groups.setdefault(row.condition, []).append(row)
    for condition, members in groups.items():
        for start in range(0, len(members), PEER_BATCH):
            batch = members[start : start + PEER_BATCH]
            answers.update(_generate(worker, batch, conditions.get(condition, ())))
    return answers


def _generate(worker: HfWorker, batch: list[Request], operations: tuple[Operation, ...]) -> dict[bytes, Any]:
    tokenizer = worker.tokenizer
    tokenizer.padding_side = "left"
    padded = tokenizer.pad({"input_ids": [row.prompt_ids for row in batch]}, return_tensors="pt")
    width = padded["input_ids"].shape[1]

    def steer(stream: torch.Tensor) -> torch.Tensor | None:
        if stream.shape[1] != width:
            return None
        for place, row in enumerate(batch):
            columns = [width - len(row.prompt_ids) + i for i in row.span]
            for op in operations:
                stream[place, columns] += op.vector
        return stream

    def generate() -> torch.Tensor:
        return worker.model.generate(
            **padded,
            max_new_tokens=worker.config.sampling.max_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )

    if operations:
        with hooked(worker.model, operations[0].hook_point, steer):
            output = generate()
    else:
        output = generate()
    return {row.request_id: output[i, width:].tolist() for i, row in enumerate(batch)}


def agreement(ours: pa.Table, theirs: dict[bytes, Any]) -> int:
    """Rows whose tokens are the beginning of the peer's (which goes on behind a complete answer)."""
    return sum(
        theirs[row["request_id"]][: len(row["answer_ids"])] == row["answer_ids"] for row in ours.to_pylist()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=384)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    study = load_study(ROOT / "examples" / "respondent.yaml")
    prepared = prepare(study, RunDir(study.out))
    table = chosen_requests(prepared, arguments.requests)
    worker = prepared.make_worker()
    assert isinstance(worker, HfWorker)
    rows = requests_of(table)
    worker(table.slice(0, 8))
    peer(worker, rows[:8], prepared.operations)
    started = time.perf_counter()
    ours = worker(table)
    middle = time.perf_counter()
    with torch.inference_mode():
        theirs = peer(worker, rows, prepared.operations)
    ended = time.perf_counter()
    mine, other = len(rows) / (middle - started), len(rows) / (ended - middle)
    print(f"{platform.machine()}, {arguments.threads} thread(s); {library_versions()}")
    print(f"{len(rows)} requests, {len({row.condition for row in rows})} conditions")
    print(f"worker                        {mine:8.1f} answers/s")
    print(f"transformers generate, hook   {other:8.1f} answers/s")
    print(f"ratio                         {mine / other:8.2f}")
    print(f"equal greedy tokens           {agreement(ours, theirs)} of {len(rows)}")


if __name__ == "__main__":
    main()

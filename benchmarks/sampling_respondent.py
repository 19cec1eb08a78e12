"""The built-in respondent's part of sampling_speed.py: which requests, and the peers that answer them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import torch
from sampling_work import PEER_BATCH, hf_generate, lens_model, steer_at

from axiograph.cluster.sampling.preparation import Prepared, prepare
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import Study
from axiograph.engine.workers.worker import Request


def chosen_requests(prepared: Prepared, count: int) -> pa.Table:
    """`count` requests, in runs of the plan's order that are evenly spread over it."""
    table = pa.Table.from_batches(list(prepared.plan.batches())).combine_chunks()
    runs = max(1, count // 96)
    step = table.num_rows // runs
    places = [i for start in range(0, runs * step, step) for i in range(start, start + count // runs)]
    return prepared.request_builder(table.take(pa.array(places)))


def scoring_worker(study: Study, count: int) -> tuple[Any, pa.Table]:
    """A worker in logprob mode with the same requests, tokenised with the answer cue."""
    scoring = study.scoring.model_copy(update={"mode": "logprob"})
    prepared = prepare(study.model_copy(update={"scoring": scoring}), RunDir(study.out))
    return prepared.make_worker(), chosen_requests(prepared, count)


def peers(
    prepared: Prepared, worker: Any, rows: list[Request], whole: pa.Table
) -> tuple[Callable[[], Any], int, Callable[[], Any], int]:
    """The paper's loop over four batches of equal length and one condition, and `generate` over the same,
    with their numbers of requests; both are first compared with `whole`, what the worker answered."""
    steps = worker.config.sampling.max_tokens
    eos = next(iter(worker._generator.eos))
    cells: dict[tuple[str, int], list[int]] = {}
    for place, row in enumerate(rows):
        cells.setdefault((row.condition, len(row.prompt_ids)), []).append(place)
    full = sorted((cell for cell in cells.values() if len(cell) >= PEER_BATCH), key=len)[-4:]
    batches = [[rows[place] for place in cell[:PEER_BATCH]] for cell in full]
    lens = lens_model(worker.model)
    answers = whole["answer_ids"].to_pylist()
    wanted = [[answers[place] for place in cell[:PEER_BATCH]] for cell in full]

    def loop() -> list[list[list[int]]]:
        return [_paper_loop(lens, batch, prepared, steps, eos) for batch in batches]

    def generated() -> list[list[list[int]]]:
        return [
            hf_generate(worker.model, batch, prepared.operations.get(batch[0].condition, ()), steps)
            for batch in batches
        ]

    for name, found in (("TransformerLens", loop()), ("generate", generated())):
        same = sum(
            theirs[: len(ours)] == ours
            for batch, own in zip(found, wanted, strict=True)
            for theirs, ours in zip(batch, own, strict=True)
        )
        print(f"equal tokens up to where the worker stops, {name}: {same} of {len(batches) * PEER_BATCH}")
    return loop, len(batches) * PEER_BATCH, generated, len(batches) * PEER_BATCH


def _paper_loop(
    lens: Any, rows: Sequence[Request], prepared: Prepared, steps: int, eos: int
) -> list[list[int]]:
    ids = torch.tensor([row.prompt_ids for row in rows])
    width = ids.shape[1]
    hooks = []
    for op in prepared.operations.get(rows[0].condition, ()):
        name = f"blocks.{op.hook_point.layer}.hook_{op.hook_point.place}"
        hooks.append((name, lambda stream, hook, op=op: steer_at(rows, width, op.vector)(stream)))
    with lens.hooks(hooks):
        out = lens.generate(
            ids, max_new_tokens=steps, stop_at_eos=True, eos_token_id=eos, do_sample=False, verbose=False,
            return_type="tokens", prepend_bos=False,
        )  # fmt: skip
    return out[:, width:].tolist()

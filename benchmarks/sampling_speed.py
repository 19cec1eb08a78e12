"""Answers per second of packed sampling against what one would otherwise use, on the same work in one run.

`random`: random Llama models of 29.5 M and 1.84 M parameters that never stop, 60 new tokens, prompts of 167
to 191 tokens, steered at a span of 4, four conditions mixed. Against the paper's loop (TransformerLens,
batches of 8 of one condition and length, prompts in full) and transformers `generate` with a hook.
Log-odds in place of text. `conditions`: 256 conditions in a batch against one. `gemma`: Gemma-2B's shape on a
GPU, random weights, bfloat16.

`respondent`: the built-in respondent as examples/respondent.yaml asks it, which stops: the worker by packed
passes, batch by batch, transformers `generate`, the paper's loop (a batch ends when all eight rows have), and
the worker in logprob mode.

Every way answers a part of the work in turn, so that what else runs on the machine meets all of them; seconds
are those of the processor, since other work would make the clock say anything. Needs torch, transformers and
numpy for `random`, and the whole project for `respondent`.

    python benchmarks/sampling_speed.py random | conditions | respondent | gemma
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from sampling_work import (
    PEER_BATCH,
    SHAPES,
    STEPS,
    Asked,
    Packed,
    hf_generate,
    lens_model,
    made_work,
    paper_loop,
    random_gemma,
    random_llama,
)

from axiograph.engine.hf.prefixes import PrefixCache

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 3
ODDS_TIMES = 4


@dataclass
class Way:
    """One way to answer: `answer()` answers `count` requests."""

    name: str
    count: int
    answer: Callable[[], Any]
    rates: list[float] = field(default_factory=list)

    def run(self) -> Any:
        started, clock = time.process_time(), time.perf_counter()
        found = self.answer()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            self.rates.append(self.count / (time.perf_counter() - clock))
        else:
            self.rates.append(self.count / (time.process_time() - started))
        return found


def compare(ways: Sequence[Way]) -> None:
    """All ways in turn, ROUNDS times; the first is the yardstick. Ratios are those of the same round."""
    for _ in range(ROUNDS):
        for way in ways:
            way.run()
    for way in ways:
        ratio = statistics.median(own / first for own, first in zip(way.rates, ways[0].rates, strict=True))
        rounds = " ".join(f"{rate:.4g}" for rate in way.rates)
        rate = statistics.median(way.rates)
        print(f"{way.name:44s} {rate:9.4g} answers/s {ratio:8.2f} x   ({rounds})", flush=True)


def matrix_rates(rows: int, width: int, inner: int) -> tuple[float, float]:
    """GFLOP/s of products like those of decoding, [rows, width] by [width, inner]: by PyTorch's own linear,
    as the peers have it, and by oneDNN with weights laid out beforehand."""
    x, w = torch.randn(rows, width), torch.randn(inner, width)
    laid = torch.ops.mkldnn._reorder_linear_weight(w, None)
    found = []
    for multiply in (
        lambda: torch.nn.functional.linear(x, w),
        lambda: torch.ops.mkldnn._linear_pointwise(x, laid, None, "none", [], ""),
    ):
        for _ in range(20):
            multiply()
        started = time.process_time()
        for _ in range(300):
            multiply()
        found.append(300 * 2 * rows * width * inner / (time.process_time() - started) / 1e9)
    return found[0], found[1]


def random_model(name: str, rows_at_once: int, items: int) -> None:
    model = random_llama(name)
    size = sum(p.numel() for p in model.parameters())
    print(f"\n{name}: {size / 1e6:.2f} M parameters, float32")
    rows, operations = made_work(model, 4, 3, items)
    lens = lens_model(model)
    packed = Packed(model, operations, rows_at_once)
    batch, own = rows[:PEER_BATCH], operations["c0"]
    print_equal(packed(rows), rows, operations, lens, model)

    def fresh(answer: Callable[[Sequence[Asked]], Any]) -> Any:
        packed.fresh()
        return answer(rows)

    mixed = Way(f"packed, 4 conditions mixed, {rows_at_once} at once", len(rows), lambda: fresh(packed))
    loop = Way("paper's loop, TransformerLens, batch 8", 8, lambda: paper_loop(lens, batch, own, STEPS))
    peer = Way("transformers generate, hook, batch 8", 8, lambda: hf_generate(model, batch, own, STEPS))
    # Several times, since it is short beside the others.
    odds = Way(
        "packed, log-odds instead of text",
        ODDS_TIMES * len(rows),
        lambda: [fresh(packed.score) for _ in range(ODDS_TIMES)],
    )
    compare([loop, peer, mixed, odds])
    # The embedding is looked up, all other weights are multiplied with.
    weights = size - model.get_input_embeddings().weight.numel()
    done = statistics.median(mixed.rates) * STEPS * 2 * weights / 1e9
    shape = model.config.hidden_size, model.config.intermediate_size
    (few, _), (many, laid) = matrix_rates(PEER_BATCH, *shape), matrix_rates(rows_at_once, *shape)
    print(f"matrix products: {few:.0f} GFLOP/s with 8 rows, {many:.0f} with {rows_at_once};")
    print(f"by oneDNN, with weights laid out beforehand, {laid:.0f} with {rows_at_once};")
    print(f"the tokens written need {done:.0f} GFLOP/s, {done / laid:.0%} of that", flush=True)


def print_equal(
    found: Sequence[list[int]], rows: Sequence[Asked], operations: dict[str, Any], lens: Any, model: Any
) -> None:
    """How many rows have the same tokens in a batch of each condition as packed, all together."""
    same = {"TransformerLens": 0, "generate": 0}
    compared = 0
    for start in range(0, len(rows), len(rows) // len(operations)):
        batch, ours = rows[start : start + PEER_BATCH], found[start : start + PEER_BATCH]
        own = operations[batch[0].condition]
        compared += len(batch)
        for name, theirs in (
            ("TransformerLens", paper_loop(lens, batch, own, STEPS)),
            ("generate", hf_generate(model, batch, own, STEPS)),
        ):
            same[name] += sum(a == b for a, b in zip(ours, theirs, strict=True))
    print(f"equal greedy tokens in {compared} rows of {len(operations)} conditions: {same}", flush=True)


def many_conditions() -> None:
    """256 conditions against one, 256 distinct prefixes and two items behind each, either way."""
    model = random_llama("1.84 M")
    print("\n1.84 M, 256 rows at once, 256 prefixes of 160 tokens, 2 items each")
    ways = []
    for name, conditions, roles in (("1 condition, 256 roles", 1, 256), ("256 conditions, 1 role", 256, 1)):
        rows, operations = made_work(model, conditions, roles, 2, examples=0)
        packed = Packed(model, operations, 256)
        packed(rows[:8])

        def answer(packed: Packed = packed, rows: list[Asked] = rows) -> Any:
            packed.fresh()
            return packed(rows)

        ways.append(Way(name, len(rows), answer))
    compare(ways)


def respondent(count: int) -> None:
    from sampling_respondent import chosen_requests, peers, scoring_worker

    from axiograph.cluster.sampling.preparation import prepare
    from axiograph.engine.runs.run_dir import RunDir
    from axiograph.engine.study.loading import load_study
    from axiograph.engine.workers.worker import requests_of

    study = load_study(ROOT / "examples" / "respondent.yaml")
    study = study.model_copy(update={"model": study.model.model_copy(update={"backend": "hf"})})
    prepared = prepare(study, RunDir(study.out))
    table = chosen_requests(prepared, count)
    worker: Any = prepared.make_worker()
    assert worker.fallback is None
    rows = requests_of(table)
    print(f"\nbuilt-in respondent, {len(rows)} requests, {len({row.condition for row in rows})} conditions")
    whole = worker(table)
    print(f"new tokens per answer: {statistics.mean(whole['new_tokens'].to_pylist()):.1f}", flush=True)

    def fresh(own: Any, requests: Any) -> Any:
        own._packed._passes.prefixes = PrefixCache(1, 1)  # those of the round before are of no use
        return own(requests)

    def batched(own: Any, requests: Any) -> Any:
        packed, own._packed = own._packed, None
        try:
            return own(requests)
        finally:
            own._packed = packed

    part = table.slice(0, len(rows) // 4)
    same = batched(worker, part)["answer_ids"].equals(whole["answer_ids"].slice(0, part.num_rows))
    print(f"the same tokens batch by batch, {part.num_rows} requests: {same}")
    scorer, cued = scoring_worker(study, count)
    loop, loop_count, generated, generated_count = peers(prepared, worker, rows, whole)
    some = cued.slice(0, PEER_BATCH * 8)
    compare(
        [
            Way("paper's loop, batch ends when all have", loop_count, loop),
            Way("transformers generate, hook, batch 8", generated_count, generated),
            Way("worker, batch by batch", part.num_rows, lambda: batched(worker, part)),
            Way("worker, packed", len(rows), lambda: fresh(worker, table)),
            Way("logprob mode, batch by batch", some.num_rows, lambda: batched(scorer, some)),
            Way("logprob mode, packed", cued.num_rows, lambda: fresh(scorer, cued)),
        ]
    )


def gemma() -> None:
    """Gemma-2B's shape on a GPU, random weights, bfloat16."""
    model = random_gemma(torch.bfloat16)
    rows, operations = made_work(model, 16, 8, 32)
    for at_once in (64, 256, 1024):
        packed = Packed(model, operations, at_once)
        packed(rows[:64])
        torch.cuda.reset_peak_memory_stats()
        way = Way(f"packed, 16 conditions mixed, {at_once} at once", len(rows), lambda p=packed: p(rows))
        compare([way])
        tokens = statistics.median(way.rates) * STEPS
        print(f"{tokens:.0f} tokens/s, peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    peer = Way(
        "transformers generate, batch 8", 8, lambda: hf_generate(model, rows[:8], operations["c0"], STEPS)
    )
    compare([peer])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("random", "conditions", "respondent", "gemma"))
    parser.add_argument("--requests", type=int, default=768)
    parser.add_argument("--rows", type=int, default=192, help="rows at once on the random models")
    parser.add_argument("--items", type=int, default=32, help="questions per role and condition, there")
    parser.add_argument("--model", choices=tuple(SHAPES), action="append", help="of the random models; all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    import transformers

    transformers.logging.set_verbosity_error()
    print(
        f"{platform.machine()}, 1 thread; torch {torch.__version__}, transformers {transformers.__version__}"
    )
    {
        "random": lambda: [
            random_model(name, arguments.rows, arguments.items) for name in arguments.model or SHAPES
        ],
        "conditions": many_conditions,
        "respondent": lambda: respondent(arguments.requests),
        "gemma": gemma,
    }[arguments.part]()


if __name__ == "__main__":
    main()

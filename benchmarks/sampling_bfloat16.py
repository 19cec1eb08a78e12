"""How often packed passes and the simple loop agree in bfloat16, and how near the call was where they part.

In float32 both write the same tokens (tests). In bfloat16 sums of another order round to other numbers: at
the first token that differs, the simple loop's own log-probabilities say how much it preferred its token to
the packed one. Compared are the built-in respondent, which stops, and the random models, whose next
tokens lie closer together than those of any trained model.

    python benchmarks/sampling_bfloat16.py [--requests 192] [--rows 48]
"""

from __future__ import annotations

import argparse
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from sampling_respondent import chosen_requests
from sampling_work import STEPS, Packed, made_work, random_llama

import axiograph.engine.workers.generation
from axiograph.engine.hf.model import NoPackedHooks
from axiograph.engine.workers.generation import NoHooks

ROOT = Path(__file__).resolve().parents[1]
Logits = dict[tuple[bytes, int], torch.Tensor]


def watched(run: Callable[[], Any], kept: Logits) -> Any:
    """`run()`, with the log-probabilities [vocabulary] of every request and step kept."""
    real = axiograph.engine.workers.generation.TokenChooser

    class Keeping(real):  # type: ignore[misc, valid-type]
        def __init__(self, sampling: Any, request_ids: Sequence[bytes]) -> None:
            super().__init__(sampling, request_ids)
            self._ids = request_ids

        def __call__(self, logits: torch.Tensor, rows: Sequence[int], step: Any) -> list[int]:
            steps = [step] * len(rows) if isinstance(step, int) else step
            for own, row, at in zip(logits.log_softmax(-1), rows, steps, strict=True):
                kept[self._ids[row], at] = own.clone()
            return super().__call__(logits, rows, step)

    axiograph.engine.workers.generation.TokenChooser = Keeping  # type: ignore[misc]
    try:
        return run()
    finally:
        axiograph.engine.workers.generation.TokenChooser = real  # type: ignore[misc]


def report(
    name: str, ids: Sequence[bytes], packed: list[list[int]], simple: list[list[int]], kept: Logits, eos: int
) -> None:
    same = sum(a == b for a, b in zip(packed, simple, strict=True))
    gaps, tokens, parted = [], 0, 0
    for request, ours, theirs in zip(ids, packed, simple, strict=True):
        ends = [*ours, eos], [*theirs, eos]
        first = next((i for i, (a, b) in enumerate(zip(*ends, strict=False)) if a != b), None)
        tokens += len(theirs) if first is None else first + 1
        if first is not None:
            parted += 1
            logp = kept[request, first]
            gaps.append(float(logp[ends[1][first]] - logp[ends[0][first]]))
    print(f"{name}: {same} of {len(ids)} answers have the same tokens ({same / len(ids):.1%});")
    print(f"  {parted} first differences in {tokens:,} tokens compared ({parted / tokens:.2%})")
    if gaps:
        half = statistics.median(gaps)
        print(f"  log-probability gap there: median {half:.4f}, largest {max(gaps):.4f}", flush=True)


def respondent(count: int) -> None:
    from axiograph.cluster.sampling.preparation import prepare
    from axiograph.engine.runs.run_dir import RunDir
    from axiograph.engine.study.loading import load_study

    study = load_study(ROOT / "examples" / "respondent.yaml")
    model = study.model.model_copy(update={"dtype": "bfloat16", "backend": "hf"})
    prepared = prepare(study.model_copy(update={"model": model}), RunDir(Path(study.out)))
    table = chosen_requests(prepared, count)
    worker: Any = prepared.make_worker()
    assert worker.fallback is None
    packed = worker(table)
    kept: Logits = {}
    worker._packed, whole = None, worker._packed
    simple = watched(lambda: worker(table), kept)
    worker._packed = whole
    eos = next(iter(worker._generator.eos))
    answers = [t["answer_ids"].to_pylist() for t in (packed, simple)]
    report("built-in respondent, 3 conditions", simple["request_id"].to_pylist(), *answers, kept, eos)
    states = [t["state"].to_pylist() for t in (packed, simple)]
    same = sum(a == b for a, b in zip(*states, strict=True))
    print(f"  {same} of {table.num_rows} answers have the same state")


def random_models(count: int) -> None:
    for name in ("1.84 M", "29.5 M"):
        model = random_llama(name).to(torch.bfloat16)
        rows, operations = made_work(model, 1, 1, count)
        packed = Packed(model, operations, count)
        prompts, ids = [row.prompt_ids for row in rows], [row.request_id for row in rows]
        found = [list(a.ids) for a in packed.generator(prompts, ids, NoPackedHooks(prompts), count)]
        kept: Logits = {}
        simple = watched(lambda: packed.generator.simple(prompts, ids, NoHooks()), kept)  # noqa: B023
        report(f"random, {name}, {STEPS} tokens", ids, found, [list(a.ids) for a in simple], kept, -1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=192)
    parser.add_argument("--rows", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    import transformers

    transformers.logging.set_verbosity_error()
    print(f"{platform.machine()}, CPU; torch {torch.__version__}, transformers {transformers.__version__}")
    respondent(arguments.requests)
    random_models(arguments.rows)


if __name__ == "__main__":
    main()

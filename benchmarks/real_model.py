"""Asking a real model (SmolLM2-135M-Instruct), beside transformers, raw vLLM and lm-eval, ratios in one run.

Text: the worker on transformers (packed passes) and the worker on vLLM against transformers `generate`
(batches of 8, left-padded) and against vLLM's own LLM.generate, all greedy in float32 on the same prompts.
The peers write up to the same limit or the end of sequence; the workers stop where the answer is complete, as
they do in a run, and with --no-stop write as long as the peers, so that what is left is the way of sampling.
Answers must begin alike. Log-odds: against the log-likelihoods of ` yes` and ` no` by lm-eval's own model
class, batches of 8; they must be the same within 1e-3.

    pip install lm-eval
    python benchmarks/real_model.py [--prompts 96] [--tokens 48] [--turns 3] [--no-stop]
        [--only text,vllm,odds]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")

import pyarrow as pa
import torch

from axiograph.cluster.sampling.loop import library_versions
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.prompting.prompts import Prompt, PromptBuilder, PromptFields
from axiograph.engine.prompting.template import load_template
from axiograph.engine.study.questionnaire import load_questionnaires
from axiograph.engine.study.schema import PromptSpec, SamplingSpec, ScoringSpec
from axiograph.engine.workers.models import ModelSource, load_tokenizer
from axiograph.engine.workers.spellings import spelling_ids
from axiograph.engine.workers.worker import REQUEST_SCHEMA, Request, WorkerConfig
from examples.smollm2.fetch import HERE, fetch
from examples.smollm2.make_roles import roles

BATCH = 8  # of the peers


class Work:
    """Prompts of the example's questionnaire and roles under the default template, as a run asks them."""

    def __init__(self, folder: Path, count: int, tokens: int) -> None:
        self.source = ModelSource("smollm2", folder, None, "float32", False)
        self.tokenizer = load_tokenizer(self.source)
        self.builder = PromptBuilder(load_template(PromptSpec()), self.tokenizer)
        items = load_questionnaires([HERE / "bigfive.csv"]).items
        people = roles(-(-count // len(items)))
        fields = [PromptFields(t, name, "", i.question, i.value) for name, t in people for i in items][:count]
        self.prompts = self.builder.build(fields, cue="\nAnswer:")
        self.tokens = tokens

    def config(self, mode: str) -> WorkerConfig:
        yes, no = spelling_ids(self.builder)
        sampling = SamplingSpec(max_tokens=self.tokens)
        scoring = ScoringSpec(mode=mode, mass_threshold=0.0)
        return WorkerConfig(self.source, "cpu", sampling, scoring, yes, no, self.prompts[0], frozenset())

    def table(self) -> pa.Table:
        rows = [
            Request(
                n.to_bytes(16, "little"),
                "r",
                "baseline",
                str(n),
                0,
                list(p.ids),
                list(p.span),
                p.span_text,
                list(p.cued),
            )
            for n, p in enumerate(self.prompts)
        ]
        return pa.Table.from_pylist([vars(row) for row in rows], schema=REQUEST_SCHEMA)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def generate_in_batches(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], tokens: int
) -> list[list[int]]:
    """transformers' own way: left-padded batches, each until its longest row is done."""
    pad, written = tokenizer.pad_token_id, []
    for start in range(0, len(prompts), BATCH):
        rows = [list(prompt.ids) for prompt in prompts[start : start + BATCH]]
        width = max(map(len, rows))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=pad
            )
        written += [_to_end(row, tokenizer.eos_token_id) for row in output[:, width:].tolist()]
    return written


def _to_end(ids: list[int], eos: int) -> list[int]:
    return ids[: ids.index(eos)] if eos in ids else ids


def agree(ours: Sequence[list[int]], theirs: Sequence[list[int]]) -> int:
    """Of how many answers one begins with the other: the workers stop earlier."""
    return sum(a[: len(b)] == b[: len(a)] for a, b in zip(ours, theirs, strict=True))


def text(work: Work, turns: int, vllm: bool) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(work.source.folder, dtype=torch.float32).eval()
    worker, table = HfWorker(work.config("generate")), work.table()
    engine = VllmSide(work) if vllm else None
    ratios: dict[str, list[float]] = {}
    for turn in range(turns + 1):
        hf_s, hf = timed(lambda: worker(table).to_pylist())
        plain_s, plain = timed(lambda: generate_in_batches(model, work.tokenizer, work.prompts, work.tokens))
        row = {"transformers generate / worker on transformers": plain_s / hf_s}
        if engine is not None:
            raw_s, raw = timed(engine.raw)
            ours_s, ours = timed(engine.worker_answers)
            row |= {
                "raw vLLM / worker on vLLM": raw_s / ours_s,
                "transformers generate / worker on vLLM": plain_s / ours_s,
            }
        if turn == 0:  # warms up, and is looked at
            ids = [answer["answer_ids"] for answer in hf]
            print(f"same beginnings: worker and transformers {agree(ids, plain)} of {len(plain)}", end="")
            if engine is not None:
                print(
                    f", worker on vLLM and transformers {agree(ours, plain)}, raw vLLM {agree(raw, plain)}",
                    end="",
                )
            print(f"; complete answers {sum(answer['finish'] == 'complete' for answer in hf)}")
            continue
        seconds = f"worker {hf_s:.1f} s, generate {plain_s:.1f} s"
        print(
            seconds
            + (f", worker on vLLM {ours_s:.1f} s, raw vLLM {raw_s:.1f} s" if engine is not None else "")
        )
        for name, ratio in row.items():
            ratios.setdefault(name, []).append(ratio)
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


class VllmSide:
    """The worker on vLLM, and vLLM's own generate on its engine."""

    def __init__(self, work: Work) -> None:
        from axiograph.engine.vllm.worker import VllmWorker

        self.work, self.table = work, work.table()
        self.worker = VllmWorker(work.config("generate"), {"enable_prefix_caching": True}, process=False)

    def _empty_cache(self) -> None:
        self.worker.engine._engine.reset_prefix_cache()

    def worker_answers(self) -> list[list[int]]:
        self._empty_cache()
        return [row["answer_ids"] for row in self.worker(self.table).to_pylist()]

    def raw(self) -> list[list[int]]:
        """Requests added to the engine and stepped to their end, as LLM.generate does."""
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt

        self._empty_cache()
        engine, eos = self.worker.engine._engine, self.work.tokenizer.eos_token_id
        params = SamplingParams(
            temperature=0.0, max_tokens=self.work.tokens, detokenize=False, stop_token_ids=[eos]
        )
        for number, prompt in enumerate(self.work.prompts):
            engine.add_request(f"raw-{number}", TokensPrompt(prompt_token_ids=list(prompt.ids)), params)
        written: dict[int, list[int]] = {}
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    ids = list(output.outputs[0].token_ids)
                    written[int(output.request_id.split("-")[1])] = _to_end(ids, eos)
        return [written[number] for number in range(len(self.work.prompts))]


def odds(work: Work, turns: int) -> None:
    """Log-odds of every prompt, beside lm-eval's log-likelihoods of the two options."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    peer = HFLM(pretrained=str(work.source.folder), device="cpu", dtype="float32", batch_size=BATCH)
    worker, table = HfWorker(work.config("logprob")), work.table()
    contexts = [prompt.text + "\nAnswer:" for prompt in work.prompts]
    asked = [
        Instance("loglikelihood", {}, (context, option), number)
        for number, context in enumerate(contexts)
        for option in (" yes", " no")
    ]
    ratios = []
    for turn in range(turns + 1):
        ours_s, ours = timed(lambda: worker(table).to_pylist())
        peer_s, theirs = timed(lambda: peer.loglikelihood(asked, disable_tqdm=True))
        if turn == 0:
            _compare_odds(work, theirs)
            continue
        print(
            f"worker {ours_s:.2f} s, lm-eval {peer_s:.2f} s; "
            f"mass {statistics.median(row['mass'] for row in ours):.2f}"
        )
        ratios.append(peer_s / ours_s)
    print(
        f"lm-eval / worker, log-odds: {statistics.median(ratios):.1f} "
        f"({min(ratios):.1f} to {max(ratios):.1f})"
    )


def _compare_odds(work: Work, theirs: Sequence[tuple[float, bool]]) -> None:
    """The same two options by the worker: its other spellings left out."""
    ids = [tuple(work.tokenizer(option, add_special_tokens=False)["input_ids"]) for option in (" yes", " no")]
    config = work.config("logprob")
    two = WorkerConfig(
        config.source,
        "cpu",
        config.sampling,
        config.scoring,
        (ids[0],),
        (ids[1],),
        config.canary,
        frozenset(),
    )
    ours = [row["log_odds"] for row in HfWorker(two)(work.table()).to_pylist()]
    peer = [theirs[2 * number][0] - theirs[2 * number + 1][0] for number in range(len(ours))]
    print(f"largest difference of log-odds: {max(abs(a - b) for a, b in zip(ours, peer, strict=True)):.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-stop", action="store_true", help="workers write as long as the peers")
    parser.add_argument("--only", default="text,vllm,odds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.no_stop:
        from axiograph.engine.workers.generation import StopCheck

        StopCheck.__call__ = lambda self, ids: False  # type: ignore[method-assign,assignment]
    print(f"{platform.processor() or platform.machine()}, 1 thread; {library_versions()}")
    work = Work(fetch(), arguments.prompts, arguments.tokens)
    lengths = [len(prompt.ids) for prompt in work.prompts]
    print(f"{len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens, up to {work.tokens} new ones")
    parts = arguments.only.split(",")
    if "text" in parts or "vllm" in parts:
        text(work, arguments.turns, "vllm" in parts)
    if "odds" in parts:
        odds(work, arguments.turns)


if __name__ == "__main__":
    main()

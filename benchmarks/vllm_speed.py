"""The vLLM workers against raw vLLM, against each other and against the paper's loop, ratios in one run.

Random Llama models of 29.5 M (8 × 512) and 1.84 M (4 × 128) parameters, float32, prompts of 167 to 191
tokens that share 160, 60 new tokens. What is compared runs in turns in one engine, the prefix cache emptied
before every turn; medians of the turns' ratios are printed, with their range. The raw runs use vLLM's own
LLM.generate on the engine that the worker uses, with everything of axiograph taken out of it. "Unsteered" is
the plain worker on that engine, with the hooks taken out. Rows come as in a plan, condition by condition: of
many conditions a running batch holds a few; with --mixed they come in no order, and it holds most. The
paper's loop is TransformerLens `generate` with a hook at the span, eight rows of one condition at a time.

    python benchmarks/vllm_speed.py [--models small,large] [--conditions 1,32,256] [--turns 4] [--tokens 60]
        [--mixed]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")

import pyarrow as pa
import torch
from torch import nn

from axiograph import engine
from axiograph.cluster.sampling.loop import library_versions
from axiograph.engine.prompting.prompts import Prompt
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.vllm import engine as vllm_engine
from axiograph.engine.vllm.arguments import engine_arguments
from axiograph.engine.vllm.environment import quiet
from axiograph.engine.vllm.extension import all_finite
from axiograph.engine.workers.models import ModelSource
from axiograph.engine.workers.worker import REQUEST_SCHEMA, Request, WorkerConfig
from axiograph.steering.directions.operations import Operation
from axiograph.steering.vllm.worker import SteeredVllmWorker

ASSETS = Path(engine.__file__).parent / "assets" / "respondent" / "model"
SIZES = {"small": (4, 128, 352), "large": (8, 512, 1376)}
VOCABULARY, SHARED, ITEMS, LONGEST = 8192, 160, 32, 31
SPAN = tuple(range(20, 24))
# On a machine that others use, this process's own seconds on the processor say more than those on the wall.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def save_model(folder: Path, size: str) -> Path:
    """A random Llama with the respondent's tokenizer; answers hardly ever end by themselves."""
    from transformers import LlamaConfig, LlamaForCausalLM

    layers, width, inner = SIZES[size]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=width // 32 if width < 512 else width // 64, max_position_embeddings=512,
        bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                nn.init.normal_(
                    weight, 0, 0.02 if len(weight) == VOCABULARY else 1.5 / weight.shape[1] ** 0.5
                )
    model.save_pretrained(folder, safe_serialization=True)
    for file in ASSETS.glob("*token*"):
        shutil.copy(file, folder)
    return folder


def prompts(prefixes: int, items: int) -> list[list[int]]:
    """`items` prompts behind each of `prefixes` shared beginnings, item by item the same everywhere."""
    draw = torch.Generator().manual_seed(1)

    def ids(count: int) -> list[int]:
        return torch.randint(10, 1300, (count,), generator=draw).tolist()

    beginnings = [ids(SHARED) for _ in range(prefixes)]
    ends = [ids(7 + i % (LONGEST - 6)) for i in range(items)]
    return [begin + end for begin in beginnings for end in ends]


def requests(rows: list[list[int]], names: list[str]) -> list[Request]:
    def request(i: int) -> Request:
        return Request(i.to_bytes(16, "little"), "r", names[i], str(i), 0, rows[i], list(SPAN), "", [])

    return [request(i) for i in range(len(rows))]


def tables_of(rows: list[Request]) -> list[pa.Table]:
    """As they come to a worker: 256 requests each."""
    return [
        pa.Table.from_pylist([vars(row) for row in rows[i : i + 256]], schema=REQUEST_SCHEMA)
        for i in range(0, len(rows), 256)
    ]


def answers(asked: list[Request], responses: list[pa.Table]) -> list[list[int]]:
    """The tokens that were written, in the order of `asked`."""
    found = {row["request_id"]: row["answer_ids"] for table in responses for row in table.to_pylist()}
    return [found[row.request_id] for row in asked]


class Bench:
    """One engine with a raw LLM and the steered worker on it."""

    def __init__(self, folder: Path, size: str, conditions: int, tokens: int, clock: str) -> None:
        layers, width, _ = SIZES[size]
        point = HookPointSpec(layer=layers // 2)
        draw = torch.Generator().manual_seed(2)
        self.operations = {
            f"c{i}": (Operation("add", "prompt_span", point, torch.randn(width, generator=draw), None, 0.0),)
            for i in range(conditions)
        }
        self.tokens, self.clock = tokens, CLOCKS[clock]
        source = ModelSource(size, folder, None, "float32", False)
        sampling = SamplingSpec(max_tokens=tokens)
        canary = Prompt("", tuple(prompts(1, 1)[0]), SPAN)
        config = WorkerConfig(
            source, "cpu", sampling, ScoringSpec(), ((5,),), ((6,),), canary, frozenset(self.operations)
        )
        own = {"worker_extension_cls": SteeredVllmWorker.extension, "max_logprobs": 20}
        with quiet():
            from vllm import LLM

            self.llm = LLM(**engine_arguments(source, "cpu", {}, **own), distributed_executor_backend="uni")
        # The worker on the very engine of the raw LLM: nothing but the worker differs.
        vllm_engine._started = lambda config, process: self.llm.llm_engine
        known = frozenset({"baseline", *self.operations})
        self.worker = SteeredVllmWorker(config, {}, self.operations, known)
        # These random prompts spell nothing; the worker's own check of the span's words is left out.
        self.worker._check_span = lambda row: None  # type: ignore[method-assign]
        core = self.llm.llm_engine.engine_core.engine_core
        self.runner = core.model_executor.driver_worker.worker.model_runner

    def raw(self, rows: list[list[int]], salted: bool = False) -> list[list[int]]:
        """LLM.generate on `rows` in their order; with `salted`, no two share a prefix."""
        from vllm import SamplingParams, TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=0.0, max_tokens=self.tokens, stop_token_ids=[2], ignore_eos=True, detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY, skip_clone=True, extra_args={"axiograph": [-1, 0]},
        )  # fmt: skip
        given = [
            TokensPrompt(prompt_token_ids=ids, **({"cache_salt": f"raw {i}"} if salted else {}))
            for i, ids in enumerate(rows)
        ]
        outputs = self.llm.generate(given, params, use_tqdm=False)
        return [[t for t in output.outputs[0].token_ids if t != 2] for output in outputs]

    def ask(self, tables: list[pa.Table]) -> list[pa.Table]:
        """Through the worker, as the executor does it: one table is taken before the last is done."""
        return list(self.worker.stream(tables))

    @contextmanager
    def unhooked(self) -> Iterator[None]:
        """The plain worker on the same engine: no hooks, no proof; salts as given by `salt`."""
        hooked, kept = self.runner._model_forward, dict(vars(self.worker))
        hooks = [
            (own, dict(own))
            for module in self.runner.model.modules()
            for own in (module._forward_hooks, module._forward_pre_hooks)
            if own
        ]
        for own, _ in hooks:
            own.clear()
        self.runner._model_forward = hooked.__self__._forward
        self.worker.check_done = lambda rows, results: all_finite(self.runner)  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.runner._model_forward = hooked
            for own, before in hooks:
                own.update(before)
            vars(self.worker).clear()
            vars(self.worker).update(kept)

    @contextmanager
    def bare(self) -> Iterator[None]:
        """vLLM as it comes: no hooks, and nobody looks at its logits."""
        with self.unhooked():
            model = vars(self.runner.model)
            watched = model.pop("compute_logits")
            try:
                yield
            finally:
                model["compute_logits"] = watched

    def timed(self, run: Callable[[], Any]) -> tuple[float, Any]:
        self.worker.engine.forget_prefixes()
        started = self.clock()
        found = run()
        return self.clock() - started, found


def ratios(
    bench: Bench,
    asked: list[Request],
    ours: Callable[[], list[pa.Table]],
    theirs: Callable[[], Any],
    turns: int,
) -> dict[str, Any]:
    """Seconds of both, turn by turn with the order changing; and whether the tokens were the same. From
    request tables to response tables: nothing is read from those while the clock runs."""
    times: list[tuple[float, float]] = []
    same = total = 0
    bench.timed(theirs)  # the first run touches the cache's memory for the first time
    for turn in range(turns):
        if turn % 2:
            other, mine = bench.timed(theirs), bench.timed(ours)
        else:
            mine, other = bench.timed(ours), bench.timed(theirs)
        times.append((mine[0], other[0]))
        total = len(asked)
        same = sum(a == b for a, b in zip(answers(asked, mine[1]), other[1], strict=True))
    found = [b / a for a, b in times]
    seconds = statistics.median(a for a, _ in times)
    return {
        "rate": total / seconds,
        "ratio": statistics.median(found),
        "range": (min(found), max(found)),
        "same": f"{same} of {total}",
    }


def show(name: str, found: dict[str, Any], goal: str) -> None:
    low, high = found["range"]
    print(
        f"| {name} | {found['rate']:.1f} | {found['ratio']:.2f} ({low:.2f}–{high:.2f}) | {goal} "
        f"| {found['same']} |",
        flush=True,
    )


def plain(bench: Bench, turns: int) -> None:
    best = sorted(prompts(8, ITEMS))
    asked = requests(best, ["baseline"] * len(best))
    tables = tables_of(random.Random(0).sample(asked, len(asked)))

    def ours() -> list[pa.Table]:
        with bench.unhooked():
            return bench.ask(tables)

    def theirs(salted: bool) -> list[list[int]]:
        with bench.bare():
            return bench.raw(best, salted)

    for name, salted, goal in (
        ("worker / raw, same prompts, best order", False, "≥ 0.97"),
        ("worker / raw without shared prefixes", True, "> 1"),
    ):
        show(name, ratios(bench, asked, ours, partial(theirs, salted), turns), goal)


def steered(bench: Bench, count: int, turns: int, mixed: bool) -> None:
    """`count` conditions of one role, against as many distinct prefixes (salts) without steering."""
    items = max(ITEMS, 256 // count)
    rows = prompts(1, items) * count
    names = [name for name in list(bench.operations)[:count] for _ in range(items)]
    asked = requests(rows, names)
    if mixed:
        random.Random(0).shuffle(asked)
    tables = tables_of(asked)

    def unsteered() -> list[list[int]]:
        with bench.unhooked():
            bench.ask(tables)
        return [[] for _ in asked]

    found = ratios(bench, asked, lambda: bench.ask(tables), unsteered, turns)
    found["same"] = "(steered against not)"
    order = ", mixed by lot" if mixed else ""
    show(f"steered, {count} conditions × {items} items{order} / unsteered", found, "≥ 0.9")


def paper(bench: Bench, folder: Path, size: str, count: int) -> None:
    """The paper's loop, and the worker on the same requests of one condition."""
    rows = [row for row in prompts(1, 25 * 16) if len(row) == SHARED + 7 + 12][:16] * (count // 16)
    lens = transformer_lens(folder, size)
    (operation,) = bench.operations["c0"]

    def add(stream: torch.Tensor, hook: Any) -> torch.Tensor:
        if stream.shape[1] > 1:
            stream[:, list(SPAN)] += operation.vector
        return stream

    def loop() -> list[list[int]]:
        found = []
        with lens.hooks(fwd_hooks=[(f"blocks.{operation.hook_point.layer}.hook_resid_post", add)]):
            for start in range(0, len(rows), 8):
                batch = torch.tensor(rows[start : start + 8])
                made = lens.generate(
                    batch, max_new_tokens=bench.tokens, do_sample=False, stop_at_eos=False, verbose=False,
                    return_type="tokens", prepend_bos=False,
                )  # fmt: skip
                found += made[:, batch.shape[1] :].tolist()
        return found

    many = prompts(1, 384)
    asked = tables_of(requests(many, ["c0"] * len(many)))
    with torch.inference_mode():
        loop_seconds, theirs = bench.timed(loop)
    seconds, _ = bench.timed(lambda: bench.ask(asked))
    few = requests(rows, ["c0"] * len(rows))
    mine = answers(few, bench.ask(tables_of(few)))
    same = sum(a == b[: len(a)] for a, b in zip(mine, theirs, strict=True))
    ratio = (len(many) / seconds) / (len(rows) / loop_seconds)
    goal = {"small": "≥ 11", "large": "≥ 15"}[size]
    print(
        f"| steered worker (384 requests) / the paper's loop ({len(rows) / loop_seconds:.2f} answers/s, "
        f"{len(rows)} requests) | {len(many) / seconds:.1f} | {ratio:.1f} | {goal} | {same} of {len(rows)} |",
        flush=True,
    )


def transformer_lens(folder: Path, size: str) -> Any:
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    layers, width, inner = SIZES[size]
    heads = model.config.num_attention_heads
    config = HookedTransformerConfig(
        n_layers=layers, d_model=width, n_ctx=512, d_head=width // heads, n_heads=heads, d_mlp=inner,
        d_vocab=VOCABULARY, act_fn="silu", eps=model.config.rms_norm_eps, normalization_type="RMS",
        positional_embedding_type="rotary", rotary_dim=width // heads, rotary_adjacent_pairs=False,
        final_rms=True, gated_mlp=True, original_architecture="LlamaForCausalLM", device="cpu",
        n_key_value_heads=heads, rotary_base=10000,
    )  # fmt: skip
    lens = HookedTransformer(config)
    lens.load_state_dict(convert_llama_weights(model, config), strict=False)
    return lens.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="small,large")
    parser.add_argument("--conditions", default="1,32,256")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--mixed", action="store_true", help="conditions in no order")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--loop", type=int, default=32, help="requests through the paper's loop; 0: none")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.conditions.split(",") if count]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, {arguments.clock} clock; {library_versions()}\n")
    for size in arguments.models.split(","):
        with tempfile.TemporaryDirectory() as made:
            folder = save_model(Path(made), size)
            bench = Bench(folder, size, max([1, *counts]), arguments.tokens, arguments.clock)
            print(f"\n{size}: {SIZES[size][0]} × {SIZES[size][1]}, {torch.get_num_threads()} thread(s)\n")
            print(
                "| work | answers/s | ratio (range over turns) | goal | equal tokens |\n|---|---|---|---|---|"
            )
            bench.timed(lambda bench=bench: bench.raw(prompts(1, 8)))
            plain(bench, arguments.turns)
            for count in counts:
                steered(bench, count, arguments.turns, arguments.mixed)
            if arguments.loop:
                paper(bench, folder, size, arguments.loop)
            bench.worker.close()


if __name__ == "__main__":
    main()

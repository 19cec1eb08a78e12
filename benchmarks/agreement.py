"""How far the answers of a real model hang on the number format and on the library that computes them.

The same prompts of examples/smollm2 are put to every one of WAYS: in text (greedy, under the default
template, which asks for a thought) and for log-odds (under the example's own). Per pair of ways: how many
texts and states are the same, how many log-odds have the same sign, and how far apart they are. Each way has
a process of its own, since vLLM reads VLLM_BATCH_INVARIANT once.

    python benchmarks/agreement.py [--requests 96] [--tokens 24]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")

import torch
from vllm_flips import answers, chosen

from axiograph.cluster.sampling.loop import library_versions
from axiograph.cluster.sampling.preparation import prepare
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.schema import PromptSpec, SamplingSpec, ScoringSpec
from axiograph.steering.backend import Choice
from examples.smollm2.fetch import HERE, fetch

INVARIANT = "vllm bfloat16 VLLM_BATCH_INVARIANT=1"
WAYS = ("hf float32", "vllm float32", "hf bfloat16", "vllm bfloat16", INVARIANT)
Rows = list[dict[str, Any]]


def ask(way: str, requests: int, tokens: int) -> dict[str, Rows]:
    """Text, state and log-odds of every request, by mode."""
    backend, dtype = way.split()[:2]
    study = load_study(HERE / "study.yaml")
    found: dict[str, Rows] = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode, prompt in (("generate", PromptSpec()), ("logprob", study.prompt)):
            changed = study.model_copy(
                update={
                    "model": study.model.model_copy(update={"dtype": dtype}),
                    "prompt": prompt,
                    "scoring": ScoringSpec(mode=mode),
                    "sampling": SamplingSpec(max_tokens=tokens),
                    "steering": (),
                }
            )
            prepared = prepare(changed, RunDir(Path(folder)))
            rows, _ = answers(prepared, Choice(backend), chosen(prepared, requests))
            found[mode] = [{name: row[name] for name in ("text", "state", "log_odds")} for row in rows]
    return found


def asked_apart(way: str, requests: int, tokens: int, folder: Path) -> dict[str, Rows] | None:
    """`ask` in a process of its own; None where that fails, with the last line of why."""
    file = folder / f"{way}.json"
    command = [sys.executable, __file__, "--requests", str(requests), "--tokens", str(tokens)]
    environment = os.environ | {"VLLM_BATCH_INVARIANT": "1" if way == INVARIANT else "0"}
    done = subprocess.run(
        [*command, "--way", way, "--to", str(file)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "Error" in line] or [f"exit {done.returncode}"]
        print(f"{way}: failed: {errors[0].strip()[:200]} … {errors[-1].strip()[:200]}", flush=True)
        return None
    return json.loads(file.read_text())  # type: ignore[no-any-return]


def row(pair: tuple[str, str], one: dict[str, Rows], other: dict[str, Rows]) -> str:
    """A row of the table."""
    texts, odds = (list(zip(one[mode], other[mode], strict=True)) for mode in ("generate", "logprob"))
    read = [(a["log_odds"], b["log_odds"]) for a, b in odds if None not in (a["log_odds"], b["log_odds"])]
    apart = [abs(a - b) for a, b in read]
    same = [sum(a[name] == b[name] for a, b in texts) for name in ("text", "state")]
    signs = sum((a > 0) == (b > 0) for a, b in read)
    return (
        f"| {pair[0]} | {pair[1]} | {same[0]} | {same[1]} | {signs} of {len(read)} | "
        f"{statistics.median(apart):.2g} | {max(apart):.2g} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = (arguments.requests, arguments.tokens)
    if arguments.way:
        arguments.to.write_text(json.dumps(ask(arguments.way, *size)))
        return
    fetch()
    print(
        f"{platform.machine()}, 1 thread; {library_versions()}; {size[0]} requests, up to {size[1]} tokens\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        found = {way: asked_apart(way, *size, Path(folder)) for way in WAYS}
    print(
        "| one | other | same text | same state | same sign | median apart | largest |\n" + "|---" * 7 + "|"
    )
    for pair in itertools.combinations(WAYS, 2):
        one, other = (found[way] for way in pair)
        if one is not None and other is not None:
            print(row(pair, one, other))


if __name__ == "__main__":
    main()

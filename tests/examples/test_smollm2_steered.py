"""The real model steered by the example's own SAE and along its contrast: the same texts and log-odds by the
hook worker, by the worker on vLLM, and by plain transformers with a forward hook of a few lines."""

from __future__ import annotations

import csv
import importlib.util
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from axiograph.cluster.contrasts.stage import make_directions
from axiograph.cluster.sampling.preparation import Prepared, prepare
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.study.contrasts import parse_contrast
from axiograph.engine.study.loading import load_study
from axiograph.engine.workers.spellings import spelling_ids
from axiograph.engine.workers.worker import Request, requests_of
from axiograph.steering.backend import Choice
from examples.smollm2.fetch import HERE
from examples.smollm2.make_roles import roles
from tests import vllm_models  # noqa: F401 - sets vLLM's environment

LAYER, TOKENS = 15, 16
FEATURE, ALONG_FEATURE, ALONG_WARM = 1283, 60.0, 4.0  # as the example steers
CLOSE = 2e-4  # of log-odds in float32
PROMPTS = 24


@pytest.fixture(scope="module")
def warm(smollm2, tmp_path_factory) -> Path:
    """The example's direction, from a few of its pairs and questions."""
    contrast = yaml.safe_load((HERE / "warm.yaml").read_text())
    contrast |= {"questions": 2, "pairs": contrast["pairs"][:6]}
    folder = tmp_path_factory.mktemp("warm")
    study = written(folder, smollm2, "generate", [])
    return make_directions(study, parse_contrast(contrast, "contrast"), create_run(study.out)).path


def written(folder: Path, model: Path, mode: str, steering: list[Any]):
    """The example's study with this steering, cut to four people and six items; texts under the default
    template, which asks for a thought, log-odds under the example's own."""
    study = yaml.safe_load((HERE / "study.yaml").read_text())
    rows = (HERE / "bigfive.csv").read_text().splitlines()
    (folder / "items.csv").write_text("\n".join([rows[0], *rows[1::9]]) + "\n")
    with (folder / "roles.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "text"), *roles(4)])
    study["model"]["path"] = str(model)
    study |= {
        "questionnaires": ["items.csv"],
        "roles": {"files": [{"path": "roles.csv"}], "no_role": False},
        "steering": steering,
        "steer_roles": "all",
        "scoring": {"mode": mode},
        "sampling": {"max_tokens": TOKENS},
        "out": "run",
    }
    study["prompt"] = {} if mode == "generate" else {"path": str(HERE / "prompt.j2"), "answer_cue": ""}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return load_study(folder / "study.yaml")


def answers(prepared: Prepared, backend: str) -> list[dict[str, Any]]:
    worker = replace(prepared, backend=Choice(backend)).make_worker()
    rows = [
        row
        for batch in prepared.plan.batches()
        for row in worker(prepared.request_builder(batch)).to_pylist()
    ]
    if backend == "vllm":
        worker.close()
    return rows


class Plain:
    """transformers' own model, with a row added to the output of LAYER by a forward hook."""

    def __init__(self, folder: Path, rows: dict[str, tuple[str, torch.Tensor]]) -> None:
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.rows = rows

    @contextmanager
    def steered(self, request: Request) -> Iterator[None]:
        where, row = self.rows.get(name_of(request), ("nowhere", torch.zeros(1)))

        def hook(_: Any, __: Any, stream: torch.Tensor) -> torch.Tensor:
            stream = stream.clone()
            if where == "all":
                stream += row
            if where == "prompt_span" and stream.shape[1] > 1:  # not the passes over one token of the answer
                stream[:, list(request.span)] += row
            return stream

        handle = self.model.model.layers[LAYER].register_forward_hook(hook)
        with torch.inference_mode():
            yield
        handle.remove()

    def text(self, request: Request, tokens: int) -> list[int]:
        ids = torch.tensor([request.prompt_ids])
        with self.steered(request):
            written = self.model.generate(ids, max_new_tokens=tokens, do_sample=False)
        return written[0, ids.shape[1] :].tolist()

    def log_odds(self, request: Request, sides: Any) -> float:
        """By passes over the prompt with what leads to the last token of every spelling behind it."""
        leads = sorted({spelling[:-1] for side in sides for spelling in side})
        logp: dict[tuple[int, ...], torch.Tensor] = {}
        for lead in leads:
            with self.steered(request):
                logits = self.model(torch.tensor([[*request.cued_ids, *lead]])).logits[0]
            logp[lead] = logits[len(request.cued_ids) - 1 :].double().log_softmax(-1)

        def total(spelling: tuple[int, ...]) -> torch.Tensor:
            return logp[spelling[:-1]][range(len(spelling)), list(spelling)].sum()

        yes, no = (torch.stack([total(s) for s in side]).logsumexp(0) for side in sides)
        return float(yes - no)


def steering(warm: Path) -> list[dict[str, Any]]:
    """The feature as the example adds it, on the span; the same on all tokens; the direction on all."""
    feature = {"sae": {"path": str(HERE / "sae")}, "features": [FEATURE], "strengths": [ALONG_FEATURE]}
    direction = {
        "direction": {"path": str(warm), "key": f"resid_post.{LAYER}"},
        "hook_point": {"layer": LAYER},
        "strengths": [ALONG_WARM],
        "span": "all",
    }
    return [
        {"name": "span", "operations": [feature | {"span": "prompt_span"}]},
        {"name": "everywhere", "operations": [feature | {"span": "all"}]},
        {"name": "warm", "operations": [direction]},
    ]


def added(warm: Path) -> dict[str, tuple[str, torch.Tensor]]:
    """What the three do, from the numbers in the two files: by name, where and which row."""
    feature = load_file(HERE / "sae" / "sae_weights.safetensors")["W_dec"][FEATURE].float()
    return {
        "span": ("prompt_span", ALONG_FEATURE * feature),
        "everywhere": ("all", ALONG_FEATURE * feature),
        "warm": ("all", ALONG_WARM * load_file(warm)[f"resid_post.{LAYER}"]),
    }


def name_of(request: Request) -> str:
    return request.condition.split()[0]


@pytest.fixture(params=["generate", "logprob"])
def asked(request, smollm2, warm, tmp_path):
    """(mode, the prepared study, its requests, plain transformers)"""
    study = written(tmp_path, smollm2, request.param, steering(warm))
    prepared = prepare(study, create_run(study.out))
    requests = [r for batch in prepared.plan.batches() for r in requests_of(prepared.request_builder(batch))]
    assert Counter(map(name_of, requests)) == dict.fromkeys(("baseline", *added(warm)), PROMPTS)
    return request.param, prepared, requests, Plain(smollm2, added(warm))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_steered_answers_of_real_weights_are_those_of_transformers_and_of_vllm(asked):
    mode, prepared, requests, plain = asked
    by_hooks = answers(prepared, "hf")
    if mode == "generate":
        check_texts(requests, by_hooks, plain)
    else:
        check_odds(
            requests, by_hooks, [plain.log_odds(row, spelling_ids(prepared.builder)) for row in requests]
        )
    if importlib.util.find_spec("vllm") is None:
        return
    by_vllm = answers(prepared, "vllm")
    if mode == "generate":
        assert [row["answer_ids"] for row in by_vllm] == [row["answer_ids"] for row in by_hooks]
        assert [row["state"] for row in by_vllm] == [row["state"] for row in by_hooks]
    else:
        check_odds(requests, by_vllm, [row["log_odds"] for row in by_hooks])


def check_texts(requests: list[Request], rows: list[dict[str, Any]], plain: Plain) -> None:
    """The worker stops behind the answer, so its tokens are the first of those of transformers."""
    texts: dict[str, list[list[int]]] = {}
    for request, row in zip(requests, rows, strict=True):
        written, name = row["answer_ids"], name_of(request)
        assert written
        assert name == "baseline" or written == plain.text(request, len(written))  # test_smollm2.py: baseline
        texts.setdefault(name, []).append(written)
    for name in ("everywhere", "warm"):  # each of them changes most of what is written
        assert sum(a != b for a, b in zip(texts[name], texts["baseline"], strict=True)) > PROMPTS / 2


def check_odds(requests: list[Request], rows: list[dict[str, Any]], expected: list[float | None]) -> None:
    """Within rounding of each other, and further than that from the baseline where they are steered."""
    odds: dict[str, list[float]] = {}
    for request, row, other in zip(requests, rows, expected, strict=True):
        assert other is None or row["log_odds"] == pytest.approx(other, abs=CLOSE)
        odds.setdefault(name_of(request), []).append(row["log_odds"])
    for name in ("span", "everywhere", "warm"):
        moved = [abs(a - b) for a, b in zip(odds[name], odds["baseline"], strict=True)]
        assert statistics.median(moved) > 10 * CLOSE

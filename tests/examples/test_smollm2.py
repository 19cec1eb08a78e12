"""The example of a real model: its files belong together; and, where PyPI can be reached, the model itself,
answered alike by transformers, by the worker on transformers and by the worker on vLLM."""

from __future__ import annotations

import csv
import importlib.util
import json
from dataclasses import replace

import pytest
import torch

from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.prompting.prompts import PromptBuilder, PromptFields
from axiograph.engine.prompting.template import load_template
from axiograph.engine.study.contrasts import load_contrast
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.questionnaire import load_questionnaires
from axiograph.engine.study.schema import PromptSpec, SamplingSpec, ScoringSpec
from axiograph.engine.workers.models import ModelSource, load_tokenizer
from axiograph.engine.workers.spellings import spelling_ids
from axiograph.engine.workers.worker import WorkerConfig
from examples.smollm2.fetch import HERE
from examples.smollm2.make_roles import roles
from tests import asking

TOKENS = 16


def test_files_are_those_that_the_scripts_make():
    with (HERE / "roles.csv").open(newline="") as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == roles()
    items = load_questionnaires([HERE / "bigfive.csv"]).items
    assert len(items) == 50
    assert {sum(i.value == value for i in items) for value in {i.value for i in items}} == {10}
    assert len({item.question for item in items}) == 50


def test_the_study_and_its_contrast_are_valid():
    study = load_study(HERE / "study.yaml")
    steering, _ = study.steering
    contrast = load_contrast(HERE / "warm.yaml")
    assert steering.operations[0].direction.path.stem == contrast.name
    assert str(contrast.hook_points(30)[0]) == steering.operations[0].direction.key


def test_the_sae_is_small_and_says_where_it_is_from():
    weights = HERE / "sae" / "sae_weights.safetensors"
    assert weights.stat().st_size < 10_000_000
    metadata = json.loads((HERE / "sae" / "cfg.json").read_text())["metadata"]
    assert metadata["hook_name"] == "blocks.15.hook_resid_post"


@pytest.fixture(scope="module")
def prompts(smollm2):
    """(builder, prompts of four people and two items under the example's template and the default one)."""
    tokenizer = load_tokenizer(ModelSource("smollm2", smollm2, None, "float32", False))
    items = load_questionnaires([HERE / "bigfive.csv"]).items[::25]
    fields = [PromptFields(text, name, "", i.question, i.value) for name, text in roles()[:4] for i in items]
    builders = [
        PromptBuilder(load_template(spec), tokenizer)
        for spec in (PromptSpec(), PromptSpec(path=HERE / "prompt.j2"))
    ]
    return [
        (builder, builder.build(fields, cue="" if number else "\nAnswer:"))
        for number, builder in enumerate(builders)
    ]


def config(model, builder, prompts, mode):
    yes, no = spelling_ids(builder)
    source = ModelSource("smollm2", model, None, "float32", False)
    scoring = ScoringSpec(mode=mode, mass_threshold=0.0)
    return WorkerConfig(
        source, "cpu", SamplingSpec(max_tokens=TOKENS), scoring, yes, no, prompts[0], frozenset()
    )


def requests(prompts):
    rows = [asking.request(number, prompt) for number, prompt in enumerate(prompts)]
    return asking.table([replace(row, cued_ids=list(p.cued)) for row, p in zip(rows, prompts, strict=True)])


@pytest.mark.slow
def test_answers_and_odds_of_real_weights_are_those_of_transformers_and_of_vllm(
    smollm2, prompts, torch_threads
):
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    for builder, asked in prompts:
        table = requests(asked)
        written = HfWorker(config(smollm2, builder, asked, "generate"))(table).to_pylist()
        odds = HfWorker(config(smollm2, builder, asked, "logprob"))(table).to_pylist()
        for prompt, row, scored in zip(asked, written, odds, strict=True):
            ids = torch.tensor([prompt.ids])
            with torch.inference_mode():
                greedy = plain.generate(ids, max_new_tokens=TOKENS, do_sample=False)[
                    0, ids.shape[1] :
                ].tolist()
            assert row["answer_ids"] == greedy[: len(row["answer_ids"])]
            assert scored["log_odds"] == pytest.approx(_odds(plain, builder, prompt.cued), abs=2e-4)
        if importlib.util.find_spec("vllm") is not None:
            _same_by_vllm(smollm2, builder, asked, table, written, odds)


def _odds(plain, builder, ids) -> float:
    """By a pass over the prompt with every spelling behind it."""

    def logp(spelling) -> torch.Tensor:
        with torch.inference_mode():
            logits = plain(torch.tensor([[*ids, *spelling[:-1]]])).logits[0, len(ids) - 1 :].double()
        return logits.log_softmax(-1)[range(len(spelling)), list(spelling)].sum()

    yes, no = (torch.stack([logp(s) for s in side]).logsumexp(0) for side in spelling_ids(builder))
    return float(yes - no)


def _same_by_vllm(model, builder, asked, table, written, odds) -> None:
    from axiograph.engine.vllm.worker import VllmWorker

    for mode, expected in (("generate", written), ("logprob", odds)):
        worker = VllmWorker(config(model, builder, asked, mode), {"max_model_len": 512})
        found = worker(table).to_pylist()
        worker.close()
        assert [row["answer_ids"] for row in found] == [row["answer_ids"] for row in expected]
        assert [row["state"] for row in found] == [row["state"] for row in expected]
        for a, b in zip(found, expected, strict=True):
            if mode == "logprob":
                assert a["log_odds"] == pytest.approx(b["log_odds"], abs=2e-4)


@pytest.mark.slow
def test_the_models_log_odds_follow_the_role(smollm2, prompts):
    """A nurse who is orderly is more likely to like order than one who is messy, by the template of the
    example: there is something to be learned from this model."""
    builder, _ = prompts[1]
    sides = ("is orderly and always on time", "is messy and forgets what was promised")
    items = [
        item
        for item in load_questionnaires([HERE / "bigfive.csv"]).items
        if item.value == "Conscientiousness"
    ]
    means = []
    for trait in sides:
        fields = [
            PromptFields(f"Sam is a nurse who {trait}.", "sam", "", item.question, item.value)
            for item in items
        ]
        asked = builder.build(fields, cue="")
        rows = HfWorker(config(smollm2, builder, asked, "logprob"))(requests(asked)).to_pylist()
        assert sum(row["mass"] for row in rows) / len(rows) > 0.85
        means.append(
            sum(i.agreement * row["log_odds"] for i, row in zip(items, rows, strict=True)) / len(items)
        )
    assert means[0] > means[1] + 0.2

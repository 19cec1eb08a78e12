"""The respondent as a model that thinks: its thought begins with "Thought:" and ends in "Answer:"."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from axiograph import engine
from axiograph.engine.answers.thinking import Thinking
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.workers.models import load_tokenizer
from axiograph.engine.workers.spellings import spelling_ids
from tests import asking

RESPONDENT = Path(engine.__file__).parent / "assets" / "respondent" / "model"
THINKING = Thinking("Thought:", "Answer:", opened=True)


def respondent(mode, thinks, count=12, room=40):
    """(configuration, requests): with the setting, or as the study is asked without it."""
    tokenizer = load_tokenizer(asking.source(RESPONDENT))
    prompts = asking.prompts(tokenizer, count)
    yes, no = spelling_ids(asking.builder(tokenizer))
    cue = tuple(asking.builder(tokenizer).continuation("\nAnswer:"))
    config = asking.config(
        RESPONDENT,
        prompts[0],
        sampling=SamplingSpec(max_tokens=40),
        scoring=ScoringSpec(mode=mode),
        yes_ids=yes,
        no_ids=no,
        cue_ids=cue,
    )
    if thinks:
        sampling = SamplingSpec(max_tokens=12, max_thought_tokens=room)
        # Its answer marker is the end of the thought: no cue behind it.
        config = dataclasses.replace(config, sampling=sampling, thinking=THINKING, cue_ids=())
    return config, [asking.request(n, prompt, cue=cue) for n, prompt in enumerate(prompts)]


def answers(mode, thinks):
    config, requests = respondent(mode, thinks)
    return HfWorker(config)(asking.table(requests)).to_pylist()


def test_the_same_answers_as_by_its_marker():
    plain, thinking = answers("generate", False), answers("generate", True)
    assert [row["state"] for row in thinking] == [row["state"] for row in plain]
    assert len({row["state"] for row in plain}) > 1


@pytest.mark.parametrize("mode", ["constrained", "logprob"])
def test_the_same_odds_as_behind_its_marker(mode):
    """Constrained mode reads there without the setting; with it both modes do."""
    plain, thinking = answers("constrained", False), answers(mode, True)
    assert not any(row["fallback"] for row in [*plain, *thinking])
    for one, other in zip(plain, thinking, strict=True):
        assert other["log_odds"] == pytest.approx(one["log_odds"], abs=1e-3)
        assert other["text"] == one["text"][: len(other["text"])] and other["text"].endswith("Answer:")

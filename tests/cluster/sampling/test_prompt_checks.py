"""Prompts that would make artefacts of all results are refused before the first answer."""

from __future__ import annotations

import pytest
import yaml

from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.sampling.prompt_checks import prompt_notes
from axiograph.engine.errors import InputError
from axiograph.engine.prompting.prompts import PromptBuilder
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.loading import load_study
from tests import studies
from tests.engine.tokenisers import make_tokenizer, tokenizer

MESSAGES = [
    {"role": "system", "content": "You are this person: {{ role }}"},
    {"role": "user", "content": "{{ hint }} In keeping with{{ ' your values' | span }}: {{ question }}"},
]
DROPS_SYSTEM = "{% for m in messages %}{% if m.role == 'user' %}U: {{ m.content }}\n{% endif %}{% endfor %}A:"


def prepared(folder, assets, template, suffix="j2", **changes):
    file = folder / f"prompt.{suffix}"
    file.write_text(template if isinstance(template, str) else yaml.safe_dump(template))
    prompt = {"path": str(file), "chat": suffix == "yaml"} | changes.pop("prompt", {})
    return prepare(
        load_study(studies.write(folder, assets, prompt=prompt, **changes)), RunDir(folder / "run")
    )


def test_a_chat_template_that_drops_the_system_message_gives_all_roles_one_prompt(
    study_assets, tmp_path, monkeypatch
):
    """shared/cases/31: exit 0, and an edge of 1.00 made of rounding."""
    chat = make_tokenizer("chat")
    chat.chat_template = DROPS_SYSTEM
    monkeypatch.setattr("axiograph.cluster.sampling.model_side.load_tokenizer", lambda source: chat)
    with pytest.raises(
        InputError, match=r"another prompt for another role.*the same for roles.*user's message"
    ):
        prepared(tmp_path, study_assets, MESSAGES, "yaml")


@pytest.mark.parametrize(
    ("template", "variable"),
    [
        ("In keeping with{{ ' your values' | span }} {{ hint }} {{ question }}{{ role[:0] }}", "role"),
        ("{{ role }}, in keeping with{{ ' your values' | span }} {{ question }}{{ hint[:0] }}", "hint"),
        ("{{ role }}{{ hint }}{{ ' your values' | span }} {{ question[:0] }}", "question"),
    ],
)
def test_a_template_that_leaves_something_out_is_refused(study_assets, tmp_path, template, variable):
    hints = [{"value": "Order", "inclination": "inclined"}]
    with pytest.raises(InputError, match=f"another prompt for another {variable}"):
        prepared(tmp_path, study_assets, template, hints=hints)


def test_the_cue_follows_a_prompt_that_has_none(study_assets, tmp_path):
    template = "{{ role }}{{ hint }} in keeping with{{ ' your values' | span }} {{ question }}\nAnswer:"
    scored = {"scoring": {"mode": "logprob"}}
    with pytest.raises(InputError, match=r"one answer marker.*two: the prompt ends in"):
        prepared(tmp_path, study_assets, template, **scored)
    made = prepared(tmp_path, study_assets, template, prompt={"answer_cue": ""}, **scored)
    assert made.worker_config().lead == "answer"
    with pytest.raises(InputError, match="without white space at its end"):
        prepared(tmp_path, study_assets, template[:-8], prompt={"answer_cue": "\nAnswer: "}, **scored)
    assert prepared(tmp_path, study_assets, template[:-8], **scored).worker_config().lead == "open"


def test_one_bos_token(study_assets, tmp_path, monkeypatch):
    chat = make_tokenizer("chat")
    chat.chat_template = "{{ bos_token }}{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    monkeypatch.setattr("axiograph.cluster.sampling.model_side.load_tokenizer", lambda source: chat)
    with pytest.raises(InputError, match="begin with one BOS token, found two"):
        prepared(tmp_path, study_assets, MESSAGES, "yaml")


def test_a_thought_that_is_left_open_is_noted(study_assets, tmp_path):
    made = prepared(
        tmp_path, study_assets, "{{ role }}{{ hint }}{{ ' your values' | span }}{{ question }}\n<think>\n"
    )
    (note,) = prompt_notes(made.inputs, made.builder)
    assert note.startswith("prompts end in <think>:")
    plain = PromptBuilder(made.inputs.template, tokenizer("bpe"))
    assert prompt_notes(made.inputs, plain) == [note]

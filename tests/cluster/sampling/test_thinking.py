"""Chat templates of the kinds of Qwen3, DeepSeek-R1 and gpt-oss: what is a thought, and what is refused."""

from __future__ import annotations

import pytest
import yaml

from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.sampling.prompt_checks import prompt_notes
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.loading import load_study
from axiograph.engine.workers.generation import StopCheck
from tests import studies
from tests.engine.tokenisers import make_tokenizer

QWEN = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)
GPT_OSS = (
    "<|start|>system<|message|>Reasoning: {{ reasoning_effort | default('medium') }}<|end|>"
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
CHANNELS = ["<|channel|>analysis", "<|channel|>final<|message|>"]
CONTROL = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>"]
THINKS = {"template": "default", "chat": True, "thinking": True}


@pytest.fixture
def prepared(monkeypatch, study_assets, tmp_path):
    """prepared(chat template, **prompt): a study of a model with this chat template."""

    def make(chat_template, sampling=None, **prompt):
        tokenizer = make_tokenizer("chat")
        tokenizer.chat_template = chat_template
        if chat_template == GPT_OSS:
            tokenizer.add_special_tokens({"additional_special_tokens": CONTROL})
        monkeypatch.setattr("axiograph.cluster.sampling.model_side.load_tokenizer", lambda source: tokenizer)
        room = {"max_tokens": 6, "max_thought_tokens": 30} if prompt.get("thinking") else {"max_tokens": 6}
        changes = {"prompt": prompt, "sampling": room | (sampling or {}), "steering": []}
        study = load_study(studies.write(tmp_path, study_assets, **changes))
        return prepare(study, RunDir(tmp_path / "run"), measure=False)

    return make


def ids(made):
    return {row.as_py() for batch in made.plan.batches() for row in batch["request_id"]}


def test_qwen3_thinks_unless_it_is_told_not_to(prepared):
    loud = prepared(QWEN, chat_arguments={"enable_thinking": True}, **THINKS)
    assert loud.canary().text.endswith("<|im_start|>assistant\n") and not loud.thinking.opened
    assert loud.lead == "open" and loud.worker_config().thought_rules.thought_only
    with pytest.raises(InputError, match=r"ends the thought before it begins.*enable_thinking: true"):
        prepared(QWEN, chat_arguments={"enable_thinking": False}, **THINKS)
    silent = prepared(QWEN, template="default", chat=True, chat_arguments={"enable_thinking": False})
    assert silent.canary().text.endswith("<think>\n\n</think>\n\n") and silent.thinking is None
    assert silent.worker_config().thought_rules is None
    plain = prepared(QWEN, template="default", chat=True)
    assert len(ids(loud) | ids(silent) | ids(plain)) == 3 * len(ids(plain))


def test_deepseek_r1_is_inside_its_thought_from_the_beginning(prepared):
    made = prepared(R1, **THINKS)
    assert made.thinking.opened and not prompt_notes(made.inputs, made.builder)
    noted = prepared(R1, template="default", chat=True)
    (note,) = prompt_notes(noted.inputs, noted.builder)
    assert "prompts end in <think>" in note and "thinking: on" in note


def test_gpt_oss_thinks_in_a_channel_of_control_tokens(prepared):
    made = prepared(GPT_OSS, tags=CHANNELS, chat_arguments={"reasoning_effort": "low"}, **THINKS)
    assert "Reasoning: low" in made.canary().text and not made.thinking.opened
    stop = StopCheck(made.tokens.tokenizer, "open", made.worker_config().thought_rules)
    text = f"{CHANNELS[0]}<|message|>Hm.<|end|><|start|>assistant{CHANNELS[1]}"
    assert stop.text(made.tokens.continuation(text)) == text
    without = StopCheck(made.tokens.tokenizer, "open")
    assert without.text(made.tokens.continuation(text)) == "analysisHm.assistantfinal"


def test_what_takes_the_place_of_the_thought_is_refused(prepared, tmp_path):
    with pytest.raises(InputError, match=r"writes the beginning of its answer: .*Thought:.*one user message"):
        prepared(QWEN, template="chat", chat=True, thinking=True)
    with pytest.raises(InputError, match=r"a plain text that ends in .*Thought:"):
        prepared(QWEN, template="default", thinking=True)
    file = tmp_path / "own.yaml"
    messages = [
        {"role": "user", "content": "{{ role }} {{ hint }}, keep{{ ' your values' | span }}: {{ question }}"},
        {"role": "assistant", "content": "<think>\nI am {{ role_name }}."},
    ]
    file.write_text(yaml.safe_dump(messages))
    with pytest.raises(InputError, match="writes the beginning of its answer"):
        prepared(QWEN, path=str(file), chat=True, thinking=True)
    messages[1]["content"] = "<think>"
    file.write_text(yaml.safe_dump(messages))
    assert prepared(QWEN, path=str(file), chat=True, thinking=True).thinking.opened


def test_a_thought_without_room_is_said_before_the_first_answer(prepared):
    with pytest.raises(InputError, match="of the prompt and up to 50"):
        prepared(QWEN, sampling={"max_thought_tokens": 50_000}, **THINKS)

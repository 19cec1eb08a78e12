"""Prompts for a server: messages without tokens."""

from __future__ import annotations

import pytest

from axiograph.engine.answers.parsing import lead_of
from axiograph.engine.errors import InputError
from axiograph.engine.prompting.messages import MessageBuilder
from axiograph.engine.prompting.prompts import PromptBuilder, PromptFields
from axiograph.engine.prompting.template import load_template
from axiograph.engine.study.schema import PromptSpec
from tests import tiny

FIELDS = PromptFields("a calm baker", "baker", "The person is inclined to joy.", "Is it good?", "Joy")


def test_a_text_is_the_one_that_a_tokenizer_would_get():
    template = load_template(PromptSpec())
    served, local = MessageBuilder(template), PromptBuilder(template, tiny.tokenizer("bpe"))
    (prompt,), (with_ids,) = served.build([FIELDS]), local.build([FIELDS])
    assert prompt.messages == (("user", with_ids.text),) and prompt.text == with_ids.text
    assert prompt.span_text == with_ids.span_text == "your values"
    assert prompt.ids == prompt.span == prompt.cued == ()
    assert served.digest != local.digest
    assert lead_of(prompt.text) == "thought"


def test_messages_are_those_of_the_template_without_marks():
    builder = MessageBuilder(load_template(PromptSpec(template="chat", chat=True)), continues=True)
    (prompt,) = builder.build([FIELDS])
    (system, instructions), (user, question), last = prompt.messages
    assert (system, user, last) == ("system", "user", ("assistant", "Thought:"))
    assert "in keeping with your values. Give" in instructions
    assert question.endswith("Question: Is it good?") and "a calm baker" in question
    assert lead_of(prompt.text) == "thought"


def test_behind_a_user_s_message_anything_may_come():
    builder = MessageBuilder(load_template(PromptSpec(chat=True)))
    (prompt,) = builder.build([FIELDS])
    assert prompt.messages[0][1].endswith("Thought:") and lead_of(prompt.text) == "open"


def test_a_beginning_of_the_answer_is_refused_where_nobody_goes_on_with_it():
    with pytest.raises(InputError, match=r"template chat: .*continue_final_message"):
        MessageBuilder(load_template(PromptSpec(template="chat", chat=True)))


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "x</s>", "a <start_of_turn>", "[/INST] no", "<｜end▁of▁sentence｜>", "<|eot_id|>"]
)
def test_control_tokens_of_common_models_are_refused(text):
    builder = MessageBuilder(load_template(PromptSpec()))
    with pytest.raises(InputError, match="role 'x'"):
        builder.check_plain([("role 'y'", "2 < 3 | 4 > 1, <b>bold</b> [x]"), ("role 'x'", text)])
    builder.check_plain([("role 'y'", "2 < 3 | 4 > 1, <b>bold</b> [x] <s")])

"""Prompts as a server gets them: messages, or a text; the tokenizer is the server's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest
from axiograph.engine.prompting.prompts import (
    Prompt,
    PromptFields,
    TextBuilder,
    refuse_control,
    span_words,
    unmarked,
)
from axiograph.engine.prompting.template import Template

# Control tokens as the common families of models spell them: a server reads them in the middle of a text.
_CONTROL = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>|\[/?INST\]"
    r"|<｜[^｜<>]{1,40}｜>|<<?/?SYS>>?"
)


class MessageBuilder(TextBuilder):
    """Renders prompts with one template. `continues`: whether the server goes on with a last message of the
    assistant, which OpenAI's protocol does not know; InputError for a template with one where it does not."""

    def __init__(self, template: Template, continues: bool = False) -> None:
        super().__init__(template)
        self.prefilled = template.prefilled
        if self.prefilled and not continues:
            raise InputError(
                f"prompt template {template.name}",
                "messages whose last is not the assistant's: OpenAI's protocol has no way to go on with it",
                "a beginning of the answer as last message",
                "Take 'prompt: {template: default, chat: true}' (one user message) or messages that end with "
                "the user's; servers like vLLM's go on with 'model.arguments: {continue_final_message: true, "
                "add_generation_prompt: false}'.",
            )

    @property
    def digest(self) -> bytes:
        """Over the template; the tokenizer is a part of what the server says to be."""
        return digest(b"messages", self.template.digest)

    def texts(self, fields: PromptFields) -> tuple[str, list[tuple[int, int]]]:
        """The prompt as text, of a chat with the turns named, and the character ranges of the span in it."""
        contents = self.contents(fields)
        if not self.template.chat:
            return unmarked(contents[0][1])
        turns = [f"[{role}]\n{content}" for role, content in contents]
        return unmarked("\n\n".join(turns if self.prefilled else [*turns, "[assistant]\n"]))

    def build(self, rows: Sequence[PromptFields], cue: str | None = None) -> list[Prompt]:
        """Prompts of `rows` with their messages, and without ids; there is no scoring, so no cue."""
        prompts = []
        for fields in rows:
            messages = tuple((role, unmarked(content)[0]) for role, content in self.contents(fields))
            text, ranges = self.texts(fields)
            prompts.append(Prompt(text, (), (), span_words(text, ranges), messages=messages))
        return prompts

    def check_plain(self, texts: Iterable[tuple[str, str]]) -> None:
        """InputError for the first of (where, text) with what most tokenizers read as a control token."""
        refuse_control(texts, _CONTROL, "many tokenizers")

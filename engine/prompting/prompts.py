"""Prompts: from role, hint and question to token ids and the positions of the span (DESIGN 8).

This is the only place where text becomes tokens: every backend receives ids.
"""

from __future__ import annotations

import datetime
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jinja2

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest, digest_text
from axiograph.engine.prompting.template import SPAN_CLOSE, SPAN_OPEN, Template

# Chat templates that tell the model today's date would make other prompts tomorrow.
CHAT_DATE = datetime.date(2025, 1, 1)


@dataclass(frozen=True)
class PromptFields:
    """What one request puts into the template. `options`: those of the item's scale as lines, `asked_for`:
    what the answer should be (engine.prompting.options); both empty without a scale."""

    role: str
    role_name: str
    hint: str
    question: str
    value: str
    instruction: str = ""
    is_statement: bool = False
    options: str = ""
    asked_for: str = ""


@dataclass(frozen=True)
class Prompt:
    """`ids` as the model receives them; `span` are the indices into `ids` of the steered tokens, and
    `span_text` their words; `cued` are the ids of the prompt with the answer cue, where one was asked for.
    `messages` (role, content): what a server is sent, which has the tokenizer; then there are no ids."""

    text: str
    ids: tuple[int, ...]
    span: tuple[int, ...]
    span_text: str = ""
    cued: tuple[int, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()


class TextBuilder(ABC):
    """Renders prompts with one template."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._parts = template.parts()

    @property
    @abstractmethod
    def digest(self) -> bytes:
        """Over all that turns fields into what the model reads."""

    @abstractmethod
    def texts(self, fields: PromptFields) -> tuple[str, list[tuple[int, int]]]:
        """The prompt as text and the character ranges of the span in it."""

    @abstractmethod
    def build(self, rows: Sequence[PromptFields], cue: str | None = None) -> list[Prompt]:
        """Prompts of `rows`, in order; with a `cue`, also with that text behind them."""

    @abstractmethod
    def check_plain(self, texts: Iterable[tuple[str, str]]) -> None:
        """InputError for the first of (where, text) with what is no text for the model."""

    def contents(self, fields: PromptFields) -> list[tuple[str, str]]:
        """(role, content) of every message, with the marks of the span."""
        values = {name: getattr(fields, name) for name in self.template.variables}
        return [(role, self._rendered(part, values)) for role, part in self._parts]

    def _rendered(self, part: jinja2.Template, values: dict[str, Any]) -> str:
        try:
            return part.render(values)
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError) as error:
            where = f"prompt template {self.template.name}"
            raise InputError(where, "a template that renders", str(error), "Mend the template.") from error


class PromptBuilder(TextBuilder):
    """Renders and tokenises prompts with one template and one tokenizer (a fast one: it gives offsets)."""

    def __init__(self, template: Template, tokenizer: Any) -> None:
        super().__init__(template)
        self.tokenizer = tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                "tokenizer",
                "a fast tokenizer (tokenizer.json), which gives character offsets",
                type(tokenizer).__name__,
                "Convert it with transformers' convert_slow_tokenizer, or use a model that has one.",
            )
        if template.chat and not tokenizer.chat_template:
            raise InputError(
                "study, field prompt.chat", "a tokenizer with a chat template", "none", "Set 'chat: false'."
            )
        self._prefix = _prefix(tokenizer)
        control = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._control = sorted(control | set(tokenizer.all_special_tokens))

    @property
    def digest(self) -> bytes:
        """Over the template, the tokenizer and its chat template, which turn fields into ids, and the token
        that ends an answer."""
        backend = self.tokenizer.backend_tokenizer
        # Padding and truncation are state of the last call, not of the tokenizer.
        backend.no_padding()
        backend.no_truncation()
        # Chat templates write the special tokens by their names (bos_token, …).
        named = repr(sorted(self.tokenizer.special_tokens_map.items()))
        chat = [str(self.tokenizer.chat_template), named] if self.template.chat else []
        texts = digest_text(backend.to_str(), str(self.tokenizer.eos_token), *chat)
        return digest(self.template.digest, texts)

    def texts(self, fields: PromptFields) -> tuple[str, list[tuple[int, int]]]:
        """The prompt as text and the character ranges of the span in it."""
        contents = self.contents(fields)
        return unmarked(self._chat(contents) if self.template.chat else contents[0][1])

    def _chat(self, contents: list[tuple[str, str]]) -> str:
        messages = [{"role": role, "content": content} for role, content in contents]
        prefilled = messages[-1]["role"] == "assistant"
        try:
            text = self.tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=not prefilled,
                continue_final_message=prefilled,
                strftime_now=CHAT_DATE.strftime,
                **self.template.chat_arguments,
            )
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            roles = ", ".join(role for role, _ in contents)
            raise InputError(
                f"prompt template {self.template.name}",
                f"messages ({roles}) that the tokenizer's chat template takes",
                f"'{error}'",
                "Write other messages (some models know no system role), or a plain text: one user message.",
            ) from error
        return str(text)

    def build(self, rows: Sequence[PromptFields], cue: str | None = None) -> list[Prompt]:
        """Prompts of `rows`, tokenised together; InputError when a span does not decode to its text.

        With a `cue` each prompt is also tokenised with that text behind it, as one text: where the two
        meet, the tokenizer may join characters of both.
        """
        rendered = [self.texts(fields) for fields in rows]
        if not rendered:
            return []
        ids, offsets = self._encode([text for text, _ in rendered])
        prompts = [self._prompt(*both, ids[i], offsets[i]) for i, both in enumerate(rendered)]
        if cue is None:
            return prompts
        cued, _ = self._encode([text + cue for text, _ in rendered])
        return [self._with_cue(prompt, longer) for prompt, longer in zip(prompts, cued, strict=True)]

    def _encode(self, texts: list[str]) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
        """Ids and character offsets, without special tokens of the tokenizer's own."""
        encoded = self.tokenizer(
            texts,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return encoded["input_ids"], encoded["offset_mapping"]

    def _prefixed(self, ids: list[int]) -> tuple[int, ...]:
        """With the special tokens that the tokenizer's convention puts first.

        A text (chat templates mostly) that already begins with them gets no second ones, and a chat
        template that leaves them out has its reasons.
        """
        if self.template.chat or tuple(ids[: len(self._prefix)]) == self._prefix:
            return tuple(ids)
        return (*self._prefix, *ids)

    def _with_cue(self, prompt: Prompt, ids: list[int]) -> Prompt:
        cued = self._prefixed(ids)
        last = max(prompt.span, default=-1) + 1
        if cued[:last] != prompt.ids[:last]:
            raise InputError(
                f"prompt template {self.template.name}",
                "the same tokens up to the span with and without the answer cue",
                "others",
                "Move the span away from the end of the prompt.",
            )
        return replace(prompt, cued=cued)

    def _prompt(
        self, text: str, ranges: list[tuple[int, int]], ids: list[int], offsets: list[tuple[int, int]]
    ) -> Prompt:
        if self.template.marks_span and not ranges:
            raise InputError(
                f"prompt template {self.template.name}",
                "the span in every prompt",
                f"none in '{text[-200:]}'",
                "Mark it outside of conditional parts, and check that the chat template keeps it.",
            )
        full = self._prefixed(ids)
        shift = len(full) - len(ids)
        span: list[int] = []
        for start, end in ranges:
            inside = [i for i, (a, b) in enumerate(offsets) if a < end and b > start and a < b]
            self._check_span(text[start:end], [ids[i] for i in inside])
            span.extend(i + shift for i in inside)
        words = span_words(text, ranges)
        return Prompt(text, full, tuple(sorted(set(span))), words)

    def _check_span(self, wanted: str, ids: list[int]) -> None:
        decoded = self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if not ids or decoded.strip() != wanted.strip():
            raise InputError(
                f"prompt template {self.template.name}, span '{wanted.strip()}'",
                "tokens that decode to exactly the span",
                f"'{decoded}'",
                "Let the span begin and end between words (a leading space belongs into it).",
            )

    def check_plain(self, texts: Iterable[tuple[str, str]]) -> None:
        """InputError for the first of (where, text) that the tokenizer would read a control token in.

        In the middle of a role or a question, "</s>" would end the text for the model, not stand there.
        """
        pattern = re.compile("|".join(map(re.escape, self._control)) or "(?!)")
        refuse_control(texts, pattern, "the model's tokenizer")

    def continuation(self, text: str) -> list[int]:
        """Ids of `text` as it follows a prompt (no special tokens, no space put in front).

        Tokenisers that put a space before the first word are asked for the text behind a line break,
        whose tokens are then taken off again.
        """
        anchor = self.tokenizer("\n", add_special_tokens=False)["input_ids"]
        joined = self.tokenizer("\n" + text, add_special_tokens=False)["input_ids"]
        if joined[: len(anchor)] == anchor:
            return list(joined[len(anchor) :])
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def span_words(text: str, ranges: Sequence[tuple[int, int]]) -> str:
    """The words in these character ranges of `text`."""
    return " ".join(" ".join(text[start:end] for start, end in ranges).split())


def refuse_control(texts: Iterable[tuple[str, str]], pattern: re.Pattern[str], whose: str) -> None:
    """InputError for the first of (where, text) in which `pattern` finds a control token of `whose`."""
    for where, text in texts:
        if control := pattern.search(text):
            raise InputError(
                where,
                "plain text",
                f"'{control.group()}', a control token of {whose}",
                "Remove it or spell it otherwise.",
            )


def unmarked(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """`marked` without the marks, and the character ranges that they enclosed."""
    text: list[str] = []
    ranges: list[tuple[int, int]] = []
    position = start = 0
    for piece in re.split(f"([{SPAN_OPEN}{SPAN_CLOSE}])", marked):
        if piece == SPAN_OPEN:
            start = position
        elif piece == SPAN_CLOSE:
            ranges.append((start, position))
        else:
            text.append(piece)
            position += len(piece)
    return "".join(text), ranges


def _prefix(tokenizer: Any) -> tuple[int, ...]:
    """The special tokens that the tokenizer itself puts before a text (those behind it would end it)."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(len(full) - len(plain) + 1):
        if full[start : start + len(plain)] == plain:
            return tuple(full[:start])
    raise InputError(
        "tokenizer", "special tokens before and after the text only", str(full), "Use another tokenizer."
    )

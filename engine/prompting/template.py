"""Prompt templates: Jinja2 text or a list of messages, with the span marked by the filter `span`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

import jinja2
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox
import yaml

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest_json
from axiograph.engine.study.schema import PromptSpec

# Private-use characters stand for the edges of the span until offsets are known; they are refused in
# every text that comes from a file, so that nobody else can mark a span.
SPAN_OPEN, SPAN_CLOSE = "\ue000", "\ue001"
VARIABLES = frozenset(
    {
        *("role", "role_name", "hint", "question", "value"),
        *("instruction", "is_statement", "options", "asked_for"),
    }
)
# The built-in templates that show answer scales, in the place of those that do not.
_OF_SCALES: dict[str, Literal["scale", "scale_chat"]] = {"default": "scale", "chat": "scale_chat"}


@dataclass(frozen=True)
class Template:
    """A compiled template: one part per message (a plain text has one part, of role "user").

    `chat_arguments`: what the tokenizer's chat template is given besides."""

    name: str
    chat: bool
    answer_cue: str
    sources: tuple[tuple[str, str], ...]
    variables: frozenset[str]
    marks_span: bool
    chat_arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def prefilled(self) -> bool:
        """Whether the last message is the beginning of the answer."""
        return self.chat and self.sources[-1][0] == "assistant"

    @property
    def digest(self) -> bytes:
        """Over what makes the prompt; the answer cue, which follows it, counts in logprob mode only."""
        arguments = [self.chat_arguments] if self.chat_arguments else []
        return digest_json([self.chat, self.sources, *arguments])

    def parts(self) -> list[tuple[str, jinja2.Template]]:
        """(role of the message, compiled template) of every message."""
        environment = _environment()
        return [(role, environment.from_string(source)) for role, source in self.sources]


def load_scale_template(spec: PromptSpec) -> Template:
    """The same where items have answer scales: a built-in template is exchanged for the one that shows them;
    InputError for one that cannot."""
    if spec.path is None and spec.template in _OF_SCALES:
        spec = spec.model_copy(update={"template": _OF_SCALES[spec.template]})
    template = load_template(spec)
    if "options" not in template.variables:
        raise InputError(
            f"prompt template {template.name}",
            "the variable 'options', since items have answer scales",
            "none",
            "Put {{ options }} where the options go, and {{ asked_for }} where it says what to answer.",
        )
    return template


def _environment() -> jinja2.sandbox.SandboxedEnvironment:
    environment = jinja2.sandbox.SandboxedEnvironment(undefined=jinja2.StrictUndefined)
    environment.filters["span"] = lambda text: f"{SPAN_OPEN}{text}{SPAN_CLOSE}"
    return environment


def load_template(spec: PromptSpec) -> Template:
    """The template that `spec` names; InputError for a missing file, bad Jinja2 or unknown variables."""
    where = f"prompt template {spec.path or spec.template}"
    name, text = _read(spec, where)
    if name.endswith((".yaml", ".yml")):
        sources = _messages(text, where)
        if not spec.chat:
            raise InputError(
                where, "'chat: true' beside a list of messages", "chat: false", "Set 'chat: true'."
            )
    else:
        sources = (("user", text),)
    variables = _variables(sources, where)
    return Template(
        name=spec.template if spec.path is None else str(spec.path),
        chat=spec.chat,
        answer_cue=spec.answer_cue,
        sources=sources,
        variables=variables,
        marks_span=any(_marks_span(source) for _, source in sources),
        chat_arguments=spec.chat_arguments,
    )


def _read(spec: PromptSpec, where: str) -> tuple[str, str]:
    try:
        if spec.path is not None:
            return spec.path.name, spec.path.read_text(encoding="utf-8-sig")
        name = f"{spec.template}.{'yaml' if spec.template in ('chat', 'scale_chat') else 'j2'}"
        return name, (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(where, "a readable UTF-8 file", str(error), "Check the path.") from error


def _messages(text: str, where: str) -> tuple[tuple[str, str], ...]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(where, "valid YAML", " ".join(str(error).split()), "Mend it.") from error
    rows = data if isinstance(data, list) else []
    if not rows or not all(_is_message(row) for row in rows):
        raise InputError(
            where,
            "a list of {role, content} messages",
            "something else",
            "See engine/prompting/templates/chat.yaml.",
        )
    return tuple((row["role"], row["content"]) for row in rows)


def _is_message(row: Any) -> bool:
    whole = isinstance(row, dict) and set(row) == {"role", "content"}
    return whole and all(isinstance(text, str) for text in row.values())


def _variables(sources: Sequence[tuple[str, str]], where: str) -> frozenset[str]:
    environment, names = _environment(), set[str]()
    for _, source in sources:
        try:
            names |= jinja2.meta.find_undeclared_variables(environment.parse(source))
            # Unknown filters show when it is compiled.
            environment.from_string(source)
        except jinja2.TemplateError as error:
            raise InputError(where, "valid Jinja2", str(error), "Mend the template.") from error
    if unknown := names - VARIABLES:
        raise InputError(
            where,
            f"only the variables {', '.join(sorted(VARIABLES))}",
            ", ".join(sorted(unknown)),
            "Remove or rename them.",
        )
    if "question" not in names:
        raise InputError(where, "the variable 'question'", "none", "Put {{ question }} where the item goes.")
    return frozenset(names)


def _marks_span(source: str) -> bool:
    filters = _environment().parse(source).find_all(jinja2.nodes.Filter)
    return any(node.name == "span" for node in filters)

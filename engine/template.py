"""Prompt templates: Jinja2 text or a list of messages, with the span marked by the filter `span`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import jinja2.meta
import jinja2.sandbox
import yaml

from engine.errors import InputError
from engine.identity import digest_json
from engine.study import PromptSpec

# Private-use characters stand for the edges of the span until offsets are known; they are refused in
# every text that comes from a file, so that nobody else can mark a span.
SPAN_OPEN, SPAN_CLOSE = "\ue000", "\ue001"

VARIABLES = frozenset({"role", "role_name", "hint", "question", "value"})


@dataclass(frozen=True)
class Template:
    """A compiled template: one part per message (a plain text has one part, of role "user")."""

    name: str
    chat: bool
    answer_cue: str
    sources: tuple[tuple[str, str], ...]
    variables: frozenset[str]
    marks_span: bool

    @property
    def digest(self) -> bytes:
        return digest_json([self.chat, self.answer_cue, self.sources])

    def parts(self) -> list[tuple[str, jinja2.Template]]:
        environment = _environment()
        return [(role, environment.from_string(source)) for role, source in self.sources]


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
        marks_span=any("| span" in source or "|span" in source for _, source in sources),
    )


def _read(spec: PromptSpec, where: str) -> tuple[str, str]:
    try:
        if spec.path is not None:
            return spec.path.name, spec.path.read_text(encoding="utf-8")
        name = "chat.yaml" if spec.template == "chat" else f"{spec.template}.j2"
        return name, (resources.files("engine") / "templates" / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(where, "a readable UTF-8 file", str(error), "Check the path.") from error


def _messages(text: str, where: str) -> tuple[tuple[str, str], ...]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(where, "valid YAML", " ".join(str(error).split()), "Mend it.") from error
    rows = data if isinstance(data, list) else []
    if not rows or not all(isinstance(row, dict) and set(row) == {"role", "content"} for row in rows):
        raise InputError(
            where, "a list of {role, content} messages", "something else", "See engine/templates/chat.yaml."
        )
    return tuple((str(row["role"]), str(row["content"])) for row in rows)


def _variables(sources: Sequence[tuple[str, str]], where: str) -> frozenset[str]:
    environment, found = _environment(), set[str]()
    for _, source in sources:
        try:
            found |= jinja2.meta.find_undeclared_variables(environment.parse(source))
        except jinja2.TemplateError as error:
            raise InputError(where, "valid Jinja2", str(error), "Mend the template.") from error
    if unknown := found - VARIABLES:
        raise InputError(
            where,
            f"only the variables {', '.join(sorted(VARIABLES))}",
            ", ".join(sorted(unknown)),
            "Remove or rename them.",
        )
    if "question" not in found:
        raise InputError(where, "the variable 'question'", "none", "Put {{ question }} where the item goes.")
    return frozenset(found)


def check_no_marks(text: str, where: str) -> None:
    """InputError when `text` holds one of the characters that mark spans."""
    if SPAN_OPEN in text or SPAN_CLOSE in text:
        raise InputError(
            where, "text without the private-use characters U+E000 and U+E001", "one", "Remove it."
        )


def template_path(name: str) -> Path:
    """Where a built-in template lies, to copy it from."""
    return Path(str(resources.files("engine"))) / "templates" / name

"""What can be wrong with prompts before any is asked: some of it would make artefacts of all results.

A chat template may drop the system message that holds the role, or the answer cue may follow a prompt that
has one already; a model answers all the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from axiograph.engine.answers.parsing import ends_in_marker
from axiograph.engine.errors import InputError
from axiograph.engine.plan.inputs import Inputs
from axiograph.engine.prompting.prompts import PromptBuilder, PromptFields, TextBuilder

_THINKING = ("<think>", "<thinking>", "<|channel|>analysis")
_OWN_TURN = "Take 'prompt: {template: default, chat: true}', which is one user message"


def check_prompts(inputs: Inputs, builder: TextBuilder) -> None:
    """InputError where roles, questions or hints that differ give one and the same prompt, where a prompt
    begins with two BOS tokens, where the answer cue of logprob mode does not fit, or where the prompt
    takes the place of the thought of a model that thinks."""
    role, baseline = inputs.roles[0], inputs.conditions[0]
    item = inputs.items_for(role)[0]
    first = inputs.fields(role, baseline, item)
    _check_distinct(
        builder, "roles", "role", [(r.name, inputs.fields(r, baseline, item)) for r in inputs.roles]
    )
    items = inputs.items_for(role)
    _check_distinct(
        builder, "questionnaires", "question", [(i.item_id, inputs.fields(role, baseline, i)) for i in items]
    )
    hinted = [c for c in inputs.conditions if c.hint is not None and not c.is_steered]
    hints = [(condition.name, inputs.fields(role, condition, item)) for condition in (baseline, *hinted)]
    _check_distinct(builder, "hints", "hint", hints)
    if isinstance(builder, PromptBuilder):
        _check_start(builder, first)
    if inputs.study.prompt.thinks:
        _check_thought(inputs.study.prompt.tags, builder, builder.texts(first)[0])
    if inputs.study.scoring.mode == "logprob":
        _check_cue(inputs.study.prompt.answer_cue, builder.texts(first)[0])


def prompt_notes(inputs: Inputs, builder: TextBuilder) -> list[str]:
    """What a person should know of the prompts."""
    if inputs.study.prompt.thinks:
        return []
    role, baseline = inputs.roles[0], inputs.conditions[0]
    text = builder.texts(inputs.fields(role, baseline, inputs.items_for(role)[0]))[0]
    tail = text.rstrip()[-40:]
    if opened := next((tag for tag in _THINKING if tail.endswith(tag)), None):
        return [
            f"prompts end in {opened}: the model thinks at length before it answers, and what it thinks is "
            "read as its answer. Set 'prompt: {thinking: on}', or switch thinking off in the chat template "
            "('prompt: {chat_arguments: {enable_thinking: false}}' for many models)."
        ]
    return []


def _check_distinct(
    builder: TextBuilder, field: str, variable: str, rows: Sequence[tuple[str, PromptFields]]
) -> None:
    """InputError for two rows whose `variable` differs and whose prompts do not."""
    seen: dict[str, tuple[str, str]] = {}
    for name, text, prompt in _rendered(builder, variable, rows):
        other, earlier = seen.setdefault(prompt, (name, text))
        if earlier != text:
            raise InputError(
                f"study, field prompt, template {builder.template.name}",
                f"another prompt for another {variable}",
                f"the same for {field} '{other}' and '{name}'",
                _remedy(builder, variable),
            )


def _rendered(
    builder: TextBuilder, variable: str, rows: Iterable[tuple[str, PromptFields]]
) -> Iterable[tuple[str, str, str]]:
    """(name, text of the variable, prompt) of every row. Of roles the name counts where the template has it;
    where it has not, two roles of one text are given one prompt with good reason."""
    for name, fields in rows:
        text = str(getattr(fields, variable))
        if variable == "role" and "role_name" in builder.template.variables:
            text += f"\n{fields.role_name}"
        yield name, text, builder.texts(fields)[0]


def _remedy(builder: TextBuilder, variable: str) -> str:
    if builder.template.chat:
        return (
            "The tokenizer's chat template may drop the message that holds it (some models know no system "
            "role): put it into the user's message."
        )
    return f"Put {{{{ {variable} }}}} into the template."


def _check_start(builder: PromptBuilder, fields: PromptFields) -> None:
    bos = builder.tokenizer.bos_token_id
    ids = builder.build([fields])[0].ids
    if bos is not None and ids[:2] == (bos, bos):
        raise InputError(
            f"study, field prompt, template {builder.template.name}",
            "prompts that begin with one BOS token",
            f"two ({builder.tokenizer.bos_token})",
            "Take it out of the template: the tokenizer puts one there.",
        )


def _check_cue(cue: str, prompt: str) -> None:
    where = "study, field prompt.answer_cue"
    if ends_in_marker(prompt) and ends_in_marker(cue):
        raise InputError(
            where,
            "one answer marker before the answer",
            f"two: the prompt ends in '{prompt[-20:].strip()}' and the cue '{cue.strip()}' follows",
            "Set prompt.answer_cue: '' (empty), or take the marker out of the template.",
        )
    if cue.endswith((" ", "\t")):
        raise InputError(
            where,
            "a cue without white space at its end",
            f"'{cue}'",
            "Take it off: for most tokenizers the space belongs to the word that follows, and behind a space "
            "neither yes nor no is likely.",
        )


def _check_thought(tags: tuple[str, str], builder: TextBuilder, prompt: str) -> None:
    """InputError where the model would not think, since the prompt begins its turn otherwise."""
    begin, end = (tag.strip() for tag in tags)
    if prompt.rstrip().endswith(begin):
        return
    shown = " ".join(prompt[-30:].split())
    where, expected = "study, field prompt.thinking", "a turn of the model that begins with its thought"
    if builder.template.prefilled:
        raise InputError(
            where,
            expected,
            f"a template ({builder.template.name}) that writes the beginning of its answer: '{shown}'",
            f"{_OWN_TURN}, or end the last message of your own with {begin}.",
        )
    if not builder.template.chat:
        raise InputError(
            where,
            expected,
            f"a plain text that ends in '{shown}'",
            f"{_OWN_TURN}, or end your own text with {begin}.",
        )
    if prompt.rstrip().endswith(end):
        raise InputError(
            where,
            expected,
            f"a chat template that ends the thought before it begins: '{shown}'",
            "Set what switches thinking on in this template: 'prompt: {chat_arguments: {enable_thinking: "
            "true}}' for many models.",
        )

"""Whether every prompt leaves room for its answer: found out before the run, and not in its sixth hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.prompts import PromptFields
from engine.worker import answer_room

if TYPE_CHECKING:
    from cluster.preparation import Prepared


def check_lengths(prepared: Prepared, limit: int | None) -> None:
    """InputError when the longest prompts leave no room for an answer: now, not in hour six."""
    fields = _longest(prepared)
    prompts = prepared.build(fields)
    longest = max(range(len(prompts)), key=lambda i: len(prompts[i].ids))
    length = len(prompts[longest].ids)
    room = answer_room(prepared.worker_config(), length, len(prompts[longest].cued))
    if limit is not None and length + room > limit:
        raise InputError(
            f"study, prompt of role '{fields[longest].role_name}', question '{fields[longest].question}'",
            f"at most {limit} tokens, the model's length",
            f"{length} of the prompt and up to {room} of the answer",
            "Shorten the role texts, the hints or sampling.max_tokens.",
        )


def _longest(prepared: Prepared) -> list[PromptFields]:
    """Of every unsteered condition, the fields with the longest texts by their tokens."""
    inputs = prepared.inputs

    def longest(texts: Sequence[str]) -> list[int]:
        tokens = prepared.builder.tokenizer(texts, add_special_tokens=False)["input_ids"]
        lengths = [len(ids) for ids in tokens]
        return sorted(range(len(texts)), key=lengths.__getitem__)[-3:]

    roles = [inputs.roles[i] for i in longest([f"{role.text} {role.name}" for role in inputs.roles])]
    fields = []
    for condition in (c for c in inputs.conditions if not c.is_steered):
        texts = [f"{inputs.hint_text(condition, i)} {i.question} {i.value}" for i in inputs.items]
        items = [inputs.items[i] for i in longest(texts)]
        fields += [inputs.fields(role, condition, item) for role in roles for item in items]
    return fields

"""The worker seam: a class with `__call__(pa.Table) -> pa.Table`, from requests to responses (DESIGN 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from axiograph.engine.answers.choices import parse_choice
from axiograph.engine.answers.parsing import Lead, lead_of, parse_answer
from axiograph.engine.answers.thinking import Thinking
from axiograph.engine.errors import RunError
from axiograph.engine.identity import DIGEST_SIZE
from axiograph.engine.prompting.prompts import Prompt
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.study.schema import SamplingSpec, ScoringSpec
from axiograph.engine.workers.generation import Generated
from axiograph.engine.workers.models import ModelSource
from axiograph.engine.workers.thoughts import ThoughtRules

if TYPE_CHECKING:
    from axiograph.engine.workers.spelled_scales import SpelledScale

REQUEST_SCHEMA = pa.schema(
    [
        ("request_id", pa.binary(DIGEST_SIZE)),
        ("role", pa.string()),
        ("condition", pa.string()),
        ("item_id", pa.string()),
        ("repeat", pa.int32()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("span", pa.list_(pa.int32())),  # indices into prompt_ids
        ("span_text", pa.string()),  # the words that these tokens spell
        ("cued_ids", pa.list_(pa.int32())),  # where options are read: the prompt with the cue; else empty
        ("scale", pa.string()),  # of the item's options; empty: yes or no
        ("order", pa.list_(pa.int16())),  # the option at every place that the prompt shows
        # What a server is sent, which makes the tokens itself; else empty.
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    ]
)


class Worker(Protocol):
    """Answers a table of requests (REQUEST_SCHEMA) with a table of responses (RESPONSE_SCHEMA), in order."""

    def __call__(self, requests: pa.Table) -> pa.Table: ...


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker needs; plain data, so that it travels to other processes.

    yes_ids and no_ids: token ids of the spellings scored in logprob mode, as they follow the answer cue,
    whose own are cue_ids; scales: the answer scales of the items, by name.
    canary: a prompt of the study on which the worker proves at start that steering reaches the output.
    steered: names of the conditions that a worker without hooks must refuse.
    thinking: the tags of a model that thinks at length before it answers.
    """

    source: ModelSource
    device: str
    sampling: SamplingSpec
    scoring: ScoringSpec
    yes_ids: tuple[tuple[int, ...], ...]
    no_ids: tuple[tuple[int, ...], ...]
    canary: Prompt
    steered: frozenset[str]
    scales: Mapping[str, SpelledScale] = field(default_factory=dict)
    cue_ids: tuple[int, ...] = ()
    thinking: Thinking | None = None

    @property
    def mass_threshold(self) -> float:
        """The least mass of an answer; where it must be an option, any will do."""
        return 0.0 if self.scoring.mode == "constrained" else self.scoring.mass_threshold

    @property
    def stop_lead(self) -> Lead:
        """The lead by which generation stops early. A first sentence that is an option is not stopped behind:
        which options a row has, its stop does not know."""
        return "thought" if self.scales and self.lead == "open" else self.lead

    @cached_property
    def lead(self) -> Lead:
        """What the prompts, whose ends are the template's, lead to; behind a thought, a turn of its own."""
        return lead_of(self.canary.text) if self.thinking is None else "open"

    @cached_property
    def longest_spelling(self) -> int:
        """Tokens that may stand behind a prompt and its cue where options are read. A last token of yes or no
        is scored and not read; behind an option may be read what would go on."""
        spellings = [*self.yes_ids, *self.no_ids]
        for scale in self.scales.values():
            spellings += [ids for forms in scale.spellings.values() for ids in forms]
        return max(map(len, spellings)) - (not self.scales)

    @property
    def thought_rules(self) -> ThoughtRules | None:
        """How rows end, of a model that thinks."""
        if self.thinking is None:
            return None
        room = self.sampling.max_thought_tokens
        assert room is not None, "a study of thinking models has one"
        return ThoughtRules(self.thinking, room, self.sampling.max_tokens, self.scoring.mode != "generate")


@dataclass(frozen=True)
class Request:
    """One row of REQUEST_SCHEMA."""

    request_id: bytes
    role: str
    condition: str
    item_id: str
    repeat: int
    prompt_ids: list[int]
    span: list[int]
    span_text: str
    cued_ids: list[int]
    scale: str = ""
    order: list[int] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)


def answer_room(config: WorkerConfig, prompt: int, cued: int) -> int:
    """How many tokens may stand behind a prompt of `prompt` tokens (`cued` with the answer cue): the answer,
    or in logprob mode cue or thought with a spelling, whose last token is scored and not read."""
    if config.scoring.mode == "generate":
        return config.sampling.most_tokens
    written = config.sampling.most_tokens + len(config.cue_ids)
    return max(written, cued - prompt) + config.longest_spelling


def requests_of(table: pa.Table) -> list[Request]:
    """The rows of a table of requests (REQUEST_SCHEMA), in order."""
    return [Request(**row) for row in table.select(REQUEST_SCHEMA.names).to_pylist()]


def request_columns(request: Request) -> dict[str, Any]:
    """The columns of a response that say what was asked."""
    return {
        "request_id": request.request_id,
        "role": request.role,
        "condition": request.condition,
        "item_id": request.item_id,
        "repeat": request.repeat,
        "prompt_tokens": len(request.prompt_ids),
    }


def refuse_steered(rows: Sequence[Request], steered: frozenset[str], remedy: str) -> None:
    """RunError for a condition that a worker without steering cannot put into effect."""
    for row in rows:
        if row.condition in steered:
            raise RunError("plain sampler", "unsteered requests", f"condition '{row.condition}'", remedy)


def refuse_unknown(rows: Sequence[Request], conditions: frozenset[str], worker: str) -> None:
    """RunError for a condition that is none of `conditions`, those of the study of `worker`."""
    for row in rows:
        if row.condition not in conditions:
            raise RunError(
                worker,
                "a condition of the study",
                f"'{row.condition}'",
                "The requests belong to another study: give the run command again.",
            )


def responses_table(rows: Sequence[dict[str, Any]], requests: Sequence[Request]) -> pa.Table:
    """Responses in the order of `requests`; RunError unless row i answers request i, each exactly once."""
    if [row["request_id"] for row in rows] != [request.request_id for request in requests]:
        raise RunError(
            "worker", "one response for each request, in order", "something else", "Report this as a bug."
        )
    return pa.Table.from_pylist(list(rows), schema=RESPONSE_SCHEMA)


def generated_columns(output: Generated, request: Request, config: WorkerConfig) -> dict[str, Any]:
    """The columns of a response that was generated for `request`."""
    return judged_columns(output.text, request, config) | {
        "text": output.text,
        "answer_ids": list(output.ids),
        "finish": output.finish,
        "new_tokens": len(output.ids),
        "fallback": False,
    }


def judged_columns(text: str, request: Request, config: WorkerConfig) -> dict[str, Any]:
    """The columns of a response that say what its text says."""
    lead, thinking = config.lead, config.thinking
    if not request.scale:
        answer = parse_answer(text, lead=lead, thinking=thinking)
        return {"state": answer.state, "reason": answer.reason}
    order = tuple(request.order)
    options = config.scales[request.scale].shown.options(order)
    answer = parse_choice(text, options, lead=lead, thinking=thinking)
    chosen = None if answer.position is None else order[answer.position]
    return {"state": answer.state, "reason": answer.reason, "chosen": chosen, "order": list(order)}


def failed_columns(reason: str) -> dict[str, Any]:
    """The columns of a response that could not be had: unparsed, so counted, and never a score."""
    return {
        "state": "unparsed",
        "reason": f"failed: {reason}",
        "text": "",
        "answer_ids": [],
        "finish": "failed",
        "new_tokens": 0,
        "fallback": False,
    }

"""The rule of logprob mode, for every worker: what is read, in which order, and what a response says of it.

Log-odds are read behind the answer cue, so behind an empty thought. Where the mass of yes and no is below the
study's threshold there, the model writes its thought, and they are read behind its answer marker instead
(DESIGN 6). Of the spellings of several tokens only those are read that could change the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.engine.answers.parsing import log_odds, logprob_state, logsumexp, marker_end
from axiograph.engine.workers.thoughts import unfinished_columns

if TYPE_CHECKING:
    from axiograph.engine.study.schema import SamplingSpec
    from axiograph.engine.workers.generation import Generated
    from axiograph.engine.workers.worker import Request, WorkerConfig

Spelling = tuple[int, ...]  # token ids
# Behind every beginning of a spelling, () among them: the log-probabilities of the tokens that may follow.
Logps = Mapping[Spelling, Mapping[int, float]]
Text = Callable[[Sequence[int]], str]
# Relative to what is read of a side already: far below what float32 tells apart in a log-odds.
NEGLIGIBLE = 1e-8


class Readout:
    """Which log-probabilities are read behind a prompt: first those of the spellings' first tokens, then,
    behind the beginnings that are worth it, those of the tokens that follow.

    `options`: for each, its spellings. `goes_on`: the tokens with which a spelling would become something
    else ("1" before "0"): its probability is that none of them follows."""

    def __init__(
        self,
        options: Sequence[Sequence[Spelling]],
        goes_on: Mapping[Spelling, Sequence[int]] | None = None,
    ) -> None:
        self.options, self._goes_on = options, goes_on or {}
        self.first_tokens = sorted({ids[0] for option in options for ids in option})
        following: dict[Spelling, set[int]] = {}
        for ids in (ids for option in options for ids in option):
            for k in range(1, len(ids)):
                following.setdefault(ids[:k], set()).add(ids[k])
        for ids, tokens in self._goes_on.items():
            following.setdefault(ids, set()).update(tokens)
        self._following = {ids: tuple(sorted(tokens)) for ids, tokens in following.items()}

    @property
    def is_longer(self) -> bool:
        """Whether anything may have to be read behind a beginning."""
        return bool(self._following)

    def next_tokens(self, beginning: Spelling) -> tuple[int, ...]:
        """The tokens whose log-probabilities are read behind `beginning`; of (), the first ones."""
        return self._following[beginning] if beginning else tuple(self.first_tokens)

    def beginnings(self, first: Mapping[int, float]) -> list[Spelling]:
        """Behind which beginnings there is something to read that could change the result by more than
        NEGLIGIBLE, sorted. `first`: the log-probability of every first token."""
        best = max(first.values())
        behind: set[Spelling] = set()
        for option in self.options:
            for ids in self._worth_reading(option, first, best):
                behind.update(ids[:k] for k in range(1, len(ids)))
                if ids in self._goes_on:
                    behind.add(ids)
        return sorted(behind)

    def _worth_reading(
        self, option: Sequence[Spelling], first: Mapping[int, float], best: float
    ) -> list[Spelling]:
        """A spelling is at most as likely as its first token, which is compared with all spellings of one
        token of the same option; where it has none, with the likeliest first token of all."""
        single = logsumexp([first[ids[0]] for ids in option if len(ids) == 1])
        least = (single if single > -math.inf or math.isnan(single) else best) + math.log(NEGLIGIBLE)
        return [ids for ids in option if len(ids) == 1 or first[ids[0]] > least]

    def spelled(self, read: Logps) -> list[list[float]]:
        """Of every option the log-probabilities of those spellings that were read, by the chain rule."""
        return [
            [self._logp(ids, read) for ids in option if all(ids[:k] in read for k in range(len(ids)))]
            for option in self.options
        ]

    def _logp(self, ids: Spelling, read: Logps) -> float:
        logp = sum(read[ids[:k]][token] for k, token in enumerate(ids))
        if ids not in self._goes_on or ids not in read:
            return logp
        other = sum(math.exp(read[ids][token]) for token in self._goes_on[ids])
        return logp + (math.log1p(-other) if other < 1 else -math.inf)

    def columns(self, read: Logps) -> dict[str, Any]:
        """The columns of a response, from what was read; RunError for NaN."""
        raise NotImplementedError


def longest(beginnings: Sequence[Spelling]) -> list[Spelling]:
    """Those that no other one continues: a pass over them comes by all the others."""
    ordered = sorted(beginnings)
    return [ids for ids, after in zip_longest(ordered, ordered[1:], fillvalue=()) if after[: len(ids)] != ids]


class LogOdds(Readout):
    """Yes and no, as `config` spells them."""

    def __init__(self, config: WorkerConfig) -> None:
        super().__init__((config.yes_ids, config.no_ids))
        self._mass_threshold = config.mass_threshold

    def columns(self, read: Logps) -> dict[str, Any]:
        odds, mass = log_odds(*self.spelled(read))
        state = logprob_state(odds, mass, self._mass_threshold)
        return {
            "state": state,
            "reason": "low-mass" if state == "unparsed" else "log-odds",
            "text": "",
            "answer_ids": [],
            "finish": "scored",
            "log_odds": odds,
            "mass": mass,
            "new_tokens": 0,
            "fallback": False,
        }


@dataclass(frozen=True)
class Read:
    """Read the log-odds behind `prompt`; the answer is LogOdds.columns."""

    prompt: Sequence[int]


@dataclass(frozen=True)
class Write:
    """Let the model write behind `prompt`; the answer is what it wrote (Generated)."""

    prompt: Sequence[int]


Steps = Generator[Read | Write, Any, dict[str, Any]]


def thinking_steps(row: Request, config: WorkerConfig) -> Steps:
    """The same of a model that thinks, in either mode: its thought is written once, up to its end, and the
    options are read behind it and the answer cue. A thought without an end is unfinished; where there is none
    at all, nothing was asked that the others were (unparsed, no-thought)."""
    output: Generated = yield Write(row.prompt_ids)
    assert config.thinking is not None
    start = config.thinking.answer_start(output.text)
    if not start:
        none = {"state": "unparsed", "reason": "no-thought"}
        columns = unfinished_columns(row.order) | (none if start == 0 else {})
        return columns | {"finish": "scored", "fallback": False} | written_columns(output)
    columns = yield Read([*row.prompt_ids, *output.ids, *config.cue_ids])
    if config.scoring.mode == "constrained":
        columns = constrained(columns, row, config.sampling)
    return columns | written_columns(output)


def constrained_steps(row: Request, text: Text, config: WorkerConfig) -> Steps:
    """The same where the answer must be an option: the model writes its thought, and the options are read
    behind its answer marker, or, where it comes to none, behind the answer cue. What it wrote by itself is
    kept, and the mass says how much of it was forced."""
    output: Generated = yield Write(row.prompt_ids)
    thought = up_to_marker(output.ids, text)
    columns = yield Read([*row.prompt_ids, *(thought or (*output.ids, *config.cue_ids))])
    columns = constrained(columns, row, config.sampling)
    return columns | written_columns(output) | {"fallback": thought is None}


def constrained(columns: dict[str, Any], row: Request, sampling: SamplingSpec) -> dict[str, Any]:
    """What was read, as the answer of a request that must have one: drawn where the study draws; as it is
    where no option has any probability."""
    if columns["state"] == "unparsed":
        return columns
    answer = drawn(columns, row.request_id) if sampling.method == "sample" else {}
    return columns | answer | {"reason": "constrained"}


def drawn(columns: Mapping[str, Any], request_id: bytes) -> dict[str, Any]:
    """The option that a request draws by the probabilities that were read: the request's own draw, whatever
    the batch, apart from those of its tokens."""
    key = int.from_bytes(request_id, "little")
    uniform = np.random.Generator(np.random.Philox(key=key, counter=1 << 128)).random()
    if columns.get("probabilities") is None:
        return {"state": "yes" if uniform < 1 / (1 + math.exp(-columns["log_odds"])) else "no"}
    shares = np.cumsum(columns["probabilities"])
    return {"chosen": int(np.searchsorted(shares, uniform * shares[-1], side="right"))}


def scoring_steps(row: Request, text: Text) -> Steps:
    """What has to be read and written for one request; returns the columns of its response.

    `text` decodes token ids. A thought that never comes to an answer, or behind which there is too little
    mass as well, leaves what was read first, and is kept beside it."""
    columns = yield Read(row.cued_ids)
    if columns["state"] != "unparsed":
        return dict(columns)
    output: Generated = yield Write(row.prompt_ids)
    thought = up_to_marker(output.ids, text)
    if thought is None:
        return columns | written_columns(output)
    behind = yield Read([*row.prompt_ids, *thought])
    if behind["state"] == "unparsed":
        return columns | written_columns(output)
    return behind | written_columns(output) | {"fallback": True, "reason": "fallback"}


def steps_of(config: WorkerConfig, text: Text) -> Callable[[Request], Steps]:
    """The course of a request in the scoring mode of `config`."""
    if config.thinking is not None:
        return lambda row: thinking_steps(row, config)
    if config.scoring.mode == "constrained":
        return lambda row: constrained_steps(row, text, config)
    return lambda row: scoring_steps(row, text)


def score_together(
    rows: Sequence[Request],
    steps_for: Callable[[Request], Steps],
    read: Callable[[list[int], list[Sequence[int]]], Sequence[dict[str, Any]]],
    write: Callable[[list[int], list[Sequence[int]]], Sequence[Generated]],
) -> list[dict[str, Any]]:
    """The columns for all `rows`, which take their steps together, so that each step is one batch.

    `read` and `write` answer Read and Write for these of the rows, given by number, with their prompts."""
    courses = [steps_for(row) for row in rows]
    steps = {number: next(course) for number, course in enumerate(courses)}
    columns: dict[int, dict[str, Any]] = {}
    while steps:
        numbers, prompts = list(steps), [step.prompt for step in steps.values()]
        reads = isinstance(steps[numbers[0]], Read)  # and so do all the others: who is done is out
        answers: Sequence[Any] = read(numbers, prompts) if reads else write(numbers, prompts)
        steps = {}
        for number, answer in zip(numbers, answers, strict=True):
            try:
                steps[number] = courses[number].send(answer)
            except StopIteration as end:
                columns[number] = end.value
    return [columns[number] for number in range(len(rows))]


def written_columns(thought: Generated) -> dict[str, Any]:
    """The columns that keep a thought which was written because little mass was on yes and no without it."""
    return {"text": thought.text, "answer_ids": list(thought.ids), "new_tokens": len(thought.ids)}


def up_to_marker(ids: Sequence[int], text: Text) -> tuple[int, ...] | None:
    """The generated ids up to and including the first `Answer:`, or None where there is none."""
    for end in range(1, len(ids) + 1):
        if marker_end(text(ids[:end])) is not None:
            return tuple(ids[:end])
    return None

"""The rule of logprob mode, for every worker: what is read, in which order, and what a response says of it.

Log-odds are read behind the answer cue, so behind an empty thought. Where the mass of yes and no is below the
study's threshold there, the model writes its thought, and they are read behind its answer marker instead
(DESIGN 6). Of the spellings of several tokens only those are read that could change the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.answers.parsing import log_odds, logprob_state, logsumexp, marker_end

if TYPE_CHECKING:
    from axiograph.engine.workers.generation import Generated
    from axiograph.engine.workers.worker import Request, WorkerConfig

Spelling = tuple[int, ...]
Text = Callable[[Sequence[int]], str]
# Relative to what is read of a side already: far below what float32 tells apart in a log-odds.
NEGLIGIBLE = 1e-8


class LogOdds:
    """How the log-probabilities of the spellings of `config` become the columns of a response."""

    def __init__(self, config: WorkerConfig) -> None:
        self.sides: tuple[Sequence[Spelling], Sequence[Spelling]] = (config.yes_ids, config.no_ids)
        self.first_tokens = sorted({ids[0] for side in self.sides for ids in side})
        self._mass_threshold = config.scoring.mass_threshold

    def longer(self, side: Sequence[Spelling], logp: Mapping[int, float]) -> list[Spelling]:
        """The spellings of several tokens that could change the log-odds by more than NEGLIGIBLE.

        `logp`: the log-probability of every first token. A spelling is at most as likely as its first token,
        which is compared with all spellings of one token on its side."""
        several = [ids for ids in side if len(ids) > 1]
        if not several:
            return []
        single = logsumexp([logp[ids[0]] for ids in side if len(ids) == 1])
        return [ids for ids in several if logp[ids[0]] > single + math.log(NEGLIGIBLE)]

    def columns(self, yes: Sequence[float], no: Sequence[float]) -> dict[str, Any]:
        """The columns of a response, from the log-probabilities of either side's spellings.

        RunError for NaN."""
        odds, mass = log_odds(yes, no)
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


def score_together(
    rows: Sequence[Request],
    text: Text,
    read: Callable[[list[int], list[Sequence[int]]], Sequence[dict[str, Any]]],
    write: Callable[[list[int], list[Sequence[int]]], Sequence[Generated]],
) -> list[dict[str, Any]]:
    """The columns for all `rows`, which take their steps together, so that each step is one batch.

    `read` and `write` answer Read and Write for these of the rows, given by number, with their prompts."""
    courses = [scoring_steps(row, text) for row in rows]
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

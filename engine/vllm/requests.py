"""Courses: what one request asks of the engine, step by step, until its response is known.

A course is a generator: it yields lists of `Ask`, is sent what the engine answered to each (`Said`), and
returns the columns of its response that depend on the answer. Rows go their ways independently, so that
no row waits for the others' second question.

Jobs: the tables that a vLLM worker has under way, what of them is finished, and what of that is proven.

Between vLLM's output and a response: when a request stops, how it ended, and what could not be had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from axiograph.engine.answers.parsing import log_odds, logsumexp
from axiograph.engine.errors import RunError
from axiograph.engine.workers.generation import Generated, StopCheck
from axiograph.engine.workers.models import ModelSource
from axiograph.engine.workers.spellings import NEGLIGIBLE, LogprobScorer, scored
from axiograph.engine.workers.worker import Request, WorkerConfig, behind_thought, responses_table, written

Spelling = tuple[int, ...]


@dataclass(frozen=True)
class Ask:
    """`ids` as the model receives them; at most `limit` new tokens, or, with `scored`, the log-probabilities
    of these tokens as the next one."""

    ids: Sequence[int]
    limit: int
    scored: tuple[int, ...] = ()


@dataclass(frozen=True)
class Said:
    """What came back: new tokens, or log-probabilities by token (natural logarithm)."""

    written: Generated
    logp: dict[int, float] = field(default_factory=dict)


Course = Generator[list[Ask], list[Said], dict[str, Any]]


class Courses:
    """Makes the course of a row in the scoring mode of `config`."""

    def __init__(self, config: WorkerConfig, stop: StopCheck) -> None:
        self._config, self._stop = config, stop
        self._spellings = (*config.yes_ids, *config.no_ids)

    def __call__(self, row: Request) -> Course:
        return self._generate(row) if self._config.scoring.mode == "generate" else self._score(row)

    def _generate(self, row: Request) -> Course:
        (said,) = yield [self._writing(row)]
        return written(said.written)

    def _writing(self, row: Request) -> Ask:
        return Ask(row.prompt_ids, self._config.sampling.max_tokens)

    def _score(self, row: Request) -> Course:
        """Log-odds behind an empty thought; with too little mass, behind a generated one (DESIGN 6)."""
        result = yield from self._odds(row.cued_ids)
        if result["state"] != "unparsed":
            return result
        (said,) = yield [self._writing(row)]
        thought = LogprobScorer.up_to_marker(said.written.ids, self._stop.text)
        if thought is None:
            return result
        behind = yield from self._odds([*row.prompt_ids, *thought])
        return result if behind["state"] == "unparsed" else behind_thought(behind, said.written)

    def _odds(self, prompt: Sequence[int]) -> Course:
        """The log-probabilities of all spellings behind `prompt`, by the chain rule."""
        (said,) = yield [Ask(prompt, 1, tuple(sorted({ids[0] for ids in self._spellings})))]
        first = said.logp
        sides = [self._worth_asking(side, first) for side in (self._config.yes_ids, self._config.no_ids)]
        beginnings = sorted({ids[:k] for side in sides for ids in side for k in range(1, len(ids))})
        asks = [Ask([*prompt, *begin], 1, self._next_tokens(begin)) for begin in beginnings]
        after: dict[Spelling, dict[int, float]] = {(): first}
        if asks:
            answers = yield asks
            after |= {begin: said.logp for begin, said in zip(beginnings, answers, strict=True)}
        yes, no = ([_chain(ids, after) for ids in side] for side in sides)
        return scored(*log_odds(yes, no), self._config.scoring.mass_threshold)

    def _worth_asking(self, side: Sequence[Spelling], first: dict[int, float]) -> list[Spelling]:
        """Without spellings of several tokens that could not change the log-odds by more than NEGLIGIBLE."""
        known = logsumexp([first[ids[0]] for ids in side if len(ids) == 1])
        return [ids for ids in side if len(ids) == 1 or first[ids[0]] > known + math.log(NEGLIGIBLE)]

    def _next_tokens(self, begin: Spelling) -> tuple[int, ...]:
        n = len(begin)
        return tuple(sorted({ids[n] for ids in self._spellings if len(ids) > n and ids[:n] == begin}))


def _chain(ids: Spelling, after: dict[Spelling, dict[int, float]]) -> float:
    return sum(after[ids[:k]][token] for k, token in enumerate(ids))


class AnswerStop:
    """Takes a request's tokens where vLLM would turn them into text, and stops it behind a complete answer.

    Its methods are those that vLLM's output processor calls on an IncrementalDetokenizer.
    """

    def __init__(self, stop: StopCheck | None, eos: Sequence[int]) -> None:
        self._stop, self._eos = stop, frozenset(eos)
        self.token_ids: list[int] = []

    @property
    def output_token_ids(self) -> list[int]:
        return self.token_ids

    def num_output_tokens(self) -> int:
        return len(self.token_ids)

    def update(self, new_token_ids: list[int], stop_terminated: bool) -> str | None:
        """The reason to stop, or None; the end of sequence and what follows the answer are left out."""
        written, stop = self.token_ids, self._stop
        if stop is None:
            written.extend(new_token_ids)
            return None
        for token in new_token_ids:
            if token in stop.quiet:  # first: this is asked for every token of every request
                written.append(token)
                continue
            if token in self._eos:
                return None
            written.append(token)
            if stop(written):
                return "complete"
        return None

    def get_next_output_text(self, finished: bool, delta: bool) -> str:
        return ""


def finish_of(output: Any) -> str:
    """vLLM's reasons in axiograph's words; its stop tokens are the ends of sequence."""
    if output.stop_reason == "complete":
        return "complete"
    return "limit" if output.finish_reason == "length" else "eos"


def failed(reason: str) -> dict[str, Any]:
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


def generation_settings(source: ModelSource) -> Any:
    """The generation settings that transformers gives a model loaded from `source`."""
    from transformers import AutoConfig, GenerationConfig

    try:
        return GenerationConfig.from_pretrained(source.folder)
    except OSError:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=source.trust_remote_code)
        return GenerationConfig.from_model_config(config)


def not_finite() -> RunError:
    remedy = "Half precision can overflow: try dtype float32 or bfloat16, or a smaller strength."
    return RunError("logits of the model", "finite numbers", "NaN or infinity", remedy)


@dataclass(eq=False)
class Job:
    """One table. `results` by row number, in the order in which rows finished; `proven`: the rows of them
    that may be stored whatever happens next; `fault`: what a check found wrong with one of the others."""

    rows: list[Request]
    started: float
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    proven: set[int] = field(default_factory=set)
    unproven: list[int] = field(default_factory=list)
    fault: RunError | None = None

    @property
    def is_done(self) -> bool:
        return len(self.results) == len(self.rows)

    def finish(self, place: int, result: dict[str, Any]) -> None:
        """The response of row `place` is known, and not yet proven."""
        self.results[place] = result
        self.unproven.append(place)

    def table(self, places: Sequence[int], since: float) -> pa.Table:
        """The responses of these rows; `since`: when the engine began to work on nothing but them.

        Tables overlap: each has the time since the one before it was done.
        """
        seconds = (time.perf_counter() - max(self.started, since)) / max(1, len(places))
        results = [self.results[place] | {"seconds": seconds} for place in places]
        return responses_table(results, [self.rows[place] for place in places])


@dataclass(eq=False)
class Walk:
    """A row on its course: the asks that are out, and what came back so far.

    computed: by vLLM's names of its requests, how many of their tokens passed through the model.
    """

    job: Job
    place: int
    course: Course
    waiting: int = 0
    said: list[Said | None] = field(default_factory=list)
    computed: dict[str, int] = field(default_factory=dict)

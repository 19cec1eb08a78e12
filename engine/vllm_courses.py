"""Courses: what one request asks of the engine, step by step, until its response is known.

A course is a generator: it yields lists of `Ask`, is sent what the engine answered to each (`Said`), and
returns the columns of its response that depend on the answer. Rows go their ways independently, so that
no row waits for the others' second question.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.answers import log_odds, logsumexp
from engine.generation import Generated, StopCheck
from engine.hf_worker import behind_thought, written
from engine.spellings import NEGLIGIBLE, LogprobScorer, scored
from engine.worker import Request, WorkerConfig

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

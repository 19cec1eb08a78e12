"""Exchanges: what one request asks of the engine, step by step, until its response is known.

An exchange is a generator: it yields lists of EngineCall, is sent an EngineReply to each, and returns the
columns of its response that depend on the answer. The exchanges of rows are independent, so that no row waits
for the others' second question.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from axiograph.engine.workers.generation import Generated, StopCheck
from axiograph.engine.workers.log_odds import Read, Readout, Spelling, steps_of
from axiograph.engine.workers.option_odds import Readouts
from axiograph.engine.workers.worker import Request, WorkerConfig, generated_columns


@dataclass(frozen=True)
class EngineCall:
    """`ids` as the model receives them; at most `limit` new tokens, or, with `scored`, the log-probabilities
    of these tokens as the next one."""

    ids: Sequence[int]
    limit: int
    scored: tuple[int, ...] = ()


@dataclass(frozen=True)
class EngineReply:
    """What came back: new tokens, or log-probabilities by token (natural logarithm)."""

    written: Generated
    logp: dict[int, float] = field(default_factory=dict)


Exchange = Generator[list[EngineCall], list[EngineReply], dict[str, Any]]


class Exchanges:
    """Makes the exchange of a row in the scoring mode of `config`."""

    def __init__(self, config: WorkerConfig, stop: StopCheck) -> None:
        self._config, self._rules = config, Readouts(config)
        self._steps = steps_of(config, stop.text)

    def __call__(self, row: Request) -> Exchange:
        return self._generate(row) if self._config.scoring.mode == "generate" else self._score(row)

    def _generate(self, row: Request) -> Exchange:
        (reply,) = yield [self._writing(row.prompt_ids)]
        return generated_columns(reply.written, row, self._config)

    def _writing(self, prompt: Sequence[int]) -> EngineCall:
        return EngineCall(prompt, self._config.sampling.most_tokens)

    def _score(self, row: Request) -> Exchange:
        """The steps of engine.workers.log_odds, each put to the engine."""
        steps, rule = self._steps(row), self._rules(row)
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as end:
                columns: dict[str, Any] = end.value
                return columns
            if isinstance(step, Read):
                result = yield from self._read(step.prompt, rule)
            else:
                (reply,) = yield [self._writing(step.prompt)]
                result = reply.written

    def _read(self, prompt: Sequence[int], rule: Readout) -> Exchange:
        """What the readout wants behind `prompt`: first tokens, then behind the beginnings worth it."""
        (reply,) = yield [EngineCall(prompt, 1, rule.next_tokens(()))]
        read: dict[Spelling, dict[int, float]] = {(): reply.logp}
        if beginnings := rule.beginnings(reply.logp):
            replies = yield [
                EngineCall([*prompt, *begin], 1, rule.next_tokens(begin)) for begin in beginnings
            ]
            read |= {begin: reply.logp for begin, reply in zip(beginnings, replies, strict=True)}
        return rule.columns(read)

"""Packed answers: what HfWorker answers, by packed passes, for the models that these can do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.generation import Generated, Generator, StreamHooks
from engine.memory import MemoryEndedError
from engine.packed_check import why_not_packed
from engine.packed_generation import PackedGenerator
from engine.packed_model import PackedHooks, PackedModel
from engine.packed_scoring import PackedScorer
from engine.spellings import LogprobScorer

if TYPE_CHECKING:
    from engine.worker import Request, WorkerConfig

log = logging.getLogger("axiograph.sampling")
# Makes the hooks of these requests, put to the model as these prompts.
MakeHooks = Callable[[Sequence["Request"], Sequence[Sequence[int]]], PackedHooks]
SCORED_AT_ONCE = 512


@dataclass(frozen=True)
class Answered:
    """Columns of a response, and its place among the rows of the `hooks` under which it came about."""

    columns: dict[str, Any]
    hooks: PackedHooks
    place: int


class PackedAnswers:
    """The answers to the requests of one worker: the columns of a response that the answer decides."""

    def __init__(self, simple: Generator, config: WorkerConfig, make_hooks: MakeHooks) -> None:
        self._passes = PackedModel(simple.model)
        self.generator = PackedGenerator(simple, self._passes)
        self._scorer = PackedScorer(self._passes, config)
        self._config, self._make_hooks = config, make_hooks
        self._scored_at_once = SCORED_AT_ONCE

    def why_not(
        self, prompts: Sequence[Sequence[int]], simple_hooks: StreamHooks, hooks: PackedHooks
    ) -> str | None:
        """What keeps packed passes from giving the model's own logits behind `prompts`, or None."""
        reason = why_not_packed(self.generator.simple, self._passes, prompts, simple_hooks, hooks)
        self._passes.forget()
        return reason

    def __call__(self, rows: Sequence[Request], limit: int | None) -> list[Answered]:
        """One answer for each of `rows`, at most `limit` at once (None: what memory allows).

        MemoryEndedError where there is no memory for a single one.
        """
        from engine.hf_worker import written

        if not rows:
            return []
        if self._config.scoring.mode == "generate":
            outputs, hooks = self._generate(rows, limit)
            return [Answered(written(output), hooks, place) for place, output in enumerate(outputs)]
        return self._log_odds(rows, limit)

    def _generate(self, rows: Sequence[Request], limit: int | None) -> tuple[list[Generated], PackedHooks]:
        prompts = [row.prompt_ids for row in rows]
        hooks = self._make_hooks(rows, prompts)
        return self.generator(prompts, [row.request_id for row in rows], hooks, limit), hooks

    def _log_odds(self, rows: Sequence[Request], limit: int | None) -> list[Answered]:
        """Behind an empty thought; rows with too little mass, behind a generated one (DESIGN 6)."""
        from engine.hf_worker import behind_thought

        answers = self._score(rows, [row.cued_ids for row in rows])
        weak = [i for i, answer in enumerate(answers) if answer.columns["state"] == "unparsed"]
        if not weak:
            return answers
        outputs, _ = self._generate([rows[i] for i in weak], limit)
        stop = self.generator.simple.stop
        thoughts = [LogprobScorer.up_to_marker(output.ids, stop.text) for output in outputs]
        led = [(i, o, t) for i, o, t in zip(weak, outputs, thoughts, strict=True) if t is not None]
        behind = self._score([rows[i] for i, _, _ in led], [[*rows[i].prompt_ids, *t] for i, _, t in led])
        for (i, output, _), answer in zip(led, behind, strict=True):
            if answer.columns["state"] != "unparsed":
                answers[i] = replace(answers[i], columns=behind_thought(answer.columns, output))
        return answers

    def _score(self, rows: Sequence[Request], prompts: Sequence[Sequence[int]]) -> list[Answered]:
        """Log-odds behind each of `prompts`, with the hooks of the first pass over it."""
        found: list[Answered] = []
        while len(found) < len(rows):
            part = slice(len(found), len(found) + self._scored_at_once)
            try:
                found += self._score_part(rows[part], [list(ids) for ids in prompts[part]])
            except MemoryEndedError as error:
                if len(rows[part]) == 1:
                    raise
                self._scored_at_once = len(rows[part]) // 2
                note = f"{len(rows[part])} prompts at once: {error}; went on with {self._scored_at_once}"
                self.generator.halvings.append(note)
                log.warning("memory ran out: %s", note)
        return found

    def _score_part(self, rows: Sequence[Request], prompts: list[list[int]]) -> list[Answered]:
        def hooks_of(chosen: Sequence[int], own: list[list[int]]) -> PackedHooks:
            return self._make_hooks([rows[i] for i in chosen], own)

        results, hooks = self._scorer(prompts, hooks_of)
        return [Answered(result, hooks, place) for place, result in enumerate(results)]

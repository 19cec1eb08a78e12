"""The plain sampler on transformers: unsteered requests, in `generate` or `logprob` mode.

It answers by packed passes, and batch by batch with the models that these cannot do. `steering.hf.worker`
builds on it: the same loop with hooks in the stream, so that the baseline of a steered run comes from the
same worker as what it is compared with (DESIGN 3).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.hf.generation import PackedGenerator
from axiograph.engine.hf.model import NoPackedHooks, PackedHooks, PackedModel
from axiograph.engine.hf.parity import why_not_packed
from axiograph.engine.hf.scoring import PackedScorer
from axiograph.engine.workers.generation import (
    Generated,
    Generator,
    NoHooks,
    StreamHooks,
    in_batches,
    with_smaller_batches,
)
from axiograph.engine.workers.log_odds import score_together, steps_of
from axiograph.engine.workers.machine import MemoryEndedError, device_name, versions
from axiograph.engine.workers.models import load_model, load_tokenizer
from axiograph.engine.workers.option_odds import Readouts
from axiograph.engine.workers.spellings import LogprobScorer
from axiograph.engine.workers.worker import (
    Request,
    WorkerConfig,
    answer_room,
    generated_columns,
    refuse_steered,
    request_columns,
    requests_of,
    responses_table,
)

log = logging.getLogger("axiograph.sampling")


class HfWorker:
    """Answers requests with transformers, in packed passes; models that these cannot do, batch by batch
    (`fallback` then says why). Its WorkerConfig travels; it does not."""

    backend = "hf"

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.model = load_model(config.source, config.device)
        self.tokenizer = load_tokenizer(config.source)
        self._limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self._generator = Generator(
            self.model, self.tokenizer, config.sampling, config.stop_lead, config.thought_rules
        )
        self._scorer = LogprobScorer(self.model, self._generator.pad)
        self._rules = Readouts(config)
        self._about = {
            "backend": self.backend,
            "device": device_name(config.device),
            "dtype": config.source.dtype,
            "versions": versions(),
            "mode": config.scoring.mode,
        }
        self.fallback: str | None = None
        self._packed: PackedAnswers | None = PackedAnswers(self._generator, config, self.packed_hooks)
        self._start()

    def _start(self) -> None:
        """What is checked before the first answer."""
        ids = list(self.config.canary.ids)
        prompts = [ids, ids, ids[: max(1, len(ids) // 2)]]
        self._check_packed(prompts, NoHooks(), NoPackedHooks(prompts))

    def _check_packed(
        self, prompts: Sequence[Sequence[int]], simple_hooks: StreamHooks, hooks: PackedHooks
    ) -> None:
        """Go on batch by batch, and say so, where packed passes do not give the model's own logits."""
        assert self._packed is not None
        self.fallback = self._packed.why_not(prompts, simple_hooks, hooks)
        if self.fallback is not None:
            self._packed = None
            name = type(self.model).__name__
            log.warning("%s is sampled batch by batch, slower: %s", name, self.fallback)

    def __call__(self, requests: pa.Table) -> pa.Table:
        """One response row for each request row, in order."""
        import torch

        rows = requests_of(requests)
        self.check(rows)
        if self._packed is not None:
            return responses_table(self._answer_packed(self._packed, rows), rows)
        answered: dict[int, dict[str, Any]] = {}

        def run(group: list[int]) -> None:
            answered.update(zip(group, self._answer([rows[i] for i in group]), strict=True))

        # Prompts of like length share a batch: less padding, same answers.
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i].prompt_ids), i))
        for group in in_batches(order, self.config.sampling.batch_size):
            try:
                with_smaller_batches(run, group, device=self.config.device)
            except torch.OutOfMemoryError as error:
                raise self._no_memory(error) from error
        return responses_table([answered[i] for i in range(len(rows))], rows)

    def _no_memory(self, error: Exception) -> RunError:
        return RunError(
            f"device {self.config.device}",
            "memory for a single request",
            " ".join(str(error).split())[:200],
            "Use a smaller dtype or another device. What was answered before is stored.",
        )

    def _answer_packed(self, packed: PackedAnswers, rows: list[Request]) -> list[dict[str, Any]]:
        started = time.perf_counter()
        sampling = self.config.sampling
        limit = sampling.batch_size if "batch_size" in sampling.model_fields_set else None
        try:
            answers = packed(rows, limit)
        except MemoryEndedError as error:
            raise self._no_memory(error) from error
        seconds = (time.perf_counter() - started) / max(1, len(rows))
        return [
            self._response(row, seconds, self.proof(answer.hooks, answer.number) | answer.columns)
            for row, answer in zip(rows, answers, strict=True)
        ]

    def check(self, rows: Sequence[Request]) -> None:
        """InputError for a request that this worker cannot answer as it is meant."""
        for row in rows:
            room = answer_room(self.config, len(row.prompt_ids), len(row.cued_ids))
            if self._limit is not None and len(row.prompt_ids) + room > self._limit:
                raise InputError(
                    f"request of role '{row.role}', item {row.item_id}, condition '{row.condition}'",
                    f"at most {self._limit} tokens, the model's length",
                    f"{len(row.prompt_ids)} of the prompt and up to {room} of the answer",
                    "Shorten the role texts or sampling.max_tokens.",
                )

    def hooks(self, rows: Sequence[Request]) -> StreamHooks:
        """The hooks for a batch; the plain sampler has none, and refuses requests that need some."""
        self.refuse(rows)
        return NoHooks()

    def packed_hooks(self, rows: Sequence[Request], prompts: Sequence[Sequence[int]]) -> PackedHooks:
        """The same for packed passes over `prompts`, one for each of `rows`."""
        self.refuse(rows)
        return NoPackedHooks(prompts)

    def refuse(self, rows: Sequence[Request]) -> None:
        """RunError for a condition that this worker cannot put into effect."""
        refuse_steered(rows, self.config.steered, "Use the hook worker.")

    def proof(self, hooks: StreamHooks | PackedHooks, number: int) -> dict[str, Any]:
        """What is recorded about the steering of row `number` of the batch that `hooks` are made for."""
        return {"steered_tokens": 0, "proof_error": None}

    def _answer(self, rows: list[Request]) -> list[dict[str, Any]]:
        started = time.perf_counter()
        hooks = self.hooks(rows)
        answer = self._generate if self.config.scoring.mode == "generate" else self._score
        results = answer(rows, hooks)
        seconds = (time.perf_counter() - started) / len(rows)
        return [
            self._response(row, seconds, self.proof(hooks, number) | result)
            for number, (row, result) in enumerate(zip(rows, results, strict=True))
        ]

    def _response(self, row: Request, seconds: float, answer: dict[str, Any]) -> dict[str, Any]:
        return request_columns(row) | {"seconds": seconds} | self._about | answer

    def _generate(self, rows: list[Request], hooks: StreamHooks) -> list[dict[str, Any]]:
        outputs = self._generator([row.prompt_ids for row in rows], [row.request_id for row in rows], hooks)
        return [generated_columns(o, row, self.config) for o, row in zip(outputs, rows, strict=True)]

    def _score(self, rows: list[Request], hooks: StreamHooks) -> list[dict[str, Any]]:
        """Options read by their probabilities; `hooks` serve what is read or written first, of all rows."""
        first: list[StreamHooks] = [hooks]

        def read(numbers: Sequence[int], prompts: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
            chosen = [rows[number] for number in numbers]
            rules = [self._rules(row) for row in chosen]
            hooks = first.pop() if first else self.hooks(chosen)
            read = self._scorer(prompts, rules, hooks, self.hooks, chosen)
            return [rule.columns(logps) for rule, logps in zip(rules, read, strict=True)]

        def write(numbers: Sequence[int], prompts: Sequence[Sequence[int]]) -> list[Generated]:
            chosen = [rows[number] for number in numbers]
            hooks = first.pop() if first else self.hooks(chosen)
            return self._generator(prompts, [row.request_id for row in chosen], hooks)

        return score_together(rows, steps_of(self.config, self._generator.stop.text), read, write)


# Makes the hooks of these requests, put to the model as these prompts.
MakeHooks = Callable[[Sequence[Request], Sequence[Sequence[int]]], PackedHooks]
SCORED_AT_ONCE = 512


@dataclass(frozen=True)
class PackedAnswer:
    """Columns of a response, and its number among the rows of the `hooks` under which it came about."""

    columns: dict[str, Any]
    hooks: PackedHooks
    number: int


class PackedAnswers:
    """The answers to the requests of one worker: the columns of a response that the answer decides."""

    def __init__(self, simple: Generator, config: WorkerConfig, make_hooks: MakeHooks) -> None:
        self._passes = PackedModel(simple.model)
        self.generator = PackedGenerator(simple, self._passes)
        self._scorer, self._rules = PackedScorer(self._passes), Readouts(config)
        self._config, self._make_hooks = config, make_hooks
        self._scored_at_once = SCORED_AT_ONCE

    def why_not(
        self, prompts: Sequence[Sequence[int]], simple_hooks: StreamHooks, hooks: PackedHooks
    ) -> str | None:
        """What keeps packed passes from giving the model's own logits behind `prompts`, or None."""
        reason = why_not_packed(self.generator.simple, self._passes, prompts, simple_hooks, hooks)
        self._passes.forget()
        return reason

    def __call__(self, rows: Sequence[Request], limit: int | None) -> list[PackedAnswer]:
        """One answer for each of `rows`, at most `limit` at once (None: what memory allows).

        MemoryEndedError where there is no memory for a single one.
        """
        if not rows:
            return []
        if self._config.scoring.mode == "generate":
            outputs, hooks = self._generate(rows, limit)
            return [
                PackedAnswer(generated_columns(output, row, self._config), hooks, number)
                for number, (output, row) in enumerate(zip(outputs, rows, strict=True))
            ]
        return self._log_odds(rows, limit)

    def _generate(self, rows: Sequence[Request], limit: int | None) -> tuple[list[Generated], PackedHooks]:
        prompts = [row.prompt_ids for row in rows]
        hooks = self._make_hooks(rows, prompts)
        return self.generator(prompts, [row.request_id for row in rows], hooks, limit), hooks

    def _log_odds(self, rows: Sequence[Request], limit: int | None) -> list[PackedAnswer]:
        """Options read by their probabilities. The hooks of an answer are those of what is read or written
        first, of all rows."""
        first: list[PackedAnswer] = []

        def read(numbers: Sequence[int], prompts: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
            answers = self._score([rows[number] for number in numbers], prompts)
            first.extend(answers if not first else ())
            return [answer.columns for answer in answers]

        def write(numbers: Sequence[int], _: Sequence[Sequence[int]]) -> list[Generated]:
            outputs, hooks = self._generate([rows[number] for number in numbers], limit)
            if not first:
                first.extend(PackedAnswer({}, hooks, number) for number in range(len(rows)))
            return outputs

        steps = steps_of(self._config, self.generator.simple.stop.text)
        columns = score_together(rows, steps, read, write)
        return [replace(answer, columns=row) for answer, row in zip(first, columns, strict=True)]

    def _score(self, rows: Sequence[Request], prompts: Sequence[Sequence[int]]) -> list[PackedAnswer]:
        """Log-odds behind each of `prompts`, with the hooks of the first pass over it."""
        answers: list[PackedAnswer] = []
        while len(answers) < len(rows):
            part = slice(len(answers), len(answers) + self._scored_at_once)
            try:
                answers += self._score_part(rows[part], [list(ids) for ids in prompts[part]])
            except MemoryEndedError as error:
                if len(rows[part]) == 1:
                    raise
                self._scored_at_once = len(rows[part]) // 2
                note = f"{len(rows[part])} prompts at once: {error}; went on with {self._scored_at_once}"
                self.generator.halvings.append(note)
                log.warning("memory ran out: %s", note)
        return answers

    def _score_part(self, rows: Sequence[Request], prompts: list[list[int]]) -> list[PackedAnswer]:
        def hooks_of(chosen: Sequence[int], chosen_prompts: list[list[int]]) -> PackedHooks:
            return self._make_hooks([rows[i] for i in chosen], chosen_prompts)

        rules = [self._rules(row) for row in rows]
        read, hooks = self._scorer(prompts, rules, hooks_of)
        columns = [rule.columns(logps) for rule, logps in zip(rules, read, strict=True)]
        return [PackedAnswer(result, hooks, number) for number, result in enumerate(columns)]

"""The plain sampler on transformers: unsteered requests, in `generate` or `logprob` mode.

`steering.hook_worker` builds on it: the same loop with hooks in the stream, so that the baseline of a
steered run comes from the same worker as what it is compared with (DESIGN 3).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from engine.answers import parse_answer
from engine.errors import InputError, RunError
from engine.generation import Generated, Generator, NoHooks, StreamHooks, in_batches, with_smaller_batches
from engine.memory import MemoryEndedError
from engine.models import load_model, load_tokenizer
from engine.packed_model import NoPackedHooks, PackedHooks
from engine.packed_worker import PackedAnswers
from engine.spellings import LogprobScorer
from engine.worker import (
    Request,
    WorkerConfig,
    answer_room,
    asked_columns,
    refuse_steered,
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
        self._generator = Generator(self.model, self.tokenizer, config.sampling)
        self._scorer = LogprobScorer(self.model, self._generator.pad, config)
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
            self._response(row, seconds, self.proof(answer.hooks, answer.place) | answer.columns)
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

    def proof(self, hooks: StreamHooks | PackedHooks, place: int) -> dict[str, Any]:
        """What is recorded about the steering of one row."""
        return {"steered_tokens": 0, "proof_error": None}

    def _answer(self, rows: list[Request]) -> list[dict[str, Any]]:
        started = time.perf_counter()
        hooks = self.hooks(rows)
        answer = self._generate if self.config.scoring.mode == "generate" else self._score
        results = answer(rows, hooks)
        seconds = (time.perf_counter() - started) / len(rows)
        return [
            self._response(row, seconds, self.proof(hooks, place) | result)
            for place, (row, result) in enumerate(zip(rows, results, strict=True))
        ]

    def _response(self, row: Request, seconds: float, answer: dict[str, Any]) -> dict[str, Any]:
        return asked_columns(row) | {"seconds": seconds} | self._about | answer

    def _generate(self, rows: list[Request], hooks: StreamHooks) -> list[dict[str, Any]]:
        outputs = self._generator([row.prompt_ids for row in rows], [row.request_id for row in rows], hooks)
        return [written(output) for output in outputs]

    def _score(self, rows: list[Request], hooks: StreamHooks) -> list[dict[str, Any]]:
        """Log-odds behind an empty thought; rows with too little mass, behind a generated one (DESIGN 6)."""
        results = self._scorer([row.cued_ids for row in rows], hooks, self.hooks, rows)
        weak = [i for i, result in enumerate(results) if result["state"] == "unparsed"]
        if weak:
            again = [rows[i] for i in weak]
            for i, result in zip(weak, self._fallback(again), strict=True):
                if result is not None:
                    results[i] = result
        return results

    def _fallback(self, rows: list[Request]) -> list[dict[str, Any] | None]:
        """Scores behind the thought that the model writes; None where it never comes to an answer."""
        outputs = self._generator(
            [row.prompt_ids for row in rows], [row.request_id for row in rows], self.hooks(rows)
        )
        thoughts = [self._scorer.up_to_marker(output.ids, self._generator.stop.text) for output in outputs]
        places = [i for i, thought in enumerate(thoughts) if thought is not None]
        results: list[dict[str, Any] | None] = [None] * len(rows)
        if not places:
            return results
        chosen = [rows[i] for i in places]
        prompts = [[*rows[i].prompt_ids, *(thoughts[i] or ())] for i in places]
        scored = self._scorer(prompts, self.hooks(chosen), self.hooks, chosen)
        for i, result in zip(places, scored, strict=True):
            if result["state"] != "unparsed":
                results[i] = behind_thought(result, outputs[i])
        return results


def written(output: Generated) -> dict[str, Any]:
    """The columns of a response that was generated."""
    answer = parse_answer(output.text)
    return {
        "state": answer.state,
        "reason": answer.reason,
        "text": output.text,
        "answer_ids": list(output.ids),
        "finish": output.finish,
        "new_tokens": len(output.ids),
        "fallback": False,
    }


def behind_thought(result: dict[str, Any], thought: Generated) -> dict[str, Any]:
    """`result`, which was read behind the answer marker of a generated thought."""
    ids = list(thought.ids)
    return result | {
        "fallback": True,
        "reason": "fallback",
        "text": thought.text,
        "answer_ids": ids,
        "new_tokens": len(ids),
    }


def device_name(device: str) -> str:
    """A name that two machines with the same hardware share."""
    import torch

    if device.startswith("cuda"):
        return f"cuda {torch.cuda.get_device_name(torch.device(device))}"
    return device


def versions() -> str:
    """The libraries that decide what a model answers."""
    import torch
    import transformers

    return f"torch {torch.__version__}, transformers {transformers.__version__}"

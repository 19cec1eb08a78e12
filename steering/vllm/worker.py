"""The vLLM worker with steering in the stream, proven for every row (DESIGN 3, 7)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.identity import digest
from axiograph.engine.vllm.exchange import EngineCall
from axiograph.engine.vllm.stopping import AnswerStop, not_finite
from axiograph.engine.vllm.worker import VllmWorker
from axiograph.engine.workers.worker import Request, WorkerConfig, refuse_unknown
from axiograph.steering.directions.operations import Operation, steering_digests
from axiograph.steering.hf.worker import strongest_of_each_kind
from axiograph.steering.vllm.rows import EXTRA, UNSTEERED, pack_conditions

CANARY_TOKENS = 2  # the second is the first that reads a steered token of the answer
CANARY_LOGPROBS = 20


class SteeredVllmWorker(VllmWorker):
    """Answers steered and unsteered requests, mixed in any way, in one vLLM engine.

    `conditions` maps the steered conditions to their operations, `names` are those of all conditions of the
    study. Proof as in steering.hf.worker: a row whose steering did not fire stops the run.
    """

    extension = "axiograph.steering.vllm.extension.SteeringExtension"

    def __init__(
        self,
        config: WorkerConfig,
        engine_args: Mapping[str, Any],
        conditions: Mapping[str, Sequence[Operation]],
        names: frozenset[str],
        process: bool | None = None,
    ) -> None:
        self.conditions, self.names = dict(conditions), names
        self._numbers = {name: number for number, name in enumerate(self.conditions)}
        self._digests = steering_digests(self.conditions)
        self._spans: dict[tuple[int, ...], str] = {}
        super().__init__(config, engine_args, process)

    def own_arguments(self, engine_args: Mapping[str, Any]) -> dict[str, Any]:
        # Read by vLLM's processes at their start; its V2 runner keeps a batch in other places.
        os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
        return steering_arguments(self.conditions, engine_args)

    def prepare_engine(self) -> None:
        answers = self.engine.ask_workers("axiograph_install", pack_conditions(self.conditions))
        points = {str(op.hook_point) for operations in self.conditions.values() for op in operations}
        missing = points - {point for _, held in answers for point in held}
        reason = next((reason for reason, _ in answers if reason), "")
        if reason or missing:
            obstacle = reason or f"no worker that holds {', '.join(sorted(missing))}"
            raise RunError("vLLM worker", "a model that can be steered", obstacle, "Use backend: hf.")
        self._canary()

    def check(self, rows: Sequence[Request]) -> None:
        refuse_unknown(rows, self.names, "vLLM worker")
        for row in rows:
            if any(op.span == "prompt_span" for op in self.conditions.get(row.condition, ())):
                self._check_span(row)

    def _check_span(self, row: Request) -> None:
        """The tokens at the steered positions spell the span's words (DESIGN 7)."""
        ids = tuple(row.prompt_ids[i] for i in row.span)
        if ids not in self._spans:
            text = self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
            self._spans[ids] = " ".join(text.split())
        if not ids or self._spans[ids] != row.span_text:
            raise _failure(
                row, f"steered tokens that decode to '{row.span_text}'", f"'{self._spans.get(ids, '')}'"
            )

    def label(self, row: Request) -> tuple[str | None, dict[str, Any] | None]:
        number = self._numbers.get(row.condition, UNSTEERED)
        about = [number, len(row.prompt_ids), *row.span] if number != UNSTEERED else [UNSTEERED, 0]
        return self.salt(row), {EXTRA: about}

    def salt(self, row: Request) -> str | None:
        """What must be equal for keys to be shared: the operations with their vectors, and the span."""
        if row.condition not in self.conditions:
            return None
        span = b"".join(position.to_bytes(4, "little") for position in row.span)
        return digest(self._digests[row.condition], span).hex()

    def check_done(self, rows: Sequence[Request], results: Sequence[dict[str, Any]]) -> None:
        computed = {name: n for result in results for name, n in result["computed"].items()}
        proofs = self._proofs(computed)
        for row, result in zip(rows, results, strict=True):
            row_proofs = [proofs[name] for name in result["computed"]]
            for _, _, failure in row_proofs:
                if failure:
                    raise _failure(row, *_halves(failure))
            if row.condition in self.conditions and row_proofs:
                result["steered_tokens"] = row_proofs[0][0]
                result["proof_error"] = max(error for _, error, _ in row_proofs)

    def _proofs(self, computed: dict[str, int]) -> dict[str, tuple[int, float, str]]:
        """Proofs by request, from all workers together: each sees the layers that it holds."""
        merged: dict[str, tuple[int, float, str]] = {}
        for finite, proofs in self.engine.ask_workers("axiograph_proofs", computed):
            if not finite:
                raise not_finite()
            for name, (tokens, error, failure) in proofs.items():
                _, largest, before = merged.get(name, (0, 0.0, ""))
                merged[name] = (tokens, max(largest, error), before or failure)
        return merged

    def _canary(self) -> None:
        """Steer one prompt under every kind of operation; equal log-probabilities mean refusal to run."""
        baseline = self._canary_logprobs("")
        for name in strongest_of_each_kind(self.conditions):
            if self._canary_logprobs(name) == baseline:
                raise RunError(
                    f"canary of condition '{name}'",
                    "log-probabilities that differ from the unsteered ones",
                    "equal ones",
                    "In vLLM on this machine steering does not reach the output: nothing was sampled. Check "
                    "strength, layer and span; if they are right, use backend: hf and report it.",
                )

    def _canary_logprobs(self, condition: str) -> list[dict[int, float]]:
        """The largest log-probabilities behind the canary prompt and behind one token more."""
        canary = self.config.canary
        ids, span = list(canary.ids), list(canary.span)
        row = Request(b"", "canary", condition, "canary", 0, ids, span, canary.span_text, [])
        _, extra = self.label(row)
        params = self.sampling(row, EngineCall(ids, CANARY_TOKENS), extra)
        params.logprobs, params.stop_token_ids = CANARY_LOGPROBS, []
        params.temperature, params.seed = 0.0, None
        # A salt of its own: every canary passes through the model whole, so that equal means equal.
        name = self.engine.add("canary", ids, params, f"canary {condition}", AnswerStop(None, ()))
        (output,) = self._run_alone()
        proof = self._proofs({name: len(ids) + CANARY_TOKENS - 1})[name]
        if proof[2]:
            raise _failure(row, *_halves(proof[2]))
        return [{token: lp.logprob for token, lp in step.items()} for step in output.outputs[0].logprobs]

    def _run_alone(self) -> list[Any]:
        outputs: list[Any] = []
        while self.engine.unfinished:
            outputs += self.engine.step()
        return outputs


def steering_arguments(
    conditions: Mapping[str, Sequence[Operation]], engine_args: Mapping[str, Any]
) -> dict[str, Any]:
    """Engine arguments under which hooks fire in every pass that steers.

    Hooks are Python: they fire in eager passes only. With `enforce_eager: false` decode steps may be
    captured CUDA graphs where steering touches prompts only (untested: no GPU with vLLM was at hand; the
    canary and the proof of every row refuse if it does not hold). InputError where it touches answers, and
    for `async_scheduling`, under which the runner learns a row's newest token behind the pass.
    """
    if engine_args.get("async_scheduling"):
        raise InputError(
            "study, field model.engine_args.async_scheduling",
            "false or nothing in a study that steers",
            "true",
            "Remove it: the places of steered tokens are known step by step.",
        )
    fixed: dict[str, Any] = {"async_scheduling": False}
    if engine_args.get("enforce_eager", True):
        return fixed | {"enforce_eager": True}
    for name, operations in conditions.items():
        if any(op.span in ("generated", "all") for op in operations):
            raise InputError(
                "study, field model.engine_args.enforce_eager",
                f"true, since condition '{name}' steers generated tokens",
                "false",
                "Remove it: captured decode steps would not be steered.",
            )
    graphs = {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}
    return fixed | {"compilation_config": engine_args.get("compilation_config", graphs)}


def _halves(failure: str) -> tuple[str, str]:
    expected, _, observed = failure.partition(", found ")
    return (expected, observed) if observed else ("steering as labelled", failure)


def _failure(row: Request, expected: str, observed: str) -> RunError:
    return RunError(
        f"proof of steering in vLLM, role '{row.role}', condition '{row.condition}', item {row.item_id}",
        expected,
        observed,
        "This answer was not stored; report this with the study, it is a bug.",
    )

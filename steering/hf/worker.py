"""The hook worker: the plain sampler with steering in the stream, proven for every row (DESIGN 3, 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.hf.model import PackedHooks
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.generation import Batch, NoHooks, StreamHooks, pad_batch
from axiograph.engine.workers.worker import Request, WorkerConfig, refuse_unknown
from axiograph.steering.directions.operations import Operation
from axiograph.steering.hf.packed_proof import Claims, ProvenRows
from axiograph.steering.hf.packed_stream import Marks
from axiograph.steering.hf.proof import RowProof, StreamProbe, check_prompt_pass, check_step
from axiograph.steering.hf.stream import Steering


class HookWorker(HfWorker):
    """Answers steered and unsteered requests, mixed in any way.

    `conditions` maps the steered conditions to their operations, `names` are those of all conditions of the
    study: a request of any other is refused, so that no answer can carry a label that means nothing here.
    """

    backend = "hf"

    def __init__(
        self,
        config: WorkerConfig,
        conditions: Mapping[str, Sequence[Operation]],
        names: frozenset[str],
    ) -> None:
        self.conditions, self.names = dict(conditions), names
        super().__init__(config)

    def _start(self) -> None:
        self._canary()
        self._marks, self._claims = Marks(self.conditions), Claims(self.conditions, self.tokenizer)
        # The canaries of all conditions, mixed with the baseline's, as packed passes answer them.
        rows = [self._canary_request(name) for name in ("", *self._canary_conditions(), "")]
        prompts = [row.prompt_ids for row in rows]
        hooks = ProvenRows(self.model, self._marks, self._claims, rows, prompts)
        self._check_packed(prompts, ProvenSteering(self, rows), hooks)

    def refuse(self, rows: Sequence[Request]) -> None:
        refuse_unknown(rows, self.names, "hook worker")

    def packed_hooks(self, rows: Sequence[Request], prompts: Sequence[Sequence[int]]) -> PackedHooks:
        self.refuse(rows)
        return ProvenRows(self.model, self._marks, self._claims, rows, prompts)

    def hooks(self, rows: Sequence[Request]) -> StreamHooks:
        self.refuse(rows)
        if not any(row.condition in self.conditions for row in rows):
            return NoHooks()
        return ProvenSteering(self, rows)

    def proof(self, hooks: StreamHooks | PackedHooks, row: int) -> dict[str, Any]:
        if isinstance(hooks, ProvenRows):
            packed = hooks.proof(row)
            error = packed.error if hooks.is_steered(row) else None
            return {"steered_tokens": packed.steered, "proof_error": error}
        if not isinstance(hooks, ProvenSteering):
            return super().proof(hooks, row)
        proof = hooks.proofs[row]
        steered = proof.steered_tokens > 0 or hooks.is_steered(row)
        return {"steered_tokens": proof.steered_tokens, "proof_error": proof.error if steered else None}

    def _canary(self) -> None:
        """Steer one prompt under every kind of operation; equal log-probabilities mean refusal to run."""
        baseline = self._canary_logits(None)
        for name in self._canary_conditions():
            if bool((self._canary_logits(name) == baseline).all()):
                raise RunError(
                    f"canary of condition '{name}'",
                    "log-probabilities that differ from the unsteered ones",
                    "equal ones",
                    "On this machine steering does not reach the output: nothing was sampled. "
                    "Check strength, layer and span; if they are right, report it with the study.",
                )

    def _canary_request(self, condition: str) -> Request:
        canary = self.config.canary
        ids, span = list(canary.ids), list(canary.span)
        return Request(b"", "canary", condition, "canary", 0, ids, span, canary.span_text, [])

    def _canary_conditions(self) -> list[str]:
        return strongest_of_each_kind(self.conditions)

    def _canary_logits(self, condition: str | None) -> Any:
        """Logits of the canary prompt and of one step behind it, [2, vocabulary]."""
        import torch

        request = self._canary_request(condition or "")
        hooks: StreamHooks = ProvenSteering(self, [request]) if condition is not None else NoHooks()
        batch = pad_batch([request.prompt_ids], 0, str(self.model.device))
        with torch.inference_mode():
            with hooks.prefill(batch):
                first = self.model(input_ids=batch.ids, use_cache=True)
            token = batch.ids[:, -1:]
            with hooks.decode() or _nothing():
                second = self.model(input_ids=token, past_key_values=first.past_key_values)
        return torch.cat([first.logits[0, -1:], second.logits[0, -1:]]).float()


def strongest_of_each_kind(conditions: Mapping[str, Sequence[Operation]]) -> list[str]:
    """For every combination of kinds, spans and hook points, the condition that moves most."""
    strongest: dict[Any, tuple[float, str]] = {}
    for name, operations in conditions.items():
        if all(op.may_rest for op in operations):
            continue
        key = tuple((op.kind, op.span, op.hook_point) for op in operations)
        size = sum(_size(op) for op in operations)
        strongest[key] = max(strongest.get(key, (0.0, name)), (size, name))
    return [name for _, name in strongest.values()]


def _size(op: Operation) -> float:
    if op.clamp is not None:
        return op.clamp.target * float(op.clamp.writer.norm())
    return float(op.vector.norm()) if op.vector is not None else 1.0


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class ProvenSteering:
    """The hooks of one batch: steer, and check what reached the next module against the rows' labels."""

    def __init__(self, worker: HookWorker, rows: Sequence[Request]) -> None:
        self._worker, self._all = worker, list(rows)
        operations = [worker.conditions.get(row.condition, ()) for row in rows]
        self._steering = Steering(worker.model, operations, rows)
        self._live = list(range(len(rows)))
        self._steps = any(op.span in ("generated", "all") for ops in operations for op in ops)
        self.proofs: list[RowProof] = [RowProof() for _ in rows]

    def is_steered(self, row: int) -> bool:
        return self._all[row].condition in self._worker.conditions

    @contextmanager
    def prefill(self, batch: Batch) -> Iterator[None]:
        worker = self._worker
        probe = StreamProbe(worker.model, self._steering.hook_points(("prompt_span", "prompt", "all")))
        with probe.recording_before(), self._steering.prefill(batch), probe.recording_after():
            yield
        self.proofs = check_prompt_pass(probe, batch, self._all, worker.conditions, worker.tokenizer)

    def decode(self) -> Any:
        """None when no row of the batch is steered beyond its prompt: then steps run untouched."""
        return self._step() if self._steps else None

    @contextmanager
    def _step(self) -> Iterator[None]:
        worker = self._worker
        probe = StreamProbe(worker.model, self._steering.hook_points(("generated", "all")))
        with probe.recording_before(), self._steering.decode(), probe.recording_after():
            yield
        requests = [self._all[row] for row in self._live]
        for row, error in zip(self._live, check_step(probe, requests, worker.conditions), strict=True):
            self.proofs[row].error = max(self.proofs[row].error, error)

    def keep(self, rows: Sequence[int]) -> None:
        self._live = [self._live[row] for row in rows]
        self._steering.keep(rows)


def check_spans(conditions: Mapping[str, Sequence[Operation]], mode: str, n_layers: int) -> None:
    """InputError for steering that cannot act: not in this scoring mode, or on nothing that is read."""
    for name, operations in conditions.items():
        last = HookPointSpec(layer=n_layers - 1, place="resid_post")
        if all(op.span == "prompt_span" and op.hook_point == last for op in operations):
            raise InputError(
                f"study, steering '{name}', field hook_point",
                "a place before the last layer's output, or a span that reaches the answer",
                f"{last} at the prompt's span only, which nothing behind it reads",
                "Use an earlier layer, resid_pre, or span: all.",
            )
        if mode == "logprob" and any(op.span == "generated" for op in operations):
            raise InputError(
                f"study, steering '{name}', field span",
                "a span inside the prompt, since logprob mode generates nothing",
                "generated",
                "Use span: prompt_span, prompt or all, or scoring mode generate.",
            )

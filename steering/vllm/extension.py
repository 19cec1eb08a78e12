"""Steering inside vLLM: a worker extension that lives beside the model, given to the engine by name.

Every request carries the number of its condition, its prompt length and its span; the operations of all
conditions came before, by `axiograph_install`. Any mix of conditions may share a running batch, with
continuous batching, chunked prefill and prefix caching on: positions are absolute, from the number of
tokens that were computed before. Written for the V1 model runner of vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.vllm.extension import all_finite, complete_pipeline, watch_logits
from axiograph.engine.workers.models import decoder_layers
from axiograph.steering.vllm.proof import Ledger, PassProof, is_elsewhere
from axiograph.steering.vllm.rows import EXTRA, UNSTEERED, Part, Row, stack_operations, unpack_conditions
from axiograph.steering.vllm.stream import Steerer

NEEDED = ("_model_forward", "input_batch", "query_start_loc", "requests", "kv_cache_config")


class SteeringExtension:
    """The methods that vLLM's workers gain; called on every worker at once."""

    model_runner: Any
    axiograph_steering: VllmSteering

    def axiograph_install(self, table: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
        """Set the hooks for `table` (steering.vllm.rows.pack_conditions): why that cannot be done, or "", and
        the hook points that lie in this process."""
        runner = self.model_runner
        if not all(hasattr(runner, name) for name in NEEDED):
            return f"the V1 model runner of vLLM 0.32, not that of {type(runner).__module__}", []
        complete_pipeline(runner)
        watch_logits(runner)
        self.axiograph_steering = VllmSteering(runner, table)
        return "", [str(point) for point in self.axiograph_steering.points]

    def axiograph_proofs(self, computed: Mapping[str, int]) -> tuple[bool, dict[str, tuple[int, float, str]]]:
        """Whether all logits were numbers, and per request (by vLLM's name, with the number of its tokens
        that must have passed through the model): steered prompt tokens, largest error, failure or ""."""
        finite = all_finite(self.model_runner)
        return finite, {name: self.axiograph_steering.proof(name, n) for name, n in computed.items()}


class VllmSteering:
    """Steers the passes of one model runner and keeps the proofs of its requests."""

    def __init__(self, runner: Any, table: Sequence[Mapping[str, Any]]) -> None:
        self._runner = runner
        self._conditions = unpack_conditions(table)
        self._table = stack_operations(self._conditions, runner.device)
        self._rows: dict[str, Row] = {}
        self._admitted: list[tuple[Row, int]] = []
        self._ledger = Ledger(
            [group.kv_cache_spec.block_size for group in runner.kv_cache_config.kv_cache_groups]
        )
        points = {op.hook_point for operations in self._conditions for op in operations}
        self._steerer = Steerer(self._table)
        self.points = _held_points(runner.model, points)
        self._proof = PassProof(self.points)
        self._hook_all(runner.model)
        self._forward = runner._model_forward
        runner._model_forward = self._pass

    def _hook_all(self, model: Any) -> None:
        layers = list(decoder_layers(model))
        for point in self.points:
            self._proof.hook_before(layers[point.layer], point)
            self._steerer.hook(layers[point.layer], point)
            self._proof.hook_after(model, layers, point)

    def _pass(self, input_ids: Any = None, positions: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The model's pass over one batch, in the place of the runner's own method."""
        parts = self._parts()
        steered = [part for part in parts if part.start < part.row.last]
        self._steerer.set(steered)
        self._proof.expect(parts if steered else [], input_ids, positions)
        output = self._forward(input_ids, positions, *args, **kwargs)
        self._proof.judge(self._steerer.acted)
        self._steerer.set([])
        for part in parts:
            if part.row.proven >= part.start:
                part.row.proven = max(part.row.proven, part.stop)
        if self._admitted:
            self._ledger.check_hits(self._admitted)
            self._admitted = []
        return output

    def _parts(self) -> list[Part]:
        """The batch as vLLM has just laid it out, and what it says about the cache."""
        batch = self._runner.input_batch
        names = batch.req_ids
        offsets = self._runner.query_start_loc.np[: len(names) + 1].tolist()
        starts = batch.num_computed_tokens_cpu[: len(names)].tolist()
        parts = []
        for i, name in enumerate(names):
            row = self._rows.get(name) or self._register(name)
            part = Part(row, offsets[i], starts[i], offsets[i + 1] - offsets[i])
            if row.next != part.start or row.blocks is not row.state.block_ids:
                self._admit(row, part.start)
            if self._ledger.crosses(part.start, part.count):
                self._ledger.write(part)
            row.next = part.stop
            parts.append(part)
        return parts

    def _register(self, name: str) -> Row:
        state = self._runner.requests[name]
        condition, prompt, *span = state.sampling_params.extra_args[EXTRA]
        steered = condition != UNSTEERED
        operations = self._conditions[condition] if steered else ()
        numbers = self._table.numbers[condition] if steered else []
        row = Row(state, condition, operations, tuple(numbers), prompt, tuple(span))
        self._rows[name] = row
        return row

    def _admit(self, row: Row, cached: int) -> None:
        """A request enters the batch, for the first time or after it was preempted; its first `cached`
        tokens have keys already."""
        row.proven, row.blocks = cached, row.state.block_ids
        if cached:
            self._admitted.append((row, cached))

    def proof(self, name: str, computed: int) -> tuple[int, float, str]:
        row = self._rows.pop(name, None)
        if row is None:
            return 0, 0.0, "a pass through the model, found none"
        if row.failure is None and row.proven < min(computed, row.last):
            row.fail(f"{min(computed, row.last)} tokens that passed the hooks, found {row.proven}")
        return row.prompt_steered(), row.error, row.failure or ""


def _held_points(model: Any, points: set[HookPointSpec]) -> list[HookPointSpec]:
    """The hook points that lie in this process, in layer order."""
    layers = decoder_layers(model)
    held = [point for point in points if not is_elsewhere(layers[point.layer])]
    return sorted(held, key=lambda point: (point.layer, point.place != "resid_pre"))

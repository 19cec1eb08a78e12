"""Proof inside vLLM that steering happened as labelled (DESIGN 7), by a check that does not trust it.

In every pass with steered tokens the stream is recorded before the steering and where the next module
receives it. What should have changed is worked out again from the positions and tokens that the model
itself was given, and from each request's own operations.

A request that finds its prefix in the cache did not pass its steered tokens through the model. A ledger
holds who wrote each block of the cache: the steering is proven if that request had the same tokens and the
same steering there, and was proven itself. This also shows poisoned blocks to unsteered requests, whatever
salts were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.models import FINAL_NORMS, find_module
from axiograph.steering.directions.operations import Operation
from axiograph.steering.hf.proof import ROUNDING
from axiograph.steering.vllm.rows import Part, Row
from axiograph.steering.vllm.stream import Streamed, returned_stream, stream_receiver

if TYPE_CHECKING:
    import torch


class PassProof:
    """Records the stream of one pass at those of `points` where something should happen, and judges it."""

    def __init__(self, points: Sequence[HookPointSpec]) -> None:
        self._points = list(points)
        self._parts: list[Part] = []
        self._acting: dict[HookPointSpec, list[tuple[Part, Operation, list[int]]]] = {}
        self._before: dict[HookPointSpec, torch.Tensor] = {}
        self._after: dict[HookPointSpec, tuple[torch.Tensor, torch.Tensor]] = {}

    def hook_before(self, layer: Any, point: HookPointSpec) -> None:
        """To be set before the steering's hook: hooks run in the order in which they were set."""
        if point.place == "resid_post":

            def after(module: Any, args: Any, output: Any) -> None:
                self._record_before(point, returned_stream(output))

            layer.register_forward_hook(after)
        else:
            received = stream_receiver(layer)

            def before(module: Any, args: Any, kwargs: Any) -> None:
                self._record_before(point, received(args, kwargs))

            layer.register_forward_pre_hook(before, with_kwargs=True)

    def hook_after(self, model: Any, layers: Sequence[Any], point: HookPointSpec) -> None:
        """To be set behind the steering's hook: at the module that receives the stream, where it is here."""
        consumer = consumer_of(model, layers, point)
        if consumer is not None:
            received = stream_receiver(consumer)

            def before(module: Any, args: Any, kwargs: Any) -> None:
                self._record_after(point, received(args, kwargs))

            # Prepended: what the consumer is given, before operations at its own resid_pre.
            consumer.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
        elif point.place == "resid_post":

            def after(module: Any, args: Any, output: Any) -> None:
                self._record_after(point, returned_stream(output))

            layers[point.layer].register_forward_hook(after)
        else:
            received = stream_receiver(layers[point.layer])

            def again(module: Any, args: Any, kwargs: Any) -> None:
                self._record_after(point, received(args, kwargs))

            layers[point.layer].register_forward_pre_hook(again, with_kwargs=True)

    def _record_before(self, point: HookPointSpec, stream: Streamed) -> None:
        if self._acting.get(point):
            self._before[point] = stream.whole()

    def _record_after(self, point: HookPointSpec, stream: Streamed) -> None:
        if self._acting.get(point):
            self._after[point] = (stream.whole(), stream.carrier.detach().clone())

    def expect(self, parts: Sequence[Part], input_ids: torch.Tensor, positions: torch.Tensor) -> None:
        """What the pass under way should change: by the tokens and positions that the model is given."""
        self._parts, self._acting = list(parts), {point: [] for point in self._points}
        self._before, self._after = {}, {}
        if not any(part.row.operations for part in parts):
            return
        all_ids, all_positions = input_ids.tolist(), positions.tolist()
        for part in parts:
            if part.row.operations:
                self._expect_row(part, all_ids[part.tokens], all_positions[part.tokens])

    def _expect_row(self, part: Part, ids: list[int], positions: list[int]) -> None:
        row, start, stop = part.row, positions[0], positions[-1] + 1
        if row.tokens(start, stop) != ids or positions != list(range(start, stop)):
            row.fail("other tokens than the request's own in its row")
            return
        for op in row.operations:
            at = [part.offset + i for i, position in enumerate(positions) if _acts(op, row, position)]
            if at and op.hook_point in self._acting:
                self._acting[op.hook_point].append((part, op, at))

    def judge(self, acted: Iterable[HookPointSpec]) -> None:
        """Fail every row whose stream did not change as it should, at any hook point of the pass."""
        for point in acted:
            if not self._acting.get(point):
                _fail_all(self._parts, f"no change at {point} in this pass")
        for point, acting in self._acting.items():
            if not acting:
                continue
            if point not in self._before or point not in self._after:
                _fail_all([part for part, _, _ in acting], f"a pass through {point}, which was not seen")
            else:
                self._judge_point(point, acting)
        self._acting, self._before, self._after = {}, {}, {}

    def _judge_point(self, point: HookPointSpec, acting: list[tuple[Part, Operation, list[int]]]) -> None:
        import torch

        before, (after, carrier) = self._before[point], self._after[point]
        expected, peak = _expected(before, acting)
        touched = torch.zeros(len(before), dtype=torch.bool)
        touched[sorted({token for _, _, at in acting for token in at})] = True
        error = (after - expected).abs()
        limits = torch.finfo(carrier.dtype)
        rounding = limits.eps / 2 * torch.maximum(expected.abs(), carrier.float().abs())
        bound = rounding + limits.smallest_normal + ROUNDING * torch.finfo(torch.float32).eps * peak
        # Written so that NaN fails.
        right = (error <= bound).all(-1).cpu()
        unchanged = (after == before).all(-1).cpu()
        good = torch.where(touched, right, unchanged).tolist()
        largest = torch.where(touched, error.amax(-1).cpu(), 0.0).tolist()
        for part in self._parts:
            part.row.error = max(part.row.error, *largest[part.tokens])
            if not all(good[part.tokens]):
                part.row.fail(
                    f"a change at {point} of strength × direction at the steered tokens and none elsewhere, "
                    f"found one that is off by up to {float(error[part.tokens].max()):.3g}"
                )


def _fail_all(parts: Iterable[Part], reason: str) -> None:
    for part in parts:
        part.row.fail(reason)


def _acts(op: Operation, row: Row, position: int) -> bool:
    """Whether `op` should act at a position, said once more and in other words than the steering does."""
    if op.span == "prompt_span":
        return position in row.span
    behind = position >= row.prompt
    return op.span == "all" or behind == (op.span == "generated")


def _expected(
    before: torch.Tensor, acting: Sequence[tuple[Part, Operation, list[int]]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The stream [tokens, d_model] as the operations should leave it, and its largest norm on the way."""
    import torch

    expected = before.clone()
    peak = expected.norm(dim=-1, keepdim=True)
    for op, at in _in_turns(acting):
        rows = expected[at]
        if op.vector is not None:
            rows = rows + op.vector.to(before.device)
        elif op.axis is not None:
            axis = op.axis.to(before.device)
            rows = rows - (rows @ axis).outer(axis) + op.target * axis
        expected[at] = rows
        peak[at] = torch.maximum(peak[at], rows.norm(dim=-1, keepdim=True))
    return expected, peak


def _in_turns(
    acting: Sequence[tuple[Part, Operation, list[int]]],
) -> list[tuple[Operation, list[int]]]:
    """Operations with all of their tokens: those that several rows share together, each row's in order."""
    turns: list[dict[int, tuple[Operation, list[int]]]] = []
    depth: dict[Row, int] = {}
    for part, op, at in acting:
        k = depth[part.row] = depth.get(part.row, -1) + 1
        if k == len(turns):
            turns.append({})
        turns[k].setdefault(id(op), (op, []))[1].extend(at)
    return [pair for turn in turns for pair in turn.values()]


def consumer_of(model: Any, layers: Sequence[Any], point: HookPointSpec) -> Any:
    """The module that receives the stream behind `point`, or None where the point itself is read again:
    behind resid_pre, and where the next layer lives in another process."""
    if point.place == "resid_pre":
        return None
    if point.layer + 1 < len(layers):
        following = layers[point.layer + 1]
        return None if is_elsewhere(following) else following
    norm = find_module(model, FINAL_NORMS)
    return None if is_elsewhere(norm) else norm


def is_elsewhere(module: Any) -> bool:
    """Whether vLLM's pipeline parallelism keeps this module in another process."""
    from vllm.model_executor.models.utils import PPMissingLayer

    return module is None or isinstance(module, PPMissingLayer)


NULL_BLOCK = 0  # vLLM's placeholder for blocks that a sliding window left behind


@dataclass(frozen=True)
class _Entry:
    writer: Row
    number: int  # of the block in its writer's own list


class Ledger:
    """`block_sizes`: tokens per block of every group of layers that shares a block table."""

    def __init__(self, block_sizes: Sequence[int]) -> None:
        self._sizes = list(block_sizes)
        self._entries: dict[int, _Entry] = {}

    def crosses(self, start: int, count: int) -> bool:
        """Whether these positions begin a block in any group."""
        return any(count > 1 or start % size == 0 for size in self._sizes)

    def write(self, part: Part) -> None:
        """The pass under way writes the blocks that begin inside `part`."""
        for blocks, size in zip(part.row.state.block_ids, self._sizes, strict=True):
            for number in range(-(-part.start // size), (part.stop - 1) // size + 1):
                self._entries[blocks[number]] = _Entry(part.row, number)

    def check_hits(self, admitted: Iterable[tuple[Row, int]]) -> None:
        """Fail every row of (row, number of its tokens that were cached) whose cached keys are not proven."""
        rows = list(admitted)
        failed = -1
        # A failure may make another row's blocks worthless: until nothing changes.
        while failed != (failed := sum(row.failure is not None for row, _ in rows)):
            for row, cached in rows:
                if row.failure is None and (reason := self._fault(row, cached)):
                    row.fail(reason)

    def _fault(self, row: Row, cached: int) -> str | None:
        compared: dict[Row, int] = {}
        for blocks, size in zip(row.state.block_ids, self._sizes, strict=True):
            if cached % size:
                return f"{cached} cached tokens, which are no whole blocks of {size}"
            for number in range(cached // size):
                if blocks[number] == NULL_BLOCK:
                    continue
                entry = self._entries.get(blocks[number])
                stop = (number + 1) * size
                if entry is None or entry.number != number or entry.writer.proven < stop:
                    return "cached keys of which nobody knows how they were computed"
                compared[entry.writer] = max(compared.get(entry.writer, 0), stop)
        for writer, stop in compared.items():
            if writer.failure is not None:
                return f"cached keys of a request that failed: {writer.failure}"
            if writer.tokens(0, stop) != row.tokens(0, stop) or not row.same_steering(writer, stop):
                return "cached keys that were computed under another steering"
            row.error = max(row.error, writer.error)
        return None

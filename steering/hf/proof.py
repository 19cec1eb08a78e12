"""Proof that steering happened as labelled, by a check that does not trust the code that steers (DESIGN 7).

The stream is recorded before the steering hook and where the next module receives it. What should have
changed is computed again from the row's condition and its token ids alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.errors import RunError
from axiograph.engine.workers.generation import Batch
from axiograph.engine.workers.models import FINAL_NORMS, decoder_layers, find_module
from axiograph.steering.hf.stream import hooked

if TYPE_CHECKING:
    import torch

    from axiograph.engine.study.steering import HookPointSpec
    from axiograph.engine.workers.worker import Request
    from axiograph.steering.directions.clamping import FeatureClamp
    from axiograph.steering.directions.operations import Operation

# Of float32 sums on the way to a changed number, in units of the last place of the largest norm.
ROUNDING = 16


@dataclass
class RowProof:
    """Steered prompt tokens of a row and the largest |observed − expected| change of its stream."""

    steered_tokens: int = 0
    error: float = 0.0


@dataclass(frozen=True)
class Change:
    """The stream [width, d_model] of one row at one hook point, in float32; `dtype` is the model's.

    peak [width, 1]: the largest L2 norm that a stream row had between the operations.
    """

    before: torch.Tensor
    after: torch.Tensor
    expected: torch.Tensor
    peak: torch.Tensor
    touched: list[int]
    dtype: torch.dtype


class StreamProbe:
    """Records the stream before and after steering at some hook points during one forward pass."""

    def __init__(self, model: Any, points: Sequence[HookPointSpec]) -> None:
        self._model, self._points = model, points
        self.before: dict[HookPointSpec, torch.Tensor] = {}
        self.after: dict[HookPointSpec, torch.Tensor] = {}

    @contextmanager
    def recording_before(self) -> Iterator[None]:
        """Enter this outside the steering: hooks run in the order in which they were set."""
        with ExitStack() as stack:
            for point in self._points:
                stack.enter_context(hooked(self._model, point, _recorder(self.before, point)))
            yield

    @contextmanager
    def recording_after(self) -> Iterator[None]:
        """Enter this inside the steering."""
        with ExitStack() as stack:
            for point in self._points:
                consumer = _consumer(self._model, point)
                recorder = _recorder(self.after, point)
                if consumer is None:
                    stack.enter_context(hooked(self._model, point, recorder))
                else:
                    # Prepended: what the consumer is given, before operations at its own resid_pre.
                    handle = consumer.register_forward_pre_hook(
                        _receiving(recorder), prepend=True, with_kwargs=True
                    )
                    stack.callback(handle.remove)
            yield


def _consumer(model: Any, point: HookPointSpec) -> Any:
    """The module that receives the stream behind `point`, or None where it is not known.

    Behind resid_post of the last layer that is the final norm. Behind resid_pre the point itself is read
    again.
    """
    layers = decoder_layers(model)
    if point.place == "resid_pre":
        return None
    if point.layer + 1 < len(layers):
        return layers[point.layer + 1]
    return find_module(model, FINAL_NORMS)


def _recorder(store: dict[HookPointSpec, torch.Tensor], point: HookPointSpec) -> Any:
    def record(stream: torch.Tensor) -> None:
        store[point] = stream.detach().clone()

    return record


def _receiving(recorder: Any) -> Any:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        recorder(args[0] if args else kwargs["hidden_states"])

    return hook


def check_prompt_pass(
    probe: StreamProbe,
    batch: Batch,
    rows: Sequence[Request],
    conditions: Mapping[str, Sequence[Operation]],
    tokenizer: Any,
) -> list[RowProof]:
    """Proofs of all rows after the pass over the prompts; RunError at the first row that fails."""
    proofs = []
    for row, request in enumerate(rows):
        operations = [op for op in conditions.get(request.condition, ()) if op.span != "generated"]
        ids = batch.ids[row, batch.starts[row] :].tolist()
        check_tokens(ids, request)
        _check_passed(probe, operations, request)
        steered: set[int] = set()
        error = 0.0
        for point, before in probe.before.items():
            acting = [op for op in operations if op.hook_point == point]
            positions = {id(op): _positions(op, ids, request, tokenizer) for op in acting}
            rows_before = before[row, batch.starts[row] :].float()
            rows_after = probe.after[point][row, batch.starts[row] :].float()
            expected, peak = _expected(rows_before, acting, positions)
            touched = sorted({i for steered_by in positions.values() for i in steered_by})
            change = Change(rows_before, rows_after, expected, peak, touched, before.dtype)
            error = max(error, _compare(change, request, point))
            steered.update(touched)
        proofs.append(RowProof(len(steered), error))
    return proofs


def check_step(
    probe: StreamProbe, rows: Sequence[Request], conditions: Mapping[str, Sequence[Operation]]
) -> list[float]:
    """Largest error per row after one generated token; RunError at the first row that fails."""
    errors = []
    for row, request in enumerate(rows):
        operations = [op for op in conditions.get(request.condition, ()) if op.span in ("generated", "all")]
        _check_passed(probe, operations, request)
        error = 0.0
        for point, before in probe.before.items():
            acting = [op for op in operations if op.hook_point == point]
            rows_before, rows_after = before[row].float(), probe.after[point][row].float()
            expected, peak = _expected(rows_before, acting, {id(op): [0] for op in acting})
            change = Change(rows_before, rows_after, expected, peak, [0] if acting else [], before.dtype)
            error = max(error, _compare(change, request, point))
        errors.append(error)
    return errors


def check_tokens(ids: list[int], request: Request) -> None:
    """RunError unless `ids`, put to the model, begin with the request's prompt, with or without the cue."""
    prompts = [list(request.prompt_ids), *([list(request.cued_ids)] if request.cued_ids else [])]
    if not any(ids[: len(prompt)] == prompt for prompt in prompts):
        raise failure(request, "the request's own tokens in its row", "other tokens")


def _check_passed(probe: StreamProbe, operations: Sequence[Operation], request: Request) -> None:
    """Hooks that never fired record nothing: then nothing was steered either."""
    for op in operations:
        if op.hook_point not in probe.before or op.hook_point not in probe.after:
            raise failure(request, f"a pass through {op.hook_point}", "none")


def _positions(op: Operation, ids: list[int], request: Request, tokenizer: Any) -> list[int]:
    """Where `op` should act, by the tokens themselves: those of a span must decode to its words."""
    if op.span in ("prompt", "all"):
        return list(range(len(request.prompt_ids) if op.span == "prompt" else len(ids)))
    text = tokenizer.decode([ids[i] for i in request.span], clean_up_tokenization_spaces=False)
    if not request.span or " ".join(text.split()) != request.span_text:
        raise failure(request, f"steered tokens that decode to '{request.span_text}'", f"'{text}'")
    return list(request.span)


def _expected(
    before: torch.Tensor, operations: Sequence[Operation], positions: Mapping[int, Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The stream [width, d_model] as the operations, one after the other, should leave it, and its peak."""
    expected = before.clone()
    peak = expected.norm(dim=-1, keepdim=True)
    for op in operations:
        at = list(positions[id(op)])
        if op.vector is not None:
            expected[at] += op.vector.to(before.device)
        elif op.axis is not None:
            axis = op.axis.to(before.device)
            expected[at] -= (expected[at] @ axis).outer(axis)
            expected[at] += op.target * axis
        elif op.clamp is not None:
            expected[at] = reset(expected[at], op.clamp)
        peak = peak.maximum(expected.norm(dim=-1, keepdim=True))
    return expected, peak


def reset(rows: torch.Tensor, clamp: FeatureClamp) -> torch.Tensor:
    """Stream rows [n, d_model] in which the feature of `clamp` has its target for an activation, worked out
    here again: what the feature now writes is taken out, what it should write is put in."""
    wide = rows.double()
    reader, writer = clamp.reader.to(rows.device).double(), clamp.writer.to(rows.device).double()
    read = (wide * reader).sum(-1) + clamp.bias
    active = (read > clamp.threshold).double()
    return (wide - (active * read).outer(writer) + clamp.target * writer).float()


def _compare(change: Change, request: Request, point: HookPointSpec) -> float:
    """Largest error; RunError beyond rounding where steered, and at any change elsewhere."""
    import torch

    mask = torch.zeros(change.before.shape[0], dtype=torch.bool, device=change.before.device)
    mask[change.touched] = True
    if bool((change.after[~mask] != change.before[~mask]).any()):
        raise failure(request, f"no change at {point} outside the steered tokens", "a change")
    if not change.touched:
        return 0.0
    expected = change.expected[mask]
    error = (change.after[mask] - expected).abs()
    # Rounding of each number to the model's dtype, once, and of float32 sums on the way there.
    rounding = torch.finfo(change.dtype).eps / 2 * expected.abs() + torch.finfo(change.dtype).smallest_normal
    bound = rounding + ROUNDING * torch.finfo(torch.float32).eps * change.peak[mask]
    # Written so that NaN fails.
    if not bool((error <= bound).all()):
        off = f"one that is off by {float(error.max()):.3g}"
        raise failure(request, f"a change at {point} of strength × direction", off)
    return float(error.max())


def failure(request: Request, expected: str, observed: str) -> RunError:
    """What a row is refused with whose steering is not what its condition says."""
    return RunError(
        f"proof of steering, role '{request.role}', condition '{request.condition}', item {request.item_id}",
        expected,
        observed,
        "The answers of this batch were not stored; report this with the study, it is a bug.",
    )

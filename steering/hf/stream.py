"""The residual stream of a transformers model: where it is read and changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axiograph.engine.workers.generation import Batch
from axiograph.engine.workers.models import decoder_layers

if TYPE_CHECKING:
    import torch

    from axiograph.engine.study.steering import HookPointSpec
    from axiograph.engine.workers.worker import Request
    from axiograph.steering.directions.operations import Operation

StreamFunction = Callable[["torch.Tensor"], "torch.Tensor | None"]


@contextmanager
def hooked(model: Any, hook_point: HookPointSpec, function: StreamFunction) -> Iterator[None]:
    """Call `function` with the stream [rows, width, d_model] at `hook_point`; what it returns replaces it.

    Functions on one hook point run in the order in which they were hooked.
    """
    layer = decoder_layers(model)[hook_point.layer]
    if hook_point.place == "resid_post":
        handle = layer.register_forward_hook(_post_hook(function))
    else:
        handle = layer.register_forward_pre_hook(_pre_hook(function), with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def unsteered_pass(model: Any, batch: Batch, functions: Mapping[HookPointSpec, StreamFunction]) -> None:
    """One pass over `batch` in which every function sees the stream at its hook point."""
    import torch

    with torch.inference_mode(), ExitStack() as stack:
        for hook_point, function in functions.items():
            stack.enter_context(hooked(model, hook_point, function))
        model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
            logits_to_keep=1,
        )


def _post_hook(function: StreamFunction) -> Callable[..., Any]:
    def hook(module: Any, args: Any, output: Any) -> Any:
        # Most layers return the stream itself, some a tuple that begins with it.
        stream = output[0] if isinstance(output, tuple) else output
        changed = function(stream)
        if changed is None:
            return None
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return hook


def _pre_hook(function: StreamFunction) -> Callable[..., Any]:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        stream = args[0] if args else kwargs["hidden_states"]
        changed = function(stream)
        if changed is None:
            return None
        if args:
            return (changed, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": changed}

    return hook


@dataclass(frozen=True)
class Round:
    """The stream rows that one operation of each of several batch rows acts on, flattened.

    rows, columns: [n] indices into the stream; operations: [n], which operation acts there.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    operations: tuple[Operation, ...]
    index: torch.Tensor


class Steering:
    """Applies each row's own operations to a batch; knows nothing about how that is proven.

    `operations[r]` are the operations of row r.
    """

    def __init__(
        self, model: Any, operations: Sequence[Sequence[Operation]], requests: Sequence[Request]
    ) -> None:
        self._model = model
        self._operations, self._requests = list(operations), list(requests)

    def hook_points(self, spans: tuple[str, ...]) -> list[HookPointSpec]:
        """Where rows of this batch are steered at one of the given kinds of spans, in layer order."""
        points = {op.hook_point for ops in self._operations for op in ops if op.span in spans}
        return sorted(points, key=lambda point: (point.layer, point.place != "resid_pre"))

    def keep(self, rows: Sequence[int]) -> None:
        self._operations = [self._operations[row] for row in rows]
        self._requests = [self._requests[row] for row in rows]

    @contextmanager
    def prefill(self, batch: Batch) -> Iterator[None]:
        """Steer the pass over the prompts: spans `prompt_span`, `prompt` and `all`.

        A row may go on behind its prompt (a cue or a thought in logprob mode): that is steered by `all`.
        """
        width = batch.ids.shape[1]

        def columns(row: int, span: str) -> Sequence[int]:
            start, request = batch.starts[row], self._requests[row]
            if span == "prompt_span":
                return [start + position for position in request.span]
            return range(start, start + len(request.prompt_ids) if span == "prompt" else width)

        with self._active(("prompt_span", "prompt", "all"), columns):
            yield

    @contextmanager
    def decode(self) -> Iterator[None]:
        """Steer one step over one new token per row: spans `generated` and `all`."""
        with self._active(("generated", "all"), lambda row, span: (0,)):
            yield

    @contextmanager
    def _active(self, spans: tuple[str, ...], columns: Callable[[int, str], Sequence[int]]) -> Iterator[None]:
        with ExitStack() as stack:
            for point in self.hook_points(spans):
                rounds = self._rounds(point, spans, columns)
                stack.enter_context(hooked(self._model, point, _apply(rounds)))
            yield

    def _rounds(
        self, point: HookPointSpec, spans: tuple[str, ...], columns: Callable[[int, str], Sequence[int]]
    ) -> list[Round]:
        """The k-th operation of every row at `point` forms round k: within one, no token comes twice."""
        acting = [
            [op for op in operations if op.hook_point == point and op.span in spans]
            for operations in self._operations
        ]
        depth = max(len(operations) for operations in acting)
        return [
            self._round([(row, ops[k]) for row, ops in enumerate(acting) if len(ops) > k], columns)
            for k in range(depth)
        ]

    def _round(
        self, acting: list[tuple[int, Operation]], columns: Callable[[int, str], Sequence[int]]
    ) -> Round:
        import torch

        distinct = list({id(op): op for _, op in acting}.values())
        number = {id(op): i for i, op in enumerate(distinct)}
        triples = [(row, column, number[id(op)]) for row, op in acting for column in columns(row, op.span)]
        table = torch.tensor(triples, dtype=torch.long, device=self._model.device).reshape(-1, 3)
        return Round(table[:, 0], table[:, 1], tuple(distinct), table[:, 2])


def _apply(rounds: list[Round]) -> StreamFunction:
    import torch

    def function(stream: torch.Tensor) -> torch.Tensor:
        # Rounded to the model's dtype once, behind the last operation; rows between stay as they are.
        changed = stream.to(torch.float32, copy=True)
        for round_ in rounds:
            rows = changed[round_.rows, round_.columns]
            changed[round_.rows, round_.columns] = _operate(rows, round_)
        return changed.to(stream.dtype)

    return function


def _operate(rows: torch.Tensor, round_: Round) -> torch.Tensor:
    """Every stream row [n, d_model] changed by its own operation, in float32."""
    import torch

    zero = torch.zeros(rows.shape[1])
    vectors = torch.stack([zero if op.vector is None else op.vector for op in round_.operations])
    axes = torch.stack([zero if op.axis is None else op.axis for op in round_.operations])
    targets = torch.tensor([op.target for op in round_.operations])
    vector, axis, target = (t.to(rows.device)[round_.index] for t in (vectors, axes, targets))
    # For `add` the axis is zero and so is the second term; for the others the vector is.
    component = (rows * axis).sum(-1)
    changed = rows + vector + (target - component).unsqueeze(-1) * axis
    for number, op in enumerate(round_.operations):
        if op.clamp is not None:
            clamped = round_.index == number
            changed[clamped] = op.clamp.apply(rows[clamped])
    return changed

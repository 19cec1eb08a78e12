"""Steering of packed passes: every token by its own operations; knows nothing about how that is proven."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.steering.hf.stream import hooked

if TYPE_CHECKING:
    import torch

    from axiograph.engine.study.steering import HookPointSpec
    from axiograph.engine.workers.worker import Request
    from axiograph.steering.directions.operations import Operation

# That many patterns of marks are kept.
PATTERNS = 512


class Marks:
    """Numbers what is done at a token: the operations that act there, in their order. 0 is nothing."""

    def __init__(self, conditions: Mapping[str, Sequence[Operation]]) -> None:
        self._conditions = conditions
        self._operations: list[Operation] = []
        numbers: dict[bytes, int] = {}
        self._numbers: dict[str, list[int]] = {}
        for name, operations in conditions.items():
            for op in operations:
                if op.digest not in numbers:
                    numbers[op.digest] = len(self._operations)
                    self._operations.append(op)
            self._numbers[name] = [numbers[op.digest] for op in operations]
        self._acts: list[tuple[int, ...]] = [()]
        self._mark: dict[tuple[int, ...], int] = {(): 0}
        # Most requests of a study have few patterns between them.
        self._pattern = lru_cache(PATTERNS)(self._marked)

    def _mark_of(self, acts: tuple[int, ...]) -> int:
        if acts not in self._mark:
            self._mark[acts] = len(self._acts)
            self._acts.append(acts)
        return self._mark[acts]

    def of_prompt(self, request: Request, length: int) -> np.ndarray:
        """The marks of a request's first `length` tokens, which may go on behind its prompt (with a cue or a
        thought in logprob mode): that is steered by `all`."""
        return self._pattern(request.condition, tuple(request.span), len(request.prompt_ids), length)

    def _marked(self, condition: str, span: tuple[int, ...], prompt: int, length: int) -> np.ndarray:
        numbers = self._numbers.get(condition, [])
        if not numbers:
            return np.zeros(length, dtype=np.int64)
        acting = np.zeros((length, len(numbers)), dtype=bool)
        for k, op in enumerate(self._conditions[condition]):
            if op.span == "prompt_span":
                acting[list(span), k] = True
            elif op.span == "prompt":
                acting[:prompt, k] = True
            elif op.span == "all":
                acting[:, k] = True
        marks = np.zeros(length, dtype=np.int64)
        left = acting.any(1)
        while left.any():
            pattern = acting[left.argmax()]
            alike = (acting == pattern).all(1)
            marks[alike] = self._mark_of(tuple(n for n, acts in zip(numbers, pattern, strict=True) if acts))
            left &= ~alike
        marks.flags.writeable = False  # many rows have the same one
        return marks

    def of_steps(self, request: Request) -> int:
        """The mark of every token that a request writes."""
        operations = self._conditions.get(request.condition, ())
        numbers = self._numbers.get(request.condition, [])
        chosen = [n for op, n in zip(operations, numbers, strict=True) if op.span in ("generated", "all")]
        return self._mark_of(tuple(chosen))

    def operations(self, mark: int) -> list[Operation]:
        return [self._operations[number] for number in self._acts[mark]]

    @contextmanager
    def steering(self, model: Any, marks: np.ndarray) -> Iterator[None]:
        """Steer the pass within: token i as `marks[i]` says."""
        present = [(mark, self.operations(mark)) for mark in np.unique(marks).tolist()]
        with ExitStack() as stack:
            for point in hook_points(op for _, operations in present for op in operations):
                acting = {
                    mark: at_point
                    for mark, operations in present
                    if (at_point := [op for op in operations if op.hook_point == point])
                }
                stack.enter_context(hooked(model, point, _Change(marks, acting)))
            yield


def hook_points(operations: Iterable[Operation]) -> list[HookPointSpec]:
    """Where `operations` act, in layer order."""
    points = {op.hook_point for op in operations}
    return sorted(points, key=lambda point: (point.layer, point.place != "resid_pre"))


class _Change:
    """What happens to the stream [1, tokens, d_model] at one hook point."""

    def __init__(self, marks: np.ndarray, acting: Mapping[int, Sequence[Operation]]) -> None:
        import torch

        tokens = np.flatnonzero(np.isin(marks, list(acting)))
        self._tokens = torch.from_numpy(tokens)
        depth = max(len(operations) for operations in acting.values())
        self._rounds = [_Round(marks[tokens], acting, k) for k in range(depth)]

    def __call__(self, stream: torch.Tensor) -> torch.Tensor:
        # Rounded to the model's dtype once, behind the last operation; tokens between stay as they are.
        tokens = self._tokens.to(stream.device)
        rows = stream[0, tokens].float()
        for round_ in self._rounds:
            rows[round_.index.to(stream.device)] = round_.operate(rows)
        changed = stream.clone()
        changed[0, tokens] = rows.to(stream.dtype)
        return changed


class _Round:
    """The k-th operation of every token that has so many; within a round no token comes twice."""

    def __init__(self, marks: np.ndarray, acting: Mapping[int, Sequence[Operation]], k: int) -> None:
        import torch

        deep = [mark for mark, operations in acting.items() if len(operations) > k]
        index = np.flatnonzero(np.isin(marks, deep))
        operations = [acting[mark][k] for mark in deep]
        number = np.zeros(max(deep) + 1, dtype=np.int64)
        number[deep] = np.arange(len(deep))
        self.index, self._which = torch.from_numpy(index), torch.from_numpy(number[marks[index]])
        zero = torch.zeros(_width(operations[0]))
        self._vectors = torch.stack([zero if op.vector is None else op.vector for op in operations])
        self._axes = torch.stack([zero if op.axis is None else op.axis for op in operations])
        self._targets = torch.tensor([op.target for op in operations])
        self._clamps = [(i, op.clamp) for i, op in enumerate(operations) if op.clamp is not None]

    def operate(self, rows: torch.Tensor) -> torch.Tensor:
        """Those of `rows` [tokens, d_model] that this round acts on, each changed by its own operation."""
        acted = rows[self.index.to(rows.device)]
        vector, axis, target = (
            t[self._which].to(rows.device) for t in (self._vectors, self._axes, self._targets)
        )
        # For `add` the axis is zero and so is the second term; for the others the vector is.
        component = (acted * axis).sum(-1)
        changed = acted + vector + (target - component).unsqueeze(-1) * axis
        for number, clamp in self._clamps:
            chosen = (self._which == number).to(rows.device)
            changed[chosen] = clamp.apply(acted[chosen])
        return changed


def _width(op: Operation) -> int:
    parts = (op.vector, op.axis, op.clamp.writer if op.clamp is not None else None)
    return next(len(part) for part in parts if part is not None)

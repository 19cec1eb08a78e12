"""The unsteered stream of prompts, averaged over the tokens that are read of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from axiograph.engine.errors import RunError
from axiograph.engine.study.steering import HookPointSpec
from axiograph.engine.workers.generation import Batch, in_batches, pad_batch, with_smaller_batches
from axiograph.steering.hf.stream import unsteered_pass

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """Token ids, and the indices into them at which the stream is read: at least one."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class SpanMeans:
    """At one hook point: `means` [n, d_model], the mean of the stream over the tokens that are read of each
    prompt, in float64; `norm`: the median L2 norm of all stream rows that were read."""

    means: Array
    norm: float


def span_means(
    model: Any,
    readings: Sequence[Reading],
    points: Sequence[HookPointSpec],
    batch_size: int,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[HookPointSpec, SpanMeans]:
    """The stream at every one of `points`, in one pass over each prompt. `advance` is told of prompts done.

    RunError where the stream is not finite."""
    means: dict[HookPointSpec, dict[int, Array]] = {point: {} for point in points}
    norms: dict[HookPointSpec, dict[int, Array]] = {point: {} for point in points}

    def read(group: list[int]) -> None:
        rows = [readings[i] for i in group]
        batch = pad_batch([row.ids for row in rows], 0, str(model.device))
        records = {point: _record(batch, rows, group, means[point], norms[point]) for point in points}
        unsteered_pass(model, batch, records)
        advance(len(group))

    # Prompts of like length share a batch; the order of the file decides nothing.
    order = sorted(range(len(readings)), key=lambda i: (len(readings[i].ids), readings[i].ids))
    for group in in_batches(order, batch_size):
        with_smaller_batches(read, group, device=str(model.device))
    return {point: _gathered(point, means[point], norms[point]) for point in points}


def _record(
    batch: Batch,
    rows: Sequence[Reading],
    group: Sequence[int],
    means: dict[int, Array],
    norms: dict[int, Array],
) -> Callable[[torch.Tensor], None]:
    def record(stream: torch.Tensor) -> None:
        for row, (number, reading) in enumerate(zip(group, rows, strict=True)):
            read = stream[row, [batch.starts[row] + position for position in reading.positions]]
            # In float64: what is compared are small differences of long vectors.
            values = read.float().cpu().double()
            means[number] = values.mean(0).numpy()
            norms[number] = values.norm(dim=-1).numpy()

    return record


def _gathered(point: HookPointSpec, means: dict[int, Array], norms: dict[int, Array]) -> SpanMeans:
    gathered = np.stack([means[number] for number in sorted(means)])
    if not np.isfinite(gathered).all():
        raise RunError(
            f"stream at {point}",
            "finite numbers",
            "NaN or infinity",
            "Half precision can overflow: try dtype float32 or bfloat16.",
        )
    return SpanMeans(gathered, float(np.median(np.concatenate([norms[number] for number in sorted(norms)]))))

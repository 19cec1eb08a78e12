"""Whether packed passes give a model's own logits: asked of every model at start, by trying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.engine.errors import RunError
from axiograph.engine.hf.attention import UnsupportedModelError
from axiograph.engine.hf.generation import PackedGenerator
from axiograph.engine.hf.layout import PromptLayout, Stretch
from axiograph.engine.hf.model import PackedHooks, PackedModel
from axiograph.engine.hf.prefixes import PrefixCache
from axiograph.engine.workers.generation import Generator, StreamHooks
from axiograph.engine.workers.machine import MemoryEndedError, memory_watched

if TYPE_CHECKING:
    import torch

STEPS = 2
# Root mean square difference, as a share of the logits' own spread: far above rounding, far below what a
# forgotten mask, window or soft-cap does.
TOLERANCE = {"float32": 1e-3, "float16": 0.03, "bfloat16": 0.1}


@dataclass
class _Steps:
    """Stands for the sampling settings: so many tokens, whatever they are."""

    max_tokens: int = STEPS
    method: str = "greedy"

    @property
    def most_tokens(self) -> int:
        return self.max_tokens


@dataclass
class _LogitRecorder:
    """Keeps the logits of every row and step, and chooses the same tokens whatever they are."""

    prompts: Sequence[Sequence[int]]
    seen: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)

    def __call__(self, logits: torch.Tensor, rows: Sequence[int], step: int | Sequence[int]) -> list[int]:
        steps = [step] * len(rows) if isinstance(step, int) else step
        for behind, row, at in zip(logits, rows, steps, strict=True):
            self.seen[row, at] = behind.cpu()
        return [self.prompts[row][at % len(self.prompts[row])] for row, at in zip(rows, steps, strict=True)]


def why_not_packed(
    simple: Generator,
    passes: PackedModel,
    prompts: Sequence[Sequence[int]],
    simple_hooks: StreamHooks,
    packed_hooks: PackedHooks,
) -> str | None:
    """None where packed passes over `prompts` and a step behind them give the logits of the simple loop;
    else what is the matter.

    Before that its last layer is tried out, which stays whole in passes where it must."""
    import torch

    passes.last_layer.shortened = _may_be_shortened(passes, prompts[0])
    trial = Generator(simple.model, simple.tokenizer, _Steps())  # type: ignore[arg-type]
    trial.eos, trial.stop = frozenset(), _NeverComplete()  # type: ignore[assignment]
    wanted, packed = _LogitRecorder(prompts), _LogitRecorder(prompts)
    with torch.inference_mode():
        trial._generate(prompts, wanted, simple_hooks)  # type: ignore[arg-type]
    try:
        # One row fewer at once than there are, so that rows come and go.
        run = PackedGenerator(trial, passes)
        run(prompts, [], packed_hooks, max(1, len(prompts) - 1), packed)
    except UnsupportedModelError as error:
        return str(error)
    except (RunError, MemoryEndedError):
        raise
    except Exception as error:
        # Whatever a model's own code raises when it is called in a way that it does not know.
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    differ = max(_difference(wanted.seen[key], packed.seen[key]) for key in wanted.seen)
    allowed = _allowed(simple.model)
    if differ <= allowed:
        return None
    return f"logits that differ by {differ:.2g} of their spread (allowed {allowed:g})"


def _may_be_shortened(passes: PackedModel, ids: Sequence[int]) -> bool:
    """Whether the last layer gives the same logits when it only works for some of the tokens `ids`."""
    import torch

    last, n = passes.last_layer, len(ids)
    if not last.shortened:
        return False
    nowhere = np.zeros(0, dtype=np.int64)
    keep = np.array([n // 2, n - 1])
    logits = []
    worth, last.worth = last.worth, 0
    try:
        with torch.inference_mode(), passes.entered(), memory_watched():
            for last.shortened in (False, True):
                layout = PromptLayout([Stretch(n, -1, 0)], PrefixCache(1, 1), None, nowhere, nowhere)
                logits.append(passes.run(layout, np.array(ids), layout.positions, keep).cpu())
    except MemoryEndedError:
        raise
    except Exception:
        # Whatever a model's own code raises when it is called in a way that it does not know.
        return False
    finally:
        last.worth = worth
    return _difference(*logits) <= _allowed(passes.model)


class _NeverComplete:
    """Stands for the stop check: no answer is ever complete."""

    def begin(self) -> list[int]:
        return []

    def ended(self, written: list[int]) -> str | None:
        return None

    def text(self, ids: Sequence[int]) -> str:
        return ""


def _allowed(model: Any) -> float:
    return TOLERANCE[str(model.dtype).removeprefix("torch.")]


def _difference(wanted: torch.Tensor, logits: torch.Tensor) -> float:
    """The root mean square of the difference, as a share of the spread of `wanted`."""
    spread = float((wanted - wanted.mean()).square().mean().sqrt())
    difference = float((wanted - logits).square().mean().sqrt())
    # NaN on both sides is for the run itself to find.
    return difference / spread if spread > 0 else difference

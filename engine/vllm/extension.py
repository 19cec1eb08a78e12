"""The worker extension of the plain vLLM worker: it lives beside the model and watches its logits.

vLLM is given this class by name. Its methods must not share a name with those of any other extension,
since vLLM adds the class to its worker's bases for the life of a process.
"""

from __future__ import annotations

import math
from typing import Any

HEADROOM = 2.0**20  # for what a model does to its logits besides: a bias, a scale
LARGE = 1e9  # beyond any state's entries; a bound that is not would call good states bad


class FiniteLogits:
    """Remembers whether all logits were numbers: NaN would otherwise become a token."""

    model_runner: Any

    def axiograph_watch(self) -> None:
        """Look at all logits from now on."""
        complete_pipeline(self.model_runner)
        watch_logits(self.model_runner)

    def axiograph_finite(self) -> bool:
        """Whether all logits so far were numbers."""
        return all_finite(self.model_runner)


def complete_pipeline(runner: Any) -> None:
    """The buffers that a later stage of a pipeline receives the stream in.

    vLLM makes them in a warm-up pass, which its CPU worker leaves out in eager mode.
    """
    from vllm.distributed.parallel_state import get_pp_group

    if not get_pp_group().is_first_rank and getattr(runner, "intermediate_tensors", None) is None:
        runner.intermediate_tensors = runner.model.make_empty_intermediate_tensors(
            batch_size=runner.max_num_tokens, dtype=runner.model_config.dtype, device=runner.device
        )


def watch_logits(runner: Any) -> None:
    """Look at what every row that `runner` samples from comes of, from now on."""
    compute, safe = runner.model.compute_logits, safe_state(runner.model)
    runner.axiograph_bad = None

    def watched(*args: Any, **kwargs: Any) -> Any:
        logits = compute(*args, **kwargs)
        if logits is not None and logits.numel():
            # The largest logits, where they have to be looked at: on a CPU that costs 2 % of a small model.
            looked_at, below = (logits.amax(-1), math.inf) if safe is None or not args else (args[0], safe)
            # Written so that NaN is bad. Kept on the device: a look at every step would stop the GPU at each.
            bad = ~(looked_at.abs() < below).all()
            runner.axiograph_bad = bad if runner.axiograph_bad is None else runner.axiograph_bad | bad
        return logits

    runner.model.compute_logits = watched


def safe_state(model: Any) -> float | None:
    """If no entry of a state [tokens, d_model] is as large, its logits are numbers; None where that cannot be
    said of the model's head: in half precision products of ordinary numbers overflow."""
    import torch

    head = getattr(model, "lm_head", None)
    weight = getattr(head, "weight", None)
    if weight is None or weight.dim() != 2 or not weight.numel() or not weight.is_floating_point():
        return None
    with torch.no_grad():
        lowest, highest = (float(end) for end in torch.aminmax(weight))
    bias = getattr(head, "bias", None)
    finite = math.isfinite(lowest + highest) and (bias is None or bool(bias.isfinite().all()))
    reach = max(-lowest, highest, 1.0) * weight.shape[1] * HEADROOM
    below = torch.finfo(weight.dtype).max / reach
    return below if finite and below > LARGE else None


def all_finite(runner: Any) -> bool:
    """Once untrue it stays so: which of the requests under way the bad logits belong to cannot be told."""
    return runner.axiograph_bad is None or not bool(runner.axiograph_bad)

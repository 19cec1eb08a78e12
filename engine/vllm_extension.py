"""The worker extension of the plain vLLM worker: it lives beside the model and watches its logits.

vLLM is given this class by name. Its methods must not share a name with those of any other extension,
since vLLM adds the class to its worker's bases for the life of a process.
"""

from __future__ import annotations

from typing import Any


class FiniteLogits:
    """Remembers whether every largest logit was a number: NaN would otherwise become a token."""

    model_runner: Any

    def axiograph_watch(self) -> None:
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
    """Look at the largest logit of every row that `runner` samples from, from now on."""
    compute = runner.model.compute_logits
    runner.axiograph_bad = None

    def watched(*args: Any, **kwargs: Any) -> Any:
        logits = compute(*args, **kwargs)
        if logits is not None and logits.numel():
            # Kept on the device: a look at every step would stop the GPU at every step.
            bad = ~logits.amax(-1).isfinite().all()
            runner.axiograph_bad = bad if runner.axiograph_bad is None else runner.axiograph_bad | bad
        return logits

    runner.model.compute_logits = watched


def all_finite(runner: Any) -> bool:
    """Once untrue it stays so: which of the requests under way the bad logits belong to cannot be told."""
    return runner.axiograph_bad is None or not bool(runner.axiograph_bad)

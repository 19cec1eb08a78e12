"""Which backend a study runs on: a whole contrast on vLLM, or a whole contrast on transformers (DESIGN 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from axiograph.engine.errors import InputError
from axiograph.engine.study.engine_args import answer_args
from axiograph.engine.study.schema import ModelSpec
from axiograph.engine.vllm.arguments import check_engine_args
from axiograph.engine.vllm.support import architectures, obstacle
from axiograph.engine.workers.models import ModelSource
from axiograph.steering.directions.operations import Operation
from axiograph.steering.vllm.worker import steering_arguments

# Steering in vLLM was compared with the hook worker, token by token, on models of these architectures.
STEERABLE = frozenset({
    "LlamaForCausalLM", "GemmaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "Qwen2ForCausalLM",
    "Qwen3ForCausalLM", "MistralForCausalLM", "GPT2LMHeadModel", "OPTForCausalLM",
})  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """`name`: vllm, hf or openai; `why_not`: what stood against vLLM where `auto` did not take it;
    `max_length`: the longest sequence that the engine takes, None where the model's own length is what
    counts."""

    name: str
    why_not: str | None = None
    max_length: int | None = None


HF = Choice("hf")
SERVED = Choice("openai")


def choose_backend(
    spec: ModelSpec,
    source: ModelSource,
    device: str,
    operations: Mapping[str, Sequence[Operation]],
) -> Choice:
    """The backend of the whole study; InputError for one that cannot run it, or for wrong engine arguments.

    `auto` takes vLLM where it is installed and can run every condition of the study.
    """
    if spec.served:
        return SERVED
    if spec.backend == "hf":
        return HF
    reason = obstacle(source, device) or _steering_obstacle(source, operations)
    if reason is None:
        fixed = steering_arguments(operations, spec.engine_args) if operations else {}
        try:
            longest = check_engine_args(source, device, {**spec.engine_args, **fixed})
            return Choice("vllm", max_length=longest)
        except InputError as error:
            if spec.backend == "vllm" or spec.engine_args:
                raise
            # Nobody wrote the arguments that vLLM refuses: it is the model that it does not take.
            reason = error.found
    if spec.backend == "vllm":
        raise InputError(
            "study, field model.backend",
            "a study that vLLM can run here",
            f"an obstacle: {reason}",
            "Remove the obstacle, or use backend: hf, or auto (vLLM where it can run the study).",
        )
    if changed := answer_args(spec.engine_args):
        raise InputError(
            "study, field model.engine_args",
            "vLLM, the only backend that knows them",
            f"{', '.join(changed)}, while vLLM cannot run this study: {reason}",
            "Remove the obstacle or the arguments.",
        )
    return Choice("hf", reason)


def _steering_obstacle(source: ModelSource, operations: Mapping[str, Sequence[Operation]]) -> str | None:
    if not operations:
        return None
    if any(op.clamp is not None for acting in operations.values() for op in acting):
        return "clamping through an SAE's encoder is done on transformers only"
    names = architectures(source)
    if not set(names) & STEERABLE:
        return f"steering inside it was never compared on the architecture {', '.join(names)}"
    return None

"""The arguments of a vLLM engine: axiograph's defaults, the study's and what must not vary, and their check.

Which of a study's arguments are reserved, and which change answers, says engine.study.engine_args.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from axiograph.engine.errors import InputError
from axiograph.engine.study.engine_args import parallel_size
from axiograph.engine.vllm.environment import multiprocessing, quiet

if TYPE_CHECKING:
    from axiograph.engine.workers.models import ModelSource

CPU_BLOCK_SIZE = 32  # the CPU build's own 128 leaves most of a shared prompt out of the prefix cache
CPU_BLOCK_STEP = 32  # what the CPU build's attention kernels divide a block into
CPU_CACHE_BYTES = 2 << 30  # reserved, not touched until used


def engine_arguments(
    source: ModelSource, device: str, engine_args: Mapping[str, Any], **fixed: Any
) -> dict[str, Any]:
    """vLLM's arguments: axiograph's defaults, over them the study's, over them those that must not vary, to
    which `fixed` adds."""
    arguments: dict[str, Any] = {
        "enable_prefix_caching": True,
        "enable_chunked_prefill": True,
        "use_tqdm_on_load": False,
    }
    if device == "cpu":
        # Compiling takes longer than most CPU studies.
        arguments |= {"enforce_eager": True, "block_size": CPU_BLOCK_SIZE}
        if "gpu_memory_utilization" not in engine_args and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
            arguments["kv_cache_memory_bytes"] = CPU_CACHE_BYTES
    return {
        **arguments,
        **engine_args,
        "model": str(source.folder),
        "tokenizer": str(source.folder),
        "skip_tokenizer_init": True,
        "dtype": source.dtype,
        "trust_remote_code": source.trust_remote_code,
        "seed": 0,
        "generation_config": "vllm",
        "disable_log_stats": True,
        **fixed,
    }


def check_engine_args(source: ModelSource, device: str, engine_args: Mapping[str, Any]) -> int:
    """The longest sequence (in tokens) that the engine takes; InputError for arguments that vLLM refuses.

    Called for a study with `backend: vllm` before a GPU is touched: vLLM's whole configuration is built
    (which reads config.json), but no engine.
    """
    with quiet():
        from vllm.engine.arg_utils import EngineArgs
    names = [field.name for field in dataclasses.fields(EngineArgs)]
    for name in engine_args:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=3)
            raise InputError(
                f"study, field model.engine_args.{name}",
                "an engine argument of vLLM",
                "an unknown one",
                f"Did you mean {' or '.join(close)}?" if close else "Remove it.",
            )
    parallel_size(engine_args)
    config = configured(engine_arguments(source, device, engine_args), device)
    for name, expected in _refusals(config, device):
        raise InputError(
            f"study, field model.engine_args.{name}",
            expected,
            repr(engine_args.get(name)),
            "Change or remove it.",
        )
    return int(config.model_config.max_model_len)


def _refusals(config: Any, device: str) -> Iterator[tuple[str, str]]:
    """(argument, what was expected) for what vLLM's configuration takes and its engine does not."""
    from vllm.model_executor.model_loader import _LOAD_FORMAT_TO_MODEL_LOADER as loaders

    model, cache = config.model_config, config.cache_config
    layers = model.get_total_num_hidden_layers()
    if config.parallel_config.pipeline_parallel_size > layers:
        yield "pipeline_parallel_size", f"at most {layers}, the model's number of layers"
    if cache.kv_cache_memory_bytes is not None and cache.kv_cache_memory_bytes <= 0:
        yield "kv_cache_memory_bytes", "a positive number of bytes"
    if config.load_config.load_format not in loaders:
        yield "load_format", f"one of {', '.join(sorted(set(loaders) - {'dummy'}))}"
    if device == "cpu" and cache.block_size % CPU_BLOCK_STEP:
        yield "block_size", f"a multiple of {CPU_BLOCK_STEP}"
    long = _short_rotary_length(model.hf_text_config)
    if long is not None and model.max_model_len > long:
        # Beyond it vLLM turns every prompt by other factors, the short ones too; transformers does not.
        yield (
            "max_model_len",
            f"at most {long}, up to where this model's rotary embedding is that of short texts",
        )


def _short_rotary_length(config: Any) -> int | None:
    """Up to which length a model with two sets of rotary factors (longrope) takes the first; else None."""
    settings = getattr(config, "rope_parameters", None) or {}
    every = [settings, *(part for part in settings.values() if isinstance(part, dict))]
    for part in every:
        if part.get("rope_type") == "longrope":
            length = getattr(config, "original_max_position_embeddings", None)
            return int(part.get("original_max_position_embeddings") or length or 0) or None
    return None


def configured(arguments: Mapping[str, Any], device: str, process: bool | None = None) -> Any:
    """vLLM's configuration (VllmConfig); InputError when it refuses the arguments or the model.

    `process`: whether the engine core will run in a process of its own; by default on a GPU only."""
    process = device != "cpu" if process is None else process
    with quiet(), multiprocessing(process):
        from vllm.engine.arg_utils import EngineArgs
        from vllm.usage.usage_lib import UsageContext

        try:
            complete = dict(arguments)
            if device == "cpu" and not process and parallel_size(complete) == 1:
                complete.setdefault("distributed_executor_backend", "uni")
            return EngineArgs(**complete).create_engine_config(UsageContext.LLM_CLASS)
        except (ValueError, TypeError, NotImplementedError, AssertionError, OSError) as error:
            raise InputError(
                "study, field model.engine_args",
                "arguments and a model that vLLM takes",
                shortened(error),
                "Change the argument that is named, or use backend: hf.",
            ) from error


def shortened(error: BaseException) -> str:
    """The text of an error in one line of at most 400 characters; its type where it has none."""
    return " ".join(str(error).split())[:400] or type(error).__name__

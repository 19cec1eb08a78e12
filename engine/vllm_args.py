"""Engine arguments: what a study passes on to vLLM, which of them change answers, and axiograph's own.

Nothing here imports vLLM, except `check_engine_args`, which a study with `backend: vllm` calls before a
GPU is touched.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.models import ModelSource

# Set by axiograph, each with what to use instead.
RESERVED = {
    "model": "model.hub or model.path",
    "tokenizer": "the tokenizer beside the model",
    "tokenizer_mode": "the tokenizer beside the model",
    "tokenizer_revision": "model.revision",
    "skip_tokenizer_init": "nothing: prompts are tokenised before they reach vLLM",
    "dtype": "model.dtype",
    "revision": "model.revision",
    "trust_remote_code": "model.trust_remote_code",
    "seed": "sampling.seed",
    "runner": "nothing: a study generates",
    "generation_config": "the study's section sampling",
    "worker_extension_cls": "the study's section steering",
    "max_logprobs": "nothing: the scored tokens are asked for by name",
    "logprobs_mode": "nothing: log-odds are read from the raw log-probabilities",
    "disable_log_stats": "nothing: progress is axiograph's own",
    **dict.fromkeys(
        ("speculative_config", "spec_method", "spec_model", "spec_tokens"),
        "nothing: drafted tokens would not be steered",
    ),
    # An engine among several waits for the others, and nobody starts them.
    **dict.fromkeys(
        (
            "data_parallel_size", "data_parallel_rank", "data_parallel_start_rank",
            "data_parallel_size_local", "data_parallel_address", "data_parallel_rpc_port",
            "data_parallel_hybrid_lb", "data_parallel_external_lb", "data_parallel_multi_port_external_lb",
            "data_parallel_backend", "nnodes", "node_rank", "master_addr", "master_port",
        ),
        "several workers: axiograph run --ray",
    ),
}  # fmt: skip

# Where and how fast, with the same answers up to rounding. Every other argument enters the requests'
# identity: better a run too many than answers of two models under one id.
TRANSPORT = frozenset({
    "async_scheduling", "attention_backend", "attention_config", "block_size", "compilation_config",
    "cpu_offload_gb", "cudagraph_capture_sizes", "disable_cascade_attn", "disable_custom_all_reduce",
    "distributed_executor_backend", "download_dir", "enable_chunked_prefill", "enable_prefix_caching",
    "enable_sleep_mode", "enforce_eager", "gpu_memory_utilization", "kernel_config",
    "kv_cache_memory_bytes", "long_prefill_token_threshold", "max_cudagraph_capture_size",
    "max_long_partial_prefills", "max_model_len", "max_num_batched_tokens", "max_num_partial_prefills",
    "max_num_seqs", "max_parallel_loading_workers", "num_gpu_blocks_override", "optimization_level",
    "pipeline_parallel_size", "prefix_caching_hash_algo", "ray_workers_use_nsight",
    "safetensors_load_strategy", "scheduling_policy", "tensor_parallel_size", "use_tqdm_on_load",
    "watermark",
})  # fmt: skip

CPU_BLOCK_SIZE = 32  # the CPU build's own 128 leaves most of a shared prompt out of the prefix cache
CPU_BLOCK_STEP = 32  # what the CPU build's attention kernels divide a block into
CPU_CACHE_BYTES = 2 << 30  # reserved, not touched until used


def answer_args(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a study's engine arguments that can change an answer: they are part of its identity."""
    return {name: value for name, value in sorted(engine_args.items()) if name not in TRANSPORT}


def check_reserved(engine_args: Mapping[str, Any]) -> None:
    """ValueError (for the study's schema) for an argument that axiograph sets itself."""
    for name in engine_args:
        if name in RESERVED:
            raise ValueError(f"engine arguments without '{name}', which axiograph sets; use {RESERVED[name]}")
    if engine_args.get("load_format") == "dummy":
        raise ValueError("a load_format that reads the model; 'dummy' gives it random weights")


def parallel_size(engine_args: Mapping[str, Any]) -> int:
    """How many devices an engine with these arguments takes; InputError for sizes that are none."""
    product = 1
    for name in ("tensor_parallel_size", "pipeline_parallel_size"):
        size = engine_args.get(name, 1)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(
                f"study, field model.engine_args.{name}",
                "a whole number from 1",
                repr(size),
                "Give the number of devices that share one model.",
            )
        product *= size
    return product


def engine_arguments(
    source: ModelSource, device: str, engine_args: Mapping[str, Any], **own: Any
) -> dict[str, Any]:
    """vLLM's arguments: axiograph's defaults, over them the study's, over them what must not vary (`own`)."""
    made: dict[str, Any] = {
        "enable_prefix_caching": True,
        "enable_chunked_prefill": True,
        "use_tqdm_on_load": False,
    }
    if device == "cpu":
        # Compiling takes longer than most CPU studies.
        made |= {"enforce_eager": True, "block_size": CPU_BLOCK_SIZE}
        if "gpu_memory_utilization" not in engine_args and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
            made["kv_cache_memory_bytes"] = CPU_CACHE_BYTES
    made |= engine_args
    return made | {
        "model": str(source.folder),
        "tokenizer": str(source.folder),
        "skip_tokenizer_init": True,
        "dtype": source.dtype,
        "trust_remote_code": source.trust_remote_code,
        "seed": 0,
        "generation_config": "vllm",
        "disable_log_stats": True,
        **own,
    }


def check_engine_args(source: ModelSource, device: str, engine_args: Mapping[str, Any]) -> int:
    """The longest sequence that the engine takes; InputError for arguments that vLLM refuses.

    vLLM's whole configuration is built (which reads config.json), but no engine.
    """
    from engine.vllm_engine import configured
    from engine.vllm_quiet import quiet

    with quiet():
        from vllm.engine.arg_utils import EngineArgs
    known = [field.name for field in dataclasses.fields(EngineArgs)]
    for name in engine_args:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
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
    every = [settings, *(own for own in settings.values() if isinstance(own, dict))]
    for own in every:
        if own.get("rope_type") == "longrope":
            length = getattr(config, "original_max_position_embeddings", None)
            return int(own.get("original_max_position_embeddings") or length or 0) or None
    return None

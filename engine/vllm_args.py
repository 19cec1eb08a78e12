"""Engine arguments: what a study passes on to vLLM, which of them change answers, and axiograph's own.

Nothing here imports vLLM, except `check_engine_args`, which a study with `backend: vllm` calls before a
GPU is touched.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.models import ModelSource

# Set by axiograph, each with what to use instead.
RESERVED = {
    "model": "model.hub or model.path",
    "tokenizer": "the tokenizer beside the model",
    "skip_tokenizer_init": "nothing: prompts are tokenised before they reach vLLM",
    "dtype": "model.dtype",
    "revision": "model.revision",
    "trust_remote_code": "model.trust_remote_code",
    "seed": "sampling.seed",
    "runner": "nothing: a study generates",
    "generation_config": "the study's section sampling",
    "worker_extension_cls": "the study's section steering",
    "max_logprobs": "nothing: it follows from the spellings that are scored",
    "logprobs_mode": "nothing: log-odds are read from the raw log-probabilities",
    "disable_log_stats": "nothing: progress is axiograph's own",
    "speculative_config": "nothing: drafted tokens would not be steered",
}

# Where and how fast, with the same answers up to rounding. Every other argument enters the requests'
# identity: better a run too many than answers of two models under one id.
TRANSPORT = frozenset({
    "async_scheduling", "attention_backend", "attention_config", "block_size", "compilation_config",
    "cpu_offload_gb", "cudagraph_capture_sizes", "disable_cascade_attn", "disable_custom_all_reduce",
    "distributed_executor_backend", "download_dir", "enable_chunked_prefill", "enable_prefix_caching",
    "enable_sleep_mode", "enforce_eager", "gpu_memory_utilization", "kernel_config",
    "kv_cache_memory_bytes", "load_format", "long_prefill_token_threshold", "master_addr", "master_port",
    "max_cudagraph_capture_size", "max_long_partial_prefills", "max_model_len", "max_num_batched_tokens",
    "max_num_partial_prefills", "max_num_seqs", "max_parallel_loading_workers",
    "model_loader_extra_config", "nnodes", "node_rank", "num_gpu_blocks_override", "optimization_level",
    "pipeline_parallel_size", "prefix_caching_hash_algo", "ray_workers_use_nsight",
    "safetensors_load_strategy", "scheduling_policy", "tensor_parallel_size", "use_tqdm_on_load",
    "watermark",
})  # fmt: skip

CPU_BLOCK_SIZE = 32  # the CPU build's own 128 leaves most of a shared prompt out of the prefix cache
CPU_CACHE_BYTES = 2 << 30  # reserved, not touched until used


def answer_args(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a study's engine arguments that can change an answer: they are part of its identity."""
    return {name: value for name, value in sorted(engine_args.items()) if name not in TRANSPORT}


def check_reserved(engine_args: Mapping[str, Any]) -> None:
    """ValueError (for the study's schema) for an argument that axiograph sets itself."""
    for name in engine_args:
        if name in RESERVED:
            raise ValueError(f"engine arguments without '{name}', which axiograph sets; use {RESERVED[name]}")


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
    from engine.vllm_engine import configured, quiet

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
    config = configured(engine_arguments(source, device, engine_args), device)
    return int(config.model_config.max_model_len)

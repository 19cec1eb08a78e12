"""vLLM's engine arguments in a study: which axiograph sets itself, and which change answers.

Nothing here imports vLLM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from axiograph.engine.errors import InputError

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

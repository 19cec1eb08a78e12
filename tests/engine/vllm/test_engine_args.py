"""Engine arguments of a study: reserved ones, those in the identity, and axiograph's own. Without vLLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from axiograph.engine.errors import InputError
from axiograph.engine.study.engine_args import RESERVED, TRANSPORT, answer_args, parallel_size
from axiograph.engine.study.loading import parse_study
from axiograph.engine.study.schema import ModelSpec
from axiograph.engine.vllm.arguments import CPU_BLOCK_SIZE, engine_arguments
from axiograph.engine.workers.models import ModelSource

SOURCE = ModelSource("m", Path("/models/m"), None, "bfloat16", False)


def study(**model):
    data = {
        "schema": 1,
        "name": "s",
        "model": {"path": "m"} | model,
        "questionnaires": ["items.csv"],
        "roles": {},
        "out": "run",
    }
    return parse_study(data, "study", Path("/"))


# Arguments that give other answers for the same weights, or other weights: in vLLM's own words.
OF_THE_ANSWER = (
    "quantization", "quantization_config", "kv_cache_dtype", "kv_cache_dtype_skip_layers", "load_format",
    "model_loader_extra_config", "ignore_patterns", "hf_overrides", "hf_config_path", "config_format",
    "model_impl", "convert", "disable_sliding_window", "enable_lora", "default_mm_loras", "lora_dtype",
    "logits_processors", "override_generation_config", "additional_config", "watermark_config",
    "reasoning_config", "scheduler_cls", "worker_cls", "kv_sharing_fast_prefill", "code_revision",
    "mamba_cache_dtype", "an_argument_of_the_next_version",
)  # fmt: skip


def test_what_can_change_an_answer_is_part_of_the_identity():
    given = {"quantization": "fp8", "tensor_parallel_size": 2, "kv_cache_dtype": "fp8", "max_model_len": 9}
    assert answer_args(given) == {"kv_cache_dtype": "fp8", "quantization": "fp8"}
    every = dict.fromkeys(OF_THE_ANSWER, 1)
    assert answer_args(every) == every


def test_random_weights_are_refused():
    with pytest.raises(InputError, match="'dummy' gives it random weights"):
        study(engine_args={"load_format": "dummy"})
    assert study(engine_args={"load_format": "safetensors"})


@pytest.mark.parametrize("size", ["two", 0, -1, 1.5, True, None, [2]])
def test_sizes_that_are_none_are_named(size):
    with pytest.raises(InputError, match=r"pipeline_parallel_size: expected a whole number"):
        parallel_size({"tensor_parallel_size": 2, "pipeline_parallel_size": size})
    assert parallel_size({}) == 1
    assert parallel_size({"tensor_parallel_size": 2, "pipeline_parallel_size": 3}) == 6


def test_reserved_arguments_are_refused_with_what_to_use():
    assert not TRANSPORT & set(RESERVED)
    assert "--ray" in RESERVED["data_parallel_size"]
    for name in RESERVED:
        with pytest.raises(InputError, match=rf"without '{name}'.*use {RESERVED[name][:7]}"):
            study(engine_args={name: 1})


def test_engine_arguments_are_those_of_vllm():
    assert study(engine_args={"max_model_len": 9}).model.backend == "auto"
    with pytest.raises(InputError, match="'engine_args' beside 'backend: vllm'"):
        study(backend="hf", engine_args={"max_model_len": 9})
    with pytest.raises(InputError, match=r"model\.backend"):
        study(backend="llama.cpp")
    assert ModelSpec(path=Path("m")).engine_args == {}


def test_the_study_goes_over_the_defaults_and_under_what_is_fixed(monkeypatch):
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    plain = engine_arguments(SOURCE, "cpu", {})
    assert plain["block_size"] == CPU_BLOCK_SIZE and plain["enforce_eager"] and plain["kv_cache_memory_bytes"]
    assert (plain["model"], plain["dtype"], plain["seed"]) == ("/models/m", "bfloat16", 0)
    changed = engine_arguments(SOURCE, "cpu", {"block_size": 64, "dtype": "x"}, enforce_eager=False)
    assert (changed["block_size"], changed["dtype"], changed["enforce_eager"]) == (64, "bfloat16", False)
    on_gpu = engine_arguments(SOURCE, "cuda", {})
    assert not {"block_size", "enforce_eager", "kv_cache_memory_bytes"} & set(on_gpu)
    assert "kv_cache_memory_bytes" not in engine_arguments(SOURCE, "cpu", {"gpu_memory_utilization": 0.5})
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    assert "kv_cache_memory_bytes" not in engine_arguments(SOURCE, "cpu", {})

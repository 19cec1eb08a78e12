"""Steering inside vLLM on models of many shapes, in many kinds of batches, against the hook worker.

An engine each: they cannot share a process with those that other files keep open.
"""

from __future__ import annotations

import importlib.util

import pytest

from tests import vllm_models
from tests.vllm_workers import TIGHT, compare, mixed, watched, workers

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: pip install -e '.[cpu]'", allow_module_level=True)


@pytest.mark.parametrize("shape", [pytest.param("gemma", marks=pytest.mark.slow), "gpt2"])
def test_other_shapes_in_small_chunks_with_few_blocks(tmp_path, shape):
    """(hidden, residual) pairs with scaled embeddings, and one tensor; spans split, requests preempted."""
    acts = vllm_models.some()
    folder = vllm_models.save_model(tmp_path / shape, shape)
    steered, hooked, prompts = workers(folder, acts, TIGHT)
    try:
        with watched() as events:
            compare(steered, hooked, mixed(acts, prompts, 1), acts)
    finally:
        steered.close()
    assert events.preemptions and events.splits


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine_args", [{}, {"enable_prefix_caching": False}, TIGHT], ids=["plain", "uncached", "tight"]
)
@pytest.mark.parametrize("shape", vllm_models.SHAPES)
def test_every_operation_on_every_shape(tmp_path, shape, engine_args):
    acts = vllm_models.every()
    folder = vllm_models.save_model(tmp_path / shape, shape)
    # Its layers are of two kinds, which have blocks each.
    more = {"num_gpu_blocks_override": 12} if engine_args is TIGHT and shape == "gemma2" else {}
    steered, hooked, prompts = workers(folder, acts, engine_args | more)
    try:
        with watched() as events:
            compare(steered, hooked, mixed(acts, prompts, 3), acts)
    finally:
        steered.close()
    assert engine_args is not TIGHT or (events.preemptions and events.splits)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensor", "pipeline"])
@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_two_processes(tmp_path, shape, kind):
    acts = vllm_models.some()
    folder = vllm_models.save_model(tmp_path / shape, shape)
    steered, hooked, prompts = workers(folder, acts, {f"{kind}_parallel_size": 2})
    try:
        compare(steered, hooked, mixed(acts, prompts, 1), acts)
    finally:
        steered.close()

"""Start, failure and end of the vLLM engine: what a person is told, and what is left behind."""

from __future__ import annotations

import dataclasses
import importlib.util
import weakref
from pathlib import Path

import psutil
import pytest
from transformers import Phi3Config

from axiograph import engine
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.hf.worker import HfWorker
from axiograph.engine.study.engine_args import RESERVED, TRANSPORT
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.vllm.arguments import check_engine_args
from axiograph.engine.vllm.engine import make_llvmlite_scannable
from axiograph.engine.vllm.jobs import Job
from axiograph.engine.vllm.worker import VllmWorker
from axiograph.engine.workers.models import load_tokenizer
from tests import asking, tiny, vllm_models

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed: pip install -e '.[cpu]'", allow_module_level=True)

RESPONDENT = Path(engine.__file__).parent / "assets" / "respondent" / "model"
TOKENS = 24


@pytest.fixture(scope="module")
def asked():
    """(configuration, requests) over the respondent."""
    prompts = asking.prompts(load_tokenizer(asking.source(RESPONDENT)), 36)
    config = asking.config(RESPONDENT, prompts[0], sampling=SamplingSpec(max_tokens=TOKENS))
    return config, [asking.request(i, prompt) for i, prompt in enumerate(prompts)]


def texts(table):
    return {row["request_id"]: row["text"] for row in table.to_pylist()}


def test_wrong_engine_arguments_are_named():
    source = asking.source(RESPONDENT)
    assert check_engine_args(source, "cpu", {"max_model_len": 640}) == 640
    with pytest.raises(InputError, match=r"max_modle_len: .*Did you mean max_model_len"):
        check_engine_args(source, "cpu", {"max_modle_len": 640})
    with pytest.raises(InputError, match=r"engine_args.*no-such"):
        check_engine_args(source, "cpu", {"quantization": "no-such"})
    with pytest.raises(InputError, match=r"engine_args.*99999"):
        check_engine_args(source, "cpu", {"max_model_len": 99999})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("pipeline_parallel_size", 9, "at most 4, the model's number of layers"),
        ("tensor_parallel_size", "two", "a whole number from 1"),
        ("kv_cache_memory_bytes", -5, "a positive number of bytes"),
        ("load_format", "no", "one of auto,"),
        ("block_size", 7, "a multiple of 32"),
    ],
)
def test_arguments_that_vllm_would_only_trip_over_later_are_named(name, value, expected):
    with pytest.raises(InputError, match=rf"engine_args\.{name}: expected {expected}.*found '?{value}"):
        check_engine_args(asking.source(RESPONDENT), "cpu", {name: value})


def test_a_length_that_changes_every_prompts_rotary_factors_is_refused(tmp_path):
    """Phi-3's long context: above its first length vLLM takes the second factors for short prompts, too."""
    factors = {"type": "longrope", "short_factor": [1.0] * 16, "long_factor": [4.0] * 16}
    config = Phi3Config(
        vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512, original_max_position_embeddings=128, rope_scaling=factors,
        pad_token_id=0, architectures=["Phi3ForCausalLM"],
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    source = asking.source(tmp_path)
    assert check_engine_args(source, "cpu", {}) == 128
    assert check_engine_args(source, "cpu", {"max_model_len": 128}) == 128
    with pytest.raises(InputError, match=r"engine_args\.max_model_len: expected at most 128.*found 129"):
        check_engine_args(source, "cpu", {"max_model_len": 129})


def test_no_setting_of_the_model_or_its_weights_is_taken_for_transport():
    """vLLM's own grouping of its arguments: of what describes model, weights and adapters, only these say
    nothing about the answer."""
    from vllm.config import LoadConfig, LoRAConfig, ModelConfig, MultiModalConfig

    harmless = {
        "enforce_eager", "disable_cascade_attn", "max_model_len", "download_dir", "use_tqdm_on_load",
        "safetensors_load_strategy", "enable_sleep_mode",
    }  # fmt: skip
    groups = (LoadConfig, LoRAConfig, ModelConfig, MultiModalConfig)
    described = {field.name for group in groups for field in dataclasses.fields(group)}
    assert TRANSPORT & described <= harmless
    assert {"load_format", "quantization"} <= described


def test_every_argument_that_is_named_is_one_of_vllms():
    from vllm.engine.arg_utils import EngineArgs

    names = {field.name for field in dataclasses.fields(EngineArgs)}
    several = {name for name in names if name.startswith(("data_parallel", "spec"))}
    assert several - {"specialize_active_lora"} <= set(RESERVED)
    assert set(RESERVED) <= names


def test_a_failed_start_says_what_to_do_and_another_engine_can_follow(asked):
    """A cache that cannot hold one sequence of the model's length; then one that can; then transformers."""
    config, requests = asked
    with pytest.raises(
        RunError,
        match=r"start of the engine.*lower engine_args\.max_model_len or raise kv_cache_memory_bytes",
    ):
        VllmWorker(config, {"kv_cache_memory_bytes": 1 << 18})
    worker = VllmWorker(config, {"kv_cache_memory_bytes": 1 << 30})
    found = texts(worker(asking.table(requests[:4])))
    runner = worker.engine._engine.engine_core.engine_core.model_executor.driver_worker.worker.model_runner
    held = [weakref.ref(thing) for thing in (runner, runner.model, runner.kv_caches[0].untyped_storage())]
    del runner
    assert all(one() is not None for one in held)
    worker.close()
    worker.close()
    assert [one() for one in held] == [None] * len(held)
    assert found == texts(HfWorker(config)(asking.table(requests[:4])))


def test_answers_stop_where_they_are_complete(tmp_path):
    """A model that follows a script goes on behind its answers; the worker does not."""
    tokenizer, script, requests = tiny.tokenizer("nobos"), [], []

    def encode(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    thoughts = (" on on\nAnswer: yes\n", " on\nAnswer: no.", " on" * 12)
    for number, thought in enumerate(thoughts):
        requests.append(asking.request(number, asking.Prompt("", (9,) * (len(script) + 1), ())))
        script += encode(thought) + encode(" on") * 12
    folder = asking.scripted_model(tmp_path, tokenizer, script)
    config = asking.config(folder, asking.Prompt("", (9,), ()), sampling=SamplingSpec(max_tokens=12))
    worker = VllmWorker(config, {})
    found = worker(asking.table(requests)).to_pylist()
    worker.close()
    assert [row["finish"] for row in found] == ["complete", "complete", "limit"]
    assert [row["text"] for row in found[:2]] == list(thoughts[:2])
    vllm_models.same_rows(found, HfWorker(config)(asking.table(requests)).to_pylist(), lambda place: False)


@pytest.mark.slow
def test_a_dead_engine_core(asked, monkeypatch):
    """The core in a process of its own, as on a GPU: killed in mid-run, it costs what was not finished."""
    config, requests = asked
    whole = texts(HfWorker(config)(asking.table(requests)))
    monkeypatch.setattr("axiograph.engine.vllm.worker.PROVE_EVERY_S", 0.0)
    before = set(psutil.Process().children(recursive=True))
    worker = VllmWorker(config, {"max_num_seqs": 4}, process=True)
    core = [child for child in psutil.Process().children(recursive=True) if child not in before]
    assert core
    finished, finish = [], Job.finish

    def noted(job, place, result):
        finish(job, place, result)
        finished.append(result["request_id"])
        # In the middle of the second table.
        if len(finished) == 52:
            for child in core:
                child.kill()

    monkeypatch.setattr(Job, "finish", noted)
    kept = []
    try:
        with pytest.raises(RunError, match=r"engine core.*dead"):
            for table in worker.stream([asking.table(requests)] * 4):
                kept += table.to_pylist()
    finally:
        worker.close()
    # The rows of the last step or two could not be proven any more.
    assert 52 - 2 * 4 <= len(kept) <= len(finished) <= 52 + 2 * 4
    assert all(whole[row["request_id"]] == row["text"] for row in kept)
    assert not [child for child in core if child.is_running() and child.status() != "zombie"]


def test_numbas_library_does_not_stop_vllms_scan_of_all_modules():
    from llvmlite import binding
    from llvmlite.binding import ffi

    make_llvmlite_scannable()
    make_llvmlite_scannable()  # once more changes nothing
    assert not hasattr(ffi.lib, "__dict__")
    assert binding.llvm_version_info[0] > 0
    assert ffi.lib.LLVMPY_GetVersionInfo() > 0

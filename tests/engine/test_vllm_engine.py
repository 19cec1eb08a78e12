"""Start, failure and end of the vLLM engine: what a person is told, and what is left behind."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import psutil
import pytest

import engine
from engine.errors import InputError, RunError
from engine.hf_worker import HfWorker
from engine.models import load_tokenizer
from engine.study import SamplingSpec
from engine.vllm_args import check_engine_args
from engine.vllm_engine import make_llvmlite_scannable
from engine.vllm_worker import VllmWorker
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


def test_a_failed_start_says_what_to_do_and_another_engine_can_follow(asked):
    """A cache that cannot hold one sequence of the model's length; then one that can; then transformers."""
    config, requests = asked
    with pytest.raises(RunError, match=r"start of the engine.*lower engine_args\.max_model_len"):
        VllmWorker(config, {"kv_cache_memory_bytes": 1 << 18})
    worker = VllmWorker(config, {"kv_cache_memory_bytes": 1 << 30})
    found = texts(worker(asking.table(requests[:4])))
    resident = psutil.Process().memory_info().rss
    worker.close()
    worker.close()
    assert psutil.Process().memory_info().rss <= resident
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
def test_a_dead_engine_core(asked):
    """The core in a process of its own, as on a GPU: killed in mid-run, it costs what was not finished."""
    config, requests = asked
    whole = texts(HfWorker(config)(asking.table(requests)))
    before = set(psutil.Process().children(recursive=True))
    worker = VllmWorker(config, {"max_num_seqs": 4}, process=True)
    core = [child for child in psutil.Process().children(recursive=True) if child not in before]
    assert core
    kept = []
    try:
        with pytest.raises(RunError, match=r"engine core.*dead"):
            for number, table in enumerate(worker.stream([asking.table(requests)] * 40)):
                kept += table.to_pylist()
                if number == 1:
                    for child in core:
                        child.kill()
    finally:
        worker.close()
    assert len(kept) >= 2 * len(requests)
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

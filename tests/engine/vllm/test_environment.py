"""What vLLM prints at its start, and what it leaves of the process: only errors, unless told otherwise."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest

from axiograph.engine.vllm.environment import memory_unbound, multiprocessing, quiet, quiet_children

LEVEL, BINDING = "VLLM_LOGGING_LEVEL", "VLLM_CPU_OMP_THREADS_BIND"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No word of the user's, and vLLM's logger as it is before vLLM was configured."""
    # Set first, so that what `quiet` adds goes with the test.
    for name in (LEVEL, BINDING, "VLLM_NO_USAGE_STATS", "PYTHONWARNINGS", "TORCH_CPP_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.delenv("CPU_VISIBLE_MEMORY_NODES", raising=False)
    logger = logging.getLogger("vllm")
    before = logger.level
    logger.setLevel(logging.NOTSET)
    yield
    logger.setLevel(before)


def warned():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn("later", FutureWarning, stacklevel=1)
    return len(found)


def test_only_errors_by_default_and_everything_where_the_user_says_so(monkeypatch):
    logger = logging.getLogger("vllm.anything")
    assert warned() == 0
    assert logger.isEnabledFor(logging.ERROR) and not logger.isEnabledFor(logging.WARNING)
    logging.getLogger("vllm").setLevel(logging.NOTSET)
    monkeypatch.setenv(LEVEL, "info")
    assert warned() == 1
    assert logger.isEnabledFor(logging.INFO) and os.environ[LEVEL] == "info"


def test_a_level_that_somebody_has_set_stays():
    logging.getLogger("vllm").setLevel(logging.DEBUG)
    with quiet():
        assert logging.getLogger("vllm").level == logging.DEBUG


def test_processes_that_vllm_starts_inherit_it_and_nothing_stays(monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error::ResourceWarning")
    before = dict(os.environ)
    with quiet_children():
        assert dict(os.environ) == before  # nobody has asked for errors only
    monkeypatch.setenv(LEVEL, "ERROR")
    before = dict(os.environ)
    with quiet_children(), multiprocessing(True):
        assert os.environ["PYTHONWARNINGS"] == "ignore::FutureWarning,error::ResourceWarning"
        assert os.environ["TORCH_CPP_LOG_LEVEL"] == "ERROR"
        assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "1"
    assert dict(os.environ) == before


def test_memory_is_bound_only_for_who_binds_threads_or_names_nodes(monkeypatch):
    import torch

    calls = []
    monkeypatch.setattr(torch.ops, "_C", SimpleNamespace(init_cpu_memory_env=calls.append))

    def bind():
        with memory_unbound():
            torch.ops._C.init_cpu_memory_env([0])
        return len(calls)

    with quiet():
        pass
    assert os.environ[BINDING] == "nobind" and bind() == 0
    assert torch.ops._C.init_cpu_memory_env == calls.append
    monkeypatch.setenv("CPU_VISIBLE_MEMORY_NODES", "0")
    assert bind() == 1
    monkeypatch.delenv("CPU_VISIBLE_MEMORY_NODES")
    monkeypatch.setenv(BINDING, "0-1")
    assert bind() == 2


START = """
from pathlib import Path
from axiograph import engine
from axiograph.engine.workers.models import ModelSource
from axiograph.engine.vllm.arguments import engine_arguments
from axiograph.engine.vllm.engine import VllmEngine

folder = Path(engine.__file__).parent / "assets" / "respondent" / "model"
source = ModelSource("respondent", folder, None, "float32", False)
VllmEngine(engine_arguments(source, "cpu", {"max_model_len": 256}), "cpu").close()
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize("level", [None, "INFO"])
def test_a_start_prints_nothing_and_with_a_level_everything(level):
    told = {} if level is None else {LEVEL: level}
    done = subprocess.run(
        [sys.executable, "-c", START], env={**os.environ, **told}, capture_output=True, text=True, check=True
    )
    if level is None:
        assert (done.stdout, done.stderr) == ("", "")
    else:
        assert "INFO" in done.stdout + done.stderr and "WARNING" in done.stdout + done.stderr

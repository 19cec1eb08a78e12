"""What vLLM finds in this process: log levels, environment variables, and where its memory may lie.

It prints errors only, and takes no more than it needs. Where its lines come from: its own loggers (which
Python shows from level WARNING until vLLM configures them, and that is after its import), Python's warnings,
and torch's C++ code, which asks nobody.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

_UNBOUND = "nobind"  # vLLM's word for threads that go where they like
_BIND_MEMORY = "init_cpu_memory_env"


@contextmanager
def quiet() -> Iterator[None]:
    """vLLM prints errors only and leaves threads alone, unless the user has said otherwise.

    `VLLM_LOGGING_LEVEL` is how a user says it: with any level below ERROR, everything that vLLM and torch
    print at that level is printed."""
    level = os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR").upper()
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    # On a CPU vLLM would bind this process to its cores for good, and discovery comes after sampling;
    # with several workers it would ask for a memory node for each of them.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", _UNBOUND)
    logger = logging.getLogger("vllm")
    if logger.level == logging.NOTSET and level in logging.getLevelNamesMapping():
        # vLLM sets it when its configuration is made; what it says while it is imported comes before that.
        logger.setLevel(level)
    with warnings.catch_warnings():
        if _errors_only():
            # Of names that its scan of all modules touches.
            warnings.simplefilter("ignore", FutureWarning)
        yield


def _errors_only() -> bool:
    return os.environ.get("VLLM_LOGGING_LEVEL", "").upper() in ("ERROR", "CRITICAL", "FATAL")


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Environment variables for vLLM and for the processes that it starts, until the end of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def multiprocessing(process: bool) -> AbstractContextManager[None]:
    """The environment variable by which vLLM's CPU platform decides on its executor."""
    return _environment(VLLM_ENABLE_V1_MULTIPROCESSING="1" if process else "0")


def quiet_children() -> AbstractContextManager[None]:
    """As `quiet`, for processes that an engine starts: what their Python and their torch warn of."""
    if not _errors_only():
        return nullcontext()
    filters = os.environ.get("PYTHONWARNINGS")
    ignored = "ignore::FutureWarning"
    return _environment(
        # Later filters come first: what the user has set goes on.
        PYTHONWARNINGS=f"{ignored},{filters}" if filters else ignored,
        TORCH_CPP_LOG_LEVEL=os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    )


@contextmanager
def memory_unbound() -> Iterator[None]:
    """Memory of this process stays where its threads ask for it, as its threads stay where they like.

    vLLM's CPU worker would bind all that the process takes from now on to one memory node (and torch would
    print a line on it), also where its threads are not bound, and for good. A user who binds threads or names
    memory nodes gets what vLLM does."""
    import torch

    if os.environ["VLLM_CPU_OMP_THREADS_BIND"] != _UNBOUND or os.environ.get("CPU_VISIBLE_MEMORY_NODES"):
        yield
        return
    # Attributes of the namespace come before the operators that it looks up.
    operators = vars(torch.ops._C)
    before = operators.get(_BIND_MEMORY)
    operators[_BIND_MEMORY] = lambda nodes: None
    try:
        yield
    finally:
        if before is None:
            del operators[_BIND_MEMORY]
        else:
            operators[_BIND_MEMORY] = before

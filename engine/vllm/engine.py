"""One running vLLM engine: started, fed, stepped, asked and given back, with vLLM's errors made readable.

On a GPU the engine core is a process of its own, whose exit frees the GPU's memory; on a CPU it runs in this
one (five seconds to start instead of twenty). Written for vLLM 0.32, whose classes below LLM it uses.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any

from axiograph.engine.errors import BrokenEngineError, RunError
from axiograph.engine.vllm.arguments import configured, shortened
from axiograph.engine.vllm.environment import memory_unbound, multiprocessing, quiet, quiet_children


class VllmEngine:
    """An engine for `arguments` (vLLM's EngineArgs by name) on `device` (cpu or cuda).

    `process` runs the engine core in a process of its own; the default is to do that on a GPU only.
    RunError when it does not start.
    """

    _inside = False  # whether one runs in this process

    def __init__(self, arguments: Mapping[str, Any], device: str, process: bool | None = None) -> None:
        self.device = device
        self.process = device != "cpu" if process is None else process
        if not self.process and VllmEngine._inside:
            raise RunError(
                "vLLM, start of the engine",
                "no other engine inside this process",
                "one that runs",
                "Close it first: vLLM keeps its process groups for the whole process.",
            )
        config = configured(arguments, device, self.process)
        self.max_model_len = int(config.model_config.max_model_len)
        self.vocabulary = int(config.model_config.get_vocab_size())
        self.max_num_seqs = int(config.scheduler_config.max_num_seqs)
        self._engine: Any = _started(config, self.process)
        VllmEngine._inside = not self.process or VllmEngine._inside
        self._closed = threading.Event()
        if self.process:
            client = self._engine.engine_core
            threading.Thread(target=_watch_core, args=(client, self._closed), daemon=True).start()

    def add(self, key: str, ids: Sequence[int], params: Any, salt: str | None, detokenizer: Any) -> str:
        """Queue one prompt (token ids) and return vLLM's name for it; ValueError when vLLM refuses it.

        `detokenizer` takes the tokens as they come and says when to stop.
        """
        from vllm.inputs.engine import tokens_input

        with _readable(refusals=True):
            name = str(self._engine.add_request(key, tokens_input(list(ids), cache_salt=salt), params))
        # Where vLLM looks for stop strings: they end a request without a round trip through its outputs.
        self._engine.output_processor.request_states[name].detokenizer = detokenizer
        return name

    def step(self) -> list[Any]:
        """One step of the engine; the outputs (RequestOutput) of requests that finished with it."""
        with _readable():
            return list(self._engine.step())

    @property
    def unfinished(self) -> int:
        """How many requests are queued or under way."""
        return int(self._engine.get_num_unfinished_requests())

    def ask_workers(self, method: str, *args: Any) -> list[Any]:
        """What `method` of the worker extension returns on every worker."""
        with _readable():
            return list(self._engine.collective_rpc(method, args=args))

    def forget_prefixes(self) -> None:
        """Empty the prefix cache: what follows passes through the model whole."""
        with _readable():
            self._engine.reset_prefix_cache()

    def close(self) -> None:
        """Give the memory back; safe to repeat, and on an engine that is dead already."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        self._closed.set()
        with suppress(Exception):
            engine.engine_core.shutdown()
        with suppress(Exception):
            engine.renderer.shutdown()
        del engine
        if not self.process:
            _forget_groups()
            VllmEngine._inside = False
        gc.collect()


def make_llvmlite_scannable() -> None:
    """Let vLLM look through the namespaces of all modules after numba was used in this process.

    At its start vLLM's CPU build asks every object of every module for its `__dict__`, to replace kernels.
    llvmlite's library object answers any name with a function of the library, which then is no dictionary."""
    ffi = sys.modules.get("llvmlite.binding.ffi")
    if ffi is None:
        return
    wrapper = type(ffi.lib)
    answer = wrapper.__getattr__

    def without_special_names(library: object, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return answer(library, name)

    if not getattr(answer, "leaves_special_names", False):
        vars(without_special_names)["leaves_special_names"] = True
        wrapper.__getattr__ = without_special_names


def _started(config: Any, process: bool) -> Any:
    from vllm.v1.engine.llm_engine import LLMEngine
    from vllm.v1.executor import Executor

    make_llvmlite_scannable()
    try:
        with quiet(), multiprocessing(process), quiet_children() if process else memory_unbound():
            return LLMEngine(config, Executor.get_class(config), log_stats=False, multiprocess_mode=process)
    except Exception as error:
        # vLLM raises whatever its parts raise: ValueError for memory, RuntimeError for a dead process, …
        if not process:
            _forget_groups()
        above = " The lines that vLLM printed above name the cause." if process else ""
        cache = _cache_argument(config)
        raise RunError(
            "vLLM, start of the engine",
            "an engine for this model on this machine",
            shortened(error),
            "Where the cache is too small for one sequence, lower engine_args.max_model_len or raise "
            f"{cache}; where memory is short, lower {cache} or free some; otherwise "
            f"backend: hf runs without vLLM.{above}",
        ) from error


def _cache_argument(config: Any) -> str:
    """The argument that sets the size of the cache of this configuration."""
    in_bytes = config.cache_config.kv_cache_memory_bytes is not None
    return "kv_cache_memory_bytes" if in_bytes else "gpu_memory_utilization"


def _watch_core(client: Any, closed: threading.Event) -> None:
    """Wake who waits for a core that died: vLLM's client notices the death, and then waits for ever, for the
    next outputs or for the answer of the workers."""
    from vllm.v1.engine.exceptions import EngineDeadError

    told = False
    while not closed.wait(1.0):
        if not client.resources.engine_dead:
            continue
        if not told:
            client.outputs_queue.put(EngineDeadError())
            told = True
        # Again and again: a question may have been on its way when the death was noticed.
        for asked in list(client.utility_results.values()):
            with suppress(InvalidStateError):
                asked.set_exception(EngineDeadError())


@contextmanager
def _readable(refusals: bool = False) -> Iterator[None]:
    """What goes wrong inside a running engine, as one paragraph; with `refusals` there may also be vLLM's
    refusal of the one request that is handed in: ValueError."""
    from vllm.exceptions import VLLMClientError
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        yield
    except EngineDeadError as error:
        raise BrokenEngineError(
            "vLLM, engine core",
            "a running process",
            "a dead one (the lines that it printed above name the cause)",
            "What was finished is stored: the same command continues. If memory was short, lower "
            "engine_args.gpu_memory_utilization or max_num_seqs.",
        ) from error
    except Exception as error:
        if refusals and isinstance(error, (ValueError, VLLMClientError)):
            raise ValueError(shortened(error)) from error
        raise BrokenEngineError(
            "vLLM, step of the engine",
            "a step without failure",
            f"{type(error).__name__}: {shortened(error)}",
            "What was finished is stored: the same command continues. backend: hf runs without vLLM.",
        ) from error


def _forget_groups() -> None:
    """Undo what an engine inside this process leaves behind, so that another one can follow."""
    import torch
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    with suppress(Exception):
        cleanup_dist_env_and_memory()
    # The CPU worker replaces it by a function that only warns.
    torch.set_num_threads = torch._C.set_num_threads

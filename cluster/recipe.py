"""Recipes: how a worker is made. They travel; workers, which hold models, do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.models import ModelSource
from engine.vllm_args import parallel_size
from engine.vllm_worker import VllmWorker
from engine.worker import Worker, WorkerConfig
from steering.hook_worker import HookWorker
from steering.operations import Operation
from steering.vllm_worker import SteeredVllmWorker


@dataclass(frozen=True)
class WorkerRecipe:
    """`backend`: hf or vllm; `operations`: by steered condition; `known`: all conditions of the study."""

    backend: str
    config: WorkerConfig
    engine_args: Mapping[str, Any]
    operations: Mapping[str, tuple[Operation, ...]]
    known: frozenset[str]

    def make(self) -> Worker:
        """The worker, with its model loaded; RunError or InputError when it refuses to start."""
        if self.backend == "hf":
            return HookWorker(self.config, self.operations, self.known)
        if not self.operations:
            return VllmWorker(self.config, self.engine_args)
        return SteeredVllmWorker(self.config, self.engine_args, self.operations, self.known)

    def at(self, source: ModelSource) -> WorkerRecipe:
        """The same with the model where this machine has it."""
        return replace(self, config=replace(self.config, source=source))

    def across_nodes(self) -> WorkerRecipe:
        """The same for an engine that no node can hold: vLLM puts its parts where Ray has reserved room."""
        return replace(self, engine_args={**self.engine_args, "distributed_executor_backend": "ray"})

    @property
    def gpus(self) -> int:
        """How many GPUs one engine spreads over."""
        return parallel_size(self.engine_args) if self.backend == "vllm" else 1


@dataclass(frozen=True)
class Kind:
    """Workers of one kind: all that is asked of a role is asked of one kind (DESIGN 3). `roles`: whose
    requests they answer, None for all."""

    name: str
    recipe: WorkerRecipe
    roles: frozenset[str] | None = None

    def answers(self, role: str) -> bool:
        return self.roles is None or role in self.roles

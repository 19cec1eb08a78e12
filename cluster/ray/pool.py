"""Pools: how many workers of a kind the machines of a cluster can hold, and with what each."""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from axiograph.cluster.ray.connection import PREFIX, Node
from axiograph.cluster.sampling.executors import Kind, WorkerRecipe
from axiograph.engine.errors import RunError

# Left on every node for Ray Data's own tasks, which cut the plan into blocks.
SPARE_CPUS = 1.0


@dataclass
class Pool:
    """At most `size` workers, each on `gpus` GPUs and `cpus` cores; `initial`: how many are started at once.
    `spread`: an engine spans several nodes, by a placement group. `names`: of the actors that were started,
    by which they are found again."""

    size: int
    gpus: int
    cpus: float
    accelerator: str | None = None
    spread: bool = False
    initial: int = 1
    names: list[str] = field(default_factory=list)
    groups: list[Any] = field(default_factory=list)

    def resources(self) -> dict[str, Any]:
        """What Ray Data reckons with for each actor."""
        asked: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": 0 if self.spread else self.gpus}
        if self.accelerator is not None:
            asked["accelerator_type"] = self.accelerator
        return asked

    def actor_options(self) -> dict[str, Any]:
        """Called by Ray Data for every actor that it starts: its name, and a placement group if need be."""
        name = f"axiograph-{uuid.uuid4().hex[:12]}"
        self.names.append(name)
        return {"name": name} | (self._placement() if self.spread else {})

    def _placement(self) -> dict[str, Any]:
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        bundle: dict[str, float] = {"GPU": 1.0}
        if self.accelerator is not None:
            bundle[f"{PREFIX}{self.accelerator}"] = 0.001
        bundles = [dict(bundle) for _ in range(self.gpus)]
        bundles[0]["CPU"] = max(self.cpus, 0.001)
        group = placement_group(bundles, strategy="PACK")
        self.groups.append(group)
        strategy = PlacementGroupSchedulingStrategy(
            group, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
        )
        return {"scheduling_strategy": strategy}

    def close(self) -> None:
        """Give the placement groups back; the actors go with the dataset that started them."""
        from ray.util.placement_group import remove_placement_group

        for group in self.groups:
            with suppress(Exception):  # gone with its node
                remove_placement_group(group)
        self.groups.clear()
        self.names.clear()


def size_pool(
    machines: Sequence[Node], recipe: WorkerRecipe, most: int | None = None, memory: int = 0
) -> Pool:
    """As many workers of `recipe` as the nodes can hold, at most `most`: on the GPUs of one type where there
    are any, else one for each core that has `memory` bytes. RunError where not even one fits."""
    if any(node.gpus for node in machines):
        pool = gpu_pool(machines, recipe.gpus)
    else:
        pool = _cpu_pool(machines, memory)
    if pool.size < 1:
        gpus, cpus = sum(node.gpus for node in machines), sum(node.cpus for node in machines)
        raise RunError(
            "Ray cluster",
            f"room for one worker ({recipe.gpus} GPUs of one type, or a core with {memory / 1e9:.1f} GB)",
            f"{gpus} GPUs and {cpus:g} cores on {len(machines)} nodes",
            "Add nodes, or change the engine's parallel sizes.",
        )
    return replace(pool, size=min(pool.size, most or pool.size))


def gpu_pool(machines: Sequence[Node], gpus: int) -> Pool:
    """On the type of GPU that holds most engines: answers of one study come from one kind of device."""
    pools = []
    for kind in {node.accelerator for node in machines if node.gpus}:
        alike = [node for node in machines if node.gpus and node.accelerator == kind]
        inside = sum(node.gpus // gpus for node in alike)
        spread = inside == 0
        size = sum(node.gpus for node in alike) // gpus if spread else inside
        # Cores for the engines of the tightest node, less what Ray Data needs there.
        shares = [(node.cpus - SPARE_CPUS) / max(1, node.gpus // gpus) for node in alike]
        pools.append(Pool(size, gpus, _share(min(1.0, *shares)), kind, spread))
    return max(pools, key=lambda pool: (pool.size, pool.accelerator or ""))


def _cpu_pool(machines: Sequence[Node], memory: int) -> Pool:
    counts = Counter({node.name: int(min(node.cpus, node.memory // max(1, memory))) for node in machines})
    if not sum(counts.values()):
        return Pool(0, 0, 0.0)
    # Cores are shared out a little short of one each, so that one is left for Ray Data's own tasks.
    shares = [(node.cpus - SPARE_CPUS) / counts[node.name] for node in machines if counts[node.name]]
    return Pool(sum(counts.values()), 0, _share(min(1.0, *shares)))


def _share(cpus: float) -> float:
    """Rounded down to what Ray counts in."""
    return max(0.0, math.floor(cpus * 1000) / 1000)


def pool_note(kind: Kind, machines: Sequence[Node], most: int | None) -> str:
    """Where the workers of a kind will be, for a person before the start."""
    pool = size_pool(machines, kind.recipe, most, worker_memory(kind.recipe))
    where = f"{pool.gpus} GPU{'s' if pool.gpus > 1 else ''} each" if pool.gpus else "a core each"
    who = "" if kind.roles is None else f", for {len(kind.roles):,} roles"
    types = {node.accelerator for node in machines if node.gpus}
    idle = f"; GPUs other than {pool.accelerator} stay idle" if len(types) > 1 else ""
    return f"Ray: up to {pool.size} workers ({kind.recipe.backend}, {where}{idle}){who}."


def worker_memory(recipe: WorkerRecipe) -> int:
    """Bytes that a worker on a CPU takes at least: its weights in float32, its caches, its libraries."""
    weights = sum(path.stat().st_size for path in recipe.config.source.folder.glob("*.safetensors"))
    caches = 2 * 10**9 if recipe.backend == "vllm" else 0
    return 2 * weights + caches + 5 * 10**8

"""A Ray cluster: joining it, what it has, and how many workers of a kind it can hold.

Beside workers it runs single calls that need their hardware, and the chunks of a bootstrap.
"""

from __future__ import annotations

import logging
import math
import os
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from axiograph.cluster.ray.model_transfer import ModelFiles, TransferableModel
from axiograph.cluster.sampling.executors import Kind, WorkerRecipe
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.engine_args import parallel_size
from axiograph.engine.workers.models import ModelSource

PREFIX = "accelerator_type:"
# Left on every node for Ray Data's own tasks, which cut the plan into blocks.
SPARE_CPUS = 1.0
START_ATTEMPTS = 3


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: what it has, as Ray counts. `accelerator`: type of its GPUs, if known."""

    name: str
    cpus: float
    gpus: int
    memory: float
    accelerator: str | None


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


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Connected to the cluster at `address`: `auto` (the one that runs here), `local` (one of its own on this
    machine, for this run only), or HOST:PORT. InputError when there is none."""
    if address.startswith("ray://"):
        raise InputError(
            "--ray", "auto, local or HOST:PORT", address, "Give the run to the cluster: axiograph submit."
        )
    # Before Ray is imported: it reports home otherwise.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    if ray.is_initialized():  # by whoever called, who also ends it
        yield
        return
    try:
        _connect(address)
    except Exception as error:  # Ray raises plain Exceptions where it does not start
        raise InputError(
            f"--ray {address}",
            "a Ray cluster of this version that can be reached",
            " ".join(str(error).split())[:300],
            "Start one with `ray start --head`, or use --ray local.",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address != "local":
        ray.init(address=address, **options)
        return
    for attempt in range(START_ATTEMPTS):
        try:
            ray.init(address="local", include_dashboard=False, **options)
            return
        except Exception:
            # Ray's own agents have to be up within 15 s, which a busy machine may miss.
            ray.shutdown()
            if attempt == START_ATTEMPTS - 1:
                raise


def nodes() -> list[Node]:
    """The machines that are alive."""
    import ray

    machines = []
    for about in ray.nodes():
        if about["Alive"]:
            has = about["Resources"]
            types = [name.removeprefix(PREFIX) for name in has if name.startswith(PREFIX)]
            machines.append(
                Node(
                    about["NodeID"],
                    has.get("CPU", 0.0),
                    int(has.get("GPU", 0)),
                    has.get("memory", math.inf),
                    types[0] if types and has.get("GPU") else None,
                )
            )
    return machines


def has_gpus() -> bool:
    return any(node.gpus for node in nodes())


def size_pool(
    machines: Sequence[Node], recipe: WorkerRecipe, most: int | None = None, memory: int = 0
) -> Pool:
    """As many workers of `recipe` as the nodes can hold, at most `most`: on the GPUs of one type where there
    are any, else one for each core that has `memory` bytes. RunError where not even one fits."""
    if any(node.gpus for node in machines):
        pool = _gpu_pool(machines, recipe.gpus)
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


def _gpu_pool(machines: Sequence[Node], gpus: int) -> Pool:
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


def near_workers(engine_args: Mapping[str, Any], machines: Sequence[Node]) -> Callable[..., Any]:
    """A Near (cluster.sampling.preparation): calls functions on a node that has what the workers have. Where
    no node has a GPU that is this one."""
    if not any(node.gpus for node in machines):
        return lambda function, *args: function(*args)
    wanted = parallel_size(engine_args)

    def near(function: Callable[..., Any], *args: Any) -> Any:
        import ray

        pool = _gpu_pool(machines, 1)
        gpus = 1 if pool.spread else min(wanted, max(node.gpus for node in machines))
        sent = [transferable(arg) if isinstance(arg, ModelSource) else arg for arg in args]
        task = ray.remote(_called).options(
            num_gpus=gpus, num_cpus=0, accelerator_type=pool.accelerator, max_retries=2
        )
        try:
            return ray.get(task.remote(function, sent))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    return near


def _called(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    return function(*(arg.local() if isinstance(arg, TransferableModel) else arg for arg in args))


def transferable(source: ModelSource) -> TransferableModel:
    """The model ready to travel: its files can be read from an actor on this node."""
    import ray

    files = ray.remote(ModelFiles).options(**beside_driver()).remote(source.folder)
    return TransferableModel(source, source.digest(), files)


def beside_driver() -> dict[str, Any]:
    """Options of an actor that has to be on the driver's node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


Part = TypeVar("Part")
WAITING = 4  # tasks in hand for each core: more results would only fill memory


class RaySpread:
    """Computes chunks anywhere on the cluster (discovery.resampling.replicates.Spread); Ray retries what
    dies."""

    @property
    def size(self) -> int:
        """Cores of the cluster."""
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def __call__(self, task: Callable[[range], Part], chunks: Sequence[range]) -> Iterator[Part]:
        """The results of `task`, in the order of `chunks`."""
        import ray

        # The task holds the table of profiles: every node gets it once, however many tasks it runs.
        shared = ray.put(task)
        call: Any = ray.remote(_chunk_done).options(num_cpus=1, max_retries=-1)
        waiting: deque[Any] = deque()
        try:
            for chunk in chunks:
                waiting.append(call.remote(shared, chunk))
                if len(waiting) > WAITING * self.size:
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        finally:
            for ref in waiting:
                ray.cancel(ref)


def _chunk_done(task: Callable[[range], Part], chunk: range) -> Part:
    return task(chunk)

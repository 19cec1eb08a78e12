"""What runs on a cluster beside workers: calls that need their hardware, and the chunks of a bootstrap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from axiograph.cluster.ray.connection import Node, beside_driver
from axiograph.cluster.ray.model_transfer import ModelFiles, TransferableModel
from axiograph.cluster.ray.pool import gpu_pool
from axiograph.engine.study.engine_args import parallel_size
from axiograph.engine.workers.models import ModelSource

Part = TypeVar("Part")
WAITING = 4  # tasks in hand for each core: more results would only fill memory


def near_workers(engine_args: Mapping[str, Any], machines: Sequence[Node]) -> Callable[..., Any]:
    """A Near (cluster.sampling.preparation): calls functions on a node that has what the workers have. Where
    no node has a GPU that is this one."""
    if not any(node.gpus for node in machines):
        return lambda function, *args: function(*args)
    wanted = parallel_size(engine_args)

    def near(function: Callable[..., Any], *args: Any) -> Any:
        import ray

        pool = gpu_pool(machines, 1)
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

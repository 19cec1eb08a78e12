"""The bootstrap on a Ray cluster: one task for each chunk of replicates, over a table that is sent once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

Part = TypeVar("Part")
WAITING = 4  # tasks in hand for each core: more results would only fill memory


class RaySpread:
    """Computes chunks anywhere on the cluster (discovery.replicating.Spread); Ray retries what dies."""

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
        call: Any = ray.remote(_called).options(num_cpus=1, max_retries=-1)
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


def _called(task: Callable[[range], Part], chunk: range) -> Part:
    return task(chunk)

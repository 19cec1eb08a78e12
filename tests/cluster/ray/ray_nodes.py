"""Ray clusters of several local nodes; each test process has its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STORE_BYTES = 120_000_000
ATTEMPTS = 4  # a busy machine may miss the 15 s that Ray's own agents have for their start


@contextmanager
def head(cpus: float, gpus: int) -> Iterator[Any]:
    """A cluster (ray.cluster_utils.Cluster) of one node."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # By default workers stand back behind everything else on the machine.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - so Ray spells it
    from ray.cluster_utils import Cluster

    with _temporary_folder():
        cluster = _tried(lambda: Cluster(initialize_head=True, head_node_args=_node(cpus, gpus)))
        try:
            yield cluster
        finally:
            cluster.shutdown()


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """A folder of this process for everything that Ray keeps while it runs.

    By the variable and not by the node's own `temp_dir`: Cluster writes its address into the default folder
    whatever the node was given, which is missing where Ray never ran, and one for all processes elsewhere."""
    before = os.environ.get("RAY_TMPDIR")
    # Sockets lie below it, whose paths may not be long.
    with tempfile.TemporaryDirectory(prefix="ax", dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.environ["RAY_TMPDIR"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["RAY_TMPDIR"]
            else:
                os.environ["RAY_TMPDIR"] = before


@contextmanager
def started(cpus: float, gpus: int) -> Iterator[Any]:
    """The same, with this process as its driver."""
    with head(cpus, gpus) as cluster:
        import ray

        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        try:
            yield cluster
        finally:
            ray.shutdown()


def add(cluster: Any, cpus: float, gpus: int) -> Any:
    """Another node."""
    return _tried(lambda: cluster.add_node(num_cpus=cpus, num_gpus=gpus, object_store_memory=STORE_BYTES))


def _node(cpus: float, gpus: int) -> dict[str, Any]:
    return {
        "num_cpus": cpus,
        "num_gpus": gpus,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
    }


def _tried(start: Any) -> Any:
    for attempt in range(ATTEMPTS):
        try:
            return start()
        except Exception:
            if attempt == ATTEMPTS - 1:
                raise
    return None

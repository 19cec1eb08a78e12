"""Ray clusters of several local nodes; each test process has its own."""

from __future__ import annotations

import os
import shutil
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

    # Sockets lie below it, whose paths may not be long.
    folder = tempfile.mkdtemp(prefix="ax", dir="/tmp")
    try:
        cluster = _tried(lambda: Cluster(initialize_head=True, head_node_args=_node(cpus, gpus, folder)))
        try:
            yield cluster
        finally:
            cluster.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _node(cpus: float, gpus: int, folder: str) -> dict[str, Any]:
    return {
        "num_cpus": cpus,
        "num_gpus": gpus,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "temp_dir": folder,
    }


def _tried(start: Any) -> Any:
    for attempt in range(ATTEMPTS):
        try:
            return start()
        except Exception:
            if attempt == ATTEMPTS - 1:
                raise
    return None

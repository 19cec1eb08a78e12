"""A Ray cluster: joining it, and the machines that it has."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from axiograph.engine.errors import InputError

PREFIX = "accelerator_type:"
START_ATTEMPTS = 3


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: what it has, as Ray counts. `accelerator`: type of its GPUs, if known."""

    name: str
    cpus: float
    gpus: int
    memory: float
    accelerator: str | None


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


def beside_driver() -> dict[str, Any]:
    """Options of an actor that has to be on the driver's node."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}

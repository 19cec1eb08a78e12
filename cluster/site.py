"""Sites: where a run's workers are, in this process or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cluster.executor import Executor
    from cluster.meter import Meter
    from cluster.preparation import Prepared
    from cluster.ray_executor import RayOptions
    from discovery.replicating import Jobs
    from engine.run_dir import RunDir
    from engine.study import Study


class Site(Protocol):
    """What depends on the place. `jobs` turns a number of local jobs into how the bootstrap is computed."""

    def prepare(self, study: Study, run: RunDir) -> Prepared: ...

    def executor(self, prepared: Prepared, meter: Meter) -> Executor: ...

    def jobs(self, local: int) -> Jobs: ...

    def notes(self, prepared: Prepared) -> list[str]: ...


class Here:
    """One worker at a time, in this process; Ray is not even imported."""

    def prepare(self, study: Study, run: RunDir) -> Prepared:
        from cluster.preparation import prepare

        return prepare(study, run, mixed=True)

    def executor(self, prepared: Prepared, meter: Meter) -> Executor:
        from cluster.executor import InTurn

        return InTurn(prepared.kinds())

    def jobs(self, local: int) -> Jobs:
        return local

    def notes(self, prepared: Prepared) -> list[str]:
        return []


@dataclass(frozen=True)
class OnRay:
    """The cluster that this process has joined."""

    options: RayOptions

    def prepare(self, study: Study, run: RunDir) -> Prepared:
        from cluster.preparation import prepare
        from cluster.ray_cluster import near_workers, nodes

        return prepare(study, run, near=near_workers(study.model.engine_args, nodes()), mixed=True)

    def executor(self, prepared: Prepared, meter: Meter) -> Executor:
        from cluster.ray_executor import RayExecutor

        return RayExecutor(prepared.kinds(), meter, self.options)

    def jobs(self, local: int) -> Jobs:
        from cluster.ray_spread import RaySpread

        return RaySpread()

    def notes(self, prepared: Prepared) -> list[str]:
        from cluster.ray_cluster import nodes, pool_note

        there = nodes()
        return [pool_note(kind, there, self.options.workers) for kind in prepared.kinds()]


@contextmanager
def site(ray: str | None, workers: int | None = None, stall_s: float = 600.0) -> Iterator[Site]:
    """This process without `ray`; else the cluster at that address (cluster.ray_cluster.joined), with at most
    so many workers of a kind, which are killed when they stand still for `stall_s` seconds."""
    if ray is None:
        yield Here()
        return
    from cluster.ray_cluster import joined
    from cluster.ray_executor import RayOptions

    with joined(ray):
        yield OnRay(RayOptions(stall_s=stall_s, workers=workers))

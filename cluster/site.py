"""Sites: where a run's workers are, in this process or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from axiograph.cluster.ray.executor import RayOptions
    from axiograph.cluster.sampling.executors import Executor
    from axiograph.cluster.sampling.preparation import Prepared
    from axiograph.cluster.sampling.progress import Meter
    from axiograph.discovery.resampling.replicates import Jobs
    from axiograph.engine.runs.run_dir import RunDir
    from axiograph.engine.study.schema import Study


class Site(Protocol):
    """What depends on the place. `jobs` turns a number of local jobs into how the bootstrap is computed."""

    def prepare(self, study: Study, run: RunDir) -> Prepared: ...

    def executor(self, prepared: Prepared, meter: Meter) -> Executor: ...

    def jobs(self, local: int) -> Jobs: ...

    def notes(self, prepared: Prepared) -> list[str]: ...


class Here:
    """One worker at a time, in this process; Ray is not even imported."""

    def prepare(self, study: Study, run: RunDir) -> Prepared:
        from axiograph.cluster.sampling.preparation import prepare

        return prepare(study, run, mixed=True)

    def executor(self, prepared: Prepared, meter: Meter) -> Executor:
        from axiograph.cluster.sampling.executors import InTurn

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
        from axiograph.cluster.ray.connection import near_workers, nodes
        from axiograph.cluster.sampling.preparation import prepare

        return prepare(study, run, near=near_workers(study.model.engine_args, nodes()), mixed=True)

    def executor(self, prepared: Prepared, meter: Meter) -> Executor:
        from axiograph.cluster.ray.executor import RayExecutor

        return RayExecutor(prepared.kinds(), meter, self.options)

    def jobs(self, local: int) -> Jobs:
        from axiograph.cluster.ray.connection import RaySpread

        return RaySpread()

    def notes(self, prepared: Prepared) -> list[str]:
        from axiograph.cluster.ray.connection import nodes, pool_note

        there = nodes()
        return [pool_note(kind, there, self.options.workers) for kind in prepared.kinds()]


@contextmanager
def site(ray: str | None, workers: int | None = None, stall_s: float = 600.0) -> Iterator[Site]:
    """This process without `ray`; else the cluster at that address (cluster.ray.connection.joined), with at
    most so many workers of a kind, which are killed when they stand still for `stall_s` seconds."""
    if ray is None:
        yield Here()
        return
    from axiograph.cluster.ray.connection import joined
    from axiograph.cluster.ray.executor import RayOptions

    with joined(ray):
        yield OnRay(RayOptions(stall_s=stall_s, workers=workers))

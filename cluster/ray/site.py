"""The site of a run on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass

from axiograph.cluster.ray.connection import nodes
from axiograph.cluster.ray.executor import RayExecutor, RayOptions
from axiograph.cluster.ray.pool import pool_note
from axiograph.cluster.ray.tasks import RaySpread, near_workers
from axiograph.cluster.sampling.executors import Executor
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.model_side import refuse_served
from axiograph.cluster.sampling.preparation import Prepared, prepare
from axiograph.discovery.resampling.replicates import Jobs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import Study


@dataclass(frozen=True)
class RaySite:
    """Workers on the cluster that this process has joined (cluster.ray.connection.joined)."""

    options: RayOptions

    def prepare(self, study: Study, run: RunDir) -> Prepared:
        refuse_served(study, "workers on Ray, since one process asks a server as much as it can answer")
        return prepare(study, run, near=near_workers(study.model.engine_args, nodes()), mixed=True)

    def executor(self, prepared: Prepared, meter: Meter) -> Executor:
        return RayExecutor(prepared.kinds(), meter, self.options)

    def jobs(self, local: int) -> Jobs:
        return RaySpread()

    def notes(self, prepared: Prepared) -> list[str]:
        machines = nodes()
        return [pool_note(kind, machines, self.options.workers) for kind in prepared.kinds()]

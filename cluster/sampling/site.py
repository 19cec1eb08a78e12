"""Sites: where a run's workers are; the one in this process."""

from __future__ import annotations

from typing import Protocol

from axiograph.cluster.sampling.executors import Executor, InTurn
from axiograph.cluster.sampling.meter import Meter
from axiograph.cluster.sampling.preparation import Prepared, prepare
from axiograph.discovery.resampling.replicates import Jobs
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import Study


class Site(Protocol):
    """What depends on where the workers are."""

    def prepare(self, study: Study, run: RunDir) -> Prepared:
        """The study, prepared for workers of this site."""
        ...

    def executor(self, prepared: Prepared, meter: Meter) -> Executor:
        """Who answers; `meter` is told of the workers where there are several."""
        ...

    def jobs(self, local: int) -> Jobs:
        """How the bootstrap is computed, where `local` jobs would do it in this process."""
        ...

    def notes(self, prepared: Prepared) -> list[str]:
        """What to say of the workers before they start."""
        ...


class LocalSite:
    """One worker at a time, in this process; Ray is not even imported."""

    def prepare(self, study: Study, run: RunDir) -> Prepared:
        return prepare(study, run, mixed=True)

    def executor(self, prepared: Prepared, meter: Meter) -> Executor:
        return InTurn(prepared.kinds())

    def jobs(self, local: int) -> Jobs:
        return local

    def notes(self, prepared: Prepared) -> list[str]:
        return []

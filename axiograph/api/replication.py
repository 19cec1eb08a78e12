"""The paper's graph and tables from its published answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from axiograph.api.display import Shown
from axiograph.api.report import ReportPage, write_report
from axiograph.cluster.stages.reference import compare_replication
from axiograph.discovery.paper.replication import ReplicationResult
from axiograph.discovery.paper.replication import replicate as reproduce


@dataclass(frozen=True, repr=False)
class ReplicationTables(Shown):
    """`result`: graph, tables and every cell that differs from the published one. `folder`: the files."""

    result: ReplicationResult
    folder: Path

    @property
    def ok(self) -> bool:
        """Whether every cell equals the published one."""
        return self.result.ok

    def report(self) -> ReportPage:
        """Write the page with the paper's graph and tables."""
        return write_report(self.folder)

    @property
    def text(self) -> str:
        return self.result.summary()


def replicate(
    directory: Path | str,
    out: Path | str = Path("runs/replication"),
    *,
    features: Sequence[int] | None = None,
) -> ReplicationTables:
    """The paper's own procedure on the published answers of one model in `directory`, compared cell by cell.

    `features`: the SAE features to keep, None for all. Raises InputError for answers that cannot be read."""
    folder = Path(out)
    result = reproduce(Path(directory), None if features is None else list(features), folder)
    compare_replication(result, folder)
    return ReplicationTables(result, folder)

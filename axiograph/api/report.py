"""The report of a directory: where the page is, and its figures as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from axiograph.api.display import Shown
from axiograph.cluster.stages.reference import add_comparison, add_reference
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir, run_at
from axiograph.engine.storage.remote import is_remote
from axiograph.report.build import Report
from axiograph.report.build import report as build_report


@dataclass(frozen=True, repr=False)
class ReportPage(Shown):
    """`page`: the HTML file, which loads nothing from a network; `figures`, `tables`: the files beside it."""

    page: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    where: str

    @property
    def text(self) -> str:
        beside = f"{len(self.figures)} figures, {len(self.tables)} tables beside it"
        return f"The report is {self.where} ({beside})"

    def _repr_html_(self) -> str:
        address = self.page.resolve().as_uri()
        return f'<p><a href="{escape(address)}" target="_blank">{escape(self.text)}</a></p>'


def write_report(
    directory: Path | str,
    out: Path | str | None = None,
    *,
    reference: Path | str | None = None,
    compare: Sequence[Path | str] = (),
    figures: bool = True,
) -> ReportPage:
    """The report of any directory that run, demo, discover, compare or replicate left.

    `reference`: a graph against which effects are tested too (`--reference`); `compare`: other runs or
    graphs; `figures`: whether figures for papers are written beside the page. Raises InputError for what
    cannot be read or holds nothing to report."""
    if out is not None and is_remote(out):
        raise InputError(
            "--out",
            "a folder of this machine",
            f"{out}",
            "Without it the report goes to DIR/report, there too.",
        )
    run = run_at(directory)
    if reference is not None:
        if not run.manifest_file.is_file():
            raise InputError(
                "--reference", "the directory of a run", f"{directory}", "Compare graphs alone by --compare."
            )
        add_reference(run, Path(reference))
    for other in compare:
        add_comparison(run, str(other))
    return report_of(run, out, figures=figures)


def report_of(run: RunDir, out: Path | str | None = None, *, figures: bool = True) -> ReportPage:
    """Write the report of `run` and publish it."""
    report: Report = build_report(run, None if out is None else Path(out), figures=figures)
    run.publish()
    return ReportPage(report.page, report.figures, report.tables, run.shown(report.page))

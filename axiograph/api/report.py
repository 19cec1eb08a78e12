"""The report of a directory: where the page is, and its figures as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from axiograph.api.display import Shown
from axiograph.engine.runs.run_dir import RunDir
from axiograph.report.build import build_report
from axiograph.texts.report import report_text


@dataclass(frozen=True, repr=False)
class ReportPage(Shown):
    """`page`: the HTML file, which loads nothing from a network; `figures`, `tables`: the files beside it."""

    page: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    where: str

    @property
    def text(self) -> str:
        return report_text(self.where, len(self.figures), len(self.tables))

    def _repr_html_(self) -> str:
        address = self.page.resolve().as_uri()
        return f'<p><a href="{escape(address)}" target="_blank">{escape(self.text)}</a></p>'


def write_report(
    directory: RunDir | Path | str,
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
    report = build_report(directory, out, reference=reference, compare=compare, figures=figures)
    return ReportPage(report.page, report.figures, report.tables, report.where)

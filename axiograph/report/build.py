"""The report: a page, with figures and LaTeX tables beside it, of what the stages left in a directory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from axiograph.cluster.stages.reference import add_comparison, add_reference
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir, run_at
from axiograph.engine.storage.files import atomic_path
from axiograph.engine.storage.remote import is_remote
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import Chart, need_altair
from axiograph.report.blocks.graph_view import GraphView, Pair
from axiograph.report.blocks.page import Page, picture
from axiograph.report.blocks.section import Picture, Section
from axiograph.report.blocks.table import Table
from axiograph.report.sections.comparison import comparison_section
from axiograph.report.sections.effects.section import effects_section
from axiograph.report.sections.experiments import experiments_section
from axiograph.report.sections.graph import edge_section, graph_section
from axiograph.report.sections.overview import overview_section, verdict_section
from axiograph.report.sections.provenance import provenance_section
from axiograph.report.sections.questionnaire import questionnaire_section
from axiograph.report.sections.replication import replication_section
from axiograph.report.sections.steering import steering_section

FORMATS = ("svg", "png", "pdf")


@dataclass(frozen=True)
class Report:
    """What was written: the `page`, the files of the figures (each in every format) and of the tables (LaTeX
    and CSV). `where`: what a person calls the page, its address where the run is in an object store."""

    page: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    where: str


def build_report(
    directory: RunDir | Path | str,
    out: Path | str | None = None,
    *,
    reference: Path | str | None = None,
    compare: Sequence[Path | str] | None = None,
    figures: bool = True,
) -> Report:
    """The report of a directory that run, demo, discover, compare or replicate left; prints nothing.

    `reference`: the file of a graph; the stage of cluster.stages.reference first tests the run's changes
    against it. `compare`: runs or files of graphs with which the run's graph is first compared. Both results
    are stored in the directory, for later reports too. `out`, `figures`: as in `write_report`. Raises
    InputError for what cannot be read or holds nothing to report, RunError for a damaged artefact or a full
    disk."""
    if out is not None and is_remote(out):
        without = "Without it the report goes to DIR/report, there too."
        raise InputError("--out", "a folder of this machine", f"{out}", without)
    run = directory if isinstance(directory, RunDir) else run_at(directory)
    if reference is not None:
        if not run.manifest_file.is_file():
            remedy = "Compare graphs alone by --compare."
            raise InputError("--reference", "the directory of a run", run.where, remedy)
        add_reference(run, Path(reference))
    for other in compare or ():
        add_comparison(run, str(other))
    report = write_report(run, out, figures=figures)
    run.publish()
    return report


def write_report(
    directory: RunDir | Path | str, out: Path | str | None = None, *, figures: bool = True
) -> Report:
    """Write `out`/report.html (default: DIRECTORY/report), figures/ and tables/, and nothing else.

    What is missing in the directory is said on the page. `figures`: whether figures are written too. Raises
    InputError where there is nothing to report, RunError for a damaged artefact or a full disk."""
    need_altair()
    artefacts = Artefacts.find(directory)
    folder = artefacts.path / "report" if out is None else Path(out)
    sections = _sections(artefacts)
    drawn = tuple(_figures(sections, folder / "figures")) if figures else ()
    tables = tuple(_tables(sections, folder / "tables"))
    shown = _with_pictures(sections, folder / "figures") if figures else sections
    page = Page(_title(artefacts), _subtitle(artefacts), _written(), shown, figures)
    target = folder / "report.html"
    with atomic_path(target) as temporary:
        temporary.write_text(page.html(), encoding="utf-8")
    return Report(target, drawn, tables, artefacts.shown(target))


def _sections(artefacts: Artefacts) -> list[Section]:
    if artefacts.replication is not None:
        sections = [
            overview_section(artefacts),
            replication_section(artefacts),
            comparison_section(artefacts),
            provenance_section(artefacts),
        ]
        return [section for section in sections if section is not None]
    if artefacts.run is None and artefacts.discovery is None:
        return [overview_section(artefacts), comparison_section(artefacts)]
    makers = (
        verdict_section,
        overview_section,
        graph_section,
        edge_section,
        experiments_section,
        steering_section,
        effects_section,
    )
    more = (comparison_section, questionnaire_section, provenance_section)
    made = [make(artefacts) for make in (*makers, *more)]
    return [section for section in made if section is not None]


def report_charts(directory: RunDir | Path | str) -> list[Chart]:
    """The charts of the report of `directory`, in the order of the page. Errors as of `write_report`."""
    need_altair()
    blocks = _blocks(_sections(Artefacts.find(directory)))
    return [block for block in blocks if isinstance(block, Chart)]


def _blocks(sections: list[Section]) -> Iterator[object]:
    for section in sections:
        for block in section.blocks:
            yield from block.views if isinstance(block, Pair) else (block,)


def _figures(sections: list[Section], folder: Path) -> Iterator[Path]:
    for block in _blocks(sections):
        if isinstance(block, Chart) and block.static:
            yield from block.save(folder)
        elif isinstance(block, GraphView | Picture) and block.draw is not None:
            for suffix in FORMATS:
                folder.mkdir(parents=True, exist_ok=True)
                block.draw(folder / f"{block.key}.{suffix}")
                yield folder / f"{block.key}.{suffix}"


def _tables(sections: list[Section], folder: Path) -> Iterator[Path]:
    for block in _blocks(sections):
        if isinstance(block, Table):
            for suffix, text in (("tex", block.latex()), ("csv", block.csv())):
                with atomic_path(folder / f"{block.key}.{suffix}") as temporary:
                    temporary.write_text(text, encoding="utf-8")
                yield folder / f"{block.key}.{suffix}"


def _with_pictures(sections: list[Section], folder: Path) -> list[Section]:
    """Graphs with their figure in the page, for print: a canvas does not print well."""

    def shown(view: Any) -> Any:
        svg = folder / f"{view.key}.svg"
        return replace(view, svg=picture(svg)) if svg.is_file() else view

    def printed(block: object) -> object:
        if isinstance(block, Pair):
            return replace(block, views=(shown(block.views[0]), shown(block.views[1])))
        return shown(block) if isinstance(block, GraphView | Picture) else block

    return [replace(s, blocks=[printed(b) for b in s.blocks]) for s in sections]  # type: ignore[misc]


def _title(artefacts: Artefacts) -> str:
    if artefacts.run is not None:
        return str(artefacts.manifest["study"].get("name") or Path(artefacts.where).name)
    if artefacts.replication is not None:
        return "Replication of the paper"
    return Path(artefacts.where).resolve().name


def _subtitle(artefacts: Artefacts) -> str:
    if artefacts.run is not None:
        return (
            f"Values of {artefacts.model}: how they hang together, and what steering one does to the others"
        )
    return "How values hang together"


def _written() -> str:
    try:
        version = metadata.version("axiograph")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return (
        f"Written by axiograph {version}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}. "
        "This file loads nothing from any network."
    )

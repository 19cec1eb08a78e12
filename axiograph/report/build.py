"""`axiograph report`: reads what a directory holds, writes the page, the figures and the LaTeX tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.storage.files import atomic_path
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.chart import Chart, need_altair
from axiograph.report.blocks.graph_view import GraphView, Pair
from axiograph.report.blocks.page import Page, picture
from axiograph.report.blocks.section import Picture, Section
from axiograph.report.blocks.table import Table
from axiograph.report.sections.comparison import comparison_section
from axiograph.report.sections.effects import effects_section
from axiograph.report.sections.graph import edge_section, graph_section
from axiograph.report.sections.overview import overview_section
from axiograph.report.sections.paper import paper_section
from axiograph.report.sections.provenance import provenance_section
from axiograph.report.sections.questionnaire import questionnaire_section
from axiograph.report.sections.steering import steering_section

FORMATS = ("svg", "png", "pdf")


@dataclass(frozen=True)
class Report:
    """Where everything was written: the page, the figures and the tables."""

    page: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]


def report(place: RunDir | Path | str, out: Path | None = None, *, figures: bool = True) -> Report:
    """Write `out`/report.html (default: PLACE/report), figures/ and tables/ from the artefacts in `place`.

    Nothing is computed again that a stage has written; what is missing is said on the page. `figures`:
    whether figures are written too. Raises InputError where `place` holds nothing to report, RunError for a
    damaged artefact or a full disk."""
    need_altair()
    found = Artefacts.find(place)
    folder = out or found.path / "report"
    sections = _sections(found)
    drawn = tuple(_figures(sections, folder / "figures")) if figures else ()
    tables = tuple(_tables(sections, folder / "tables"))
    shown = _with_pictures(sections, folder / "figures") if figures else sections
    page = Page(_title(found), _subtitle(found), _made(), shown, figures)
    target = folder / "report.html"
    with atomic_path(target) as temporary:
        temporary.write_text(page.html(), encoding="utf-8")
    return Report(target, drawn, tables)


def _sections(found: Artefacts) -> list[Section]:
    if found.replication is not None:
        made = [
            overview_section(found),
            paper_section(found),
            comparison_section(found),
            provenance_section(found),
        ]
        return [section for section in made if section is not None]
    if found.run is None and found.discovery is None:
        return [overview_section(found), comparison_section(found)]
    makers = (overview_section, graph_section, edge_section, steering_section, effects_section)
    more = (comparison_section, questionnaire_section, provenance_section)
    return [make(found) for make in (*makers, *more)]


def report_charts(directory: RunDir | Path | str) -> list[Chart]:
    """The charts of the report of what is in `directory`, in the order of the page. Errors as of `report`."""
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

    def block(found: object) -> object:
        if isinstance(found, Pair):
            return replace(found, views=(shown(found.views[0]), shown(found.views[1])))
        return shown(found) if isinstance(found, GraphView | Picture) else found

    return [replace(s, blocks=[block(b) for b in s.blocks]) for s in sections]  # type: ignore[misc]


def _title(found: Artefacts) -> str:
    if found.run is not None:
        return str(found.manifest["study"].get("name") or Path(found.where).name)
    if found.replication is not None:
        return "Replication of the paper"
    return Path(found.where).resolve().name


def _subtitle(found: Artefacts) -> str:
    if found.run is not None:
        return f"Values of {found.model}: how they hang together, and what steering one does to the others"
    return "How values hang together"


def _made() -> str:
    try:
        version = metadata.version("axiograph")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return (
        f"Written by axiograph {version}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}. "
        "This file loads nothing from any network."
    )

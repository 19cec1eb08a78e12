"""The page: sections, data, styles and libraries in one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from axiograph.report.blocks.chart import Chart
from axiograph.report.blocks.graph_view import GraphView, Pair
from axiograph.report.blocks.section import Block, Section
from axiograph.report.blocks.table import Table

_REPORT = Path(__file__).parents[1]
_LIBRARIES = ("cytoscape", "dataTables", "vega", "vega-lite", "vega-embed")
_SCRIPTS = ("theme.js", "tables.js", "graph_style.js", "graph_panel.js", "graphs.js", "charts.js")


@dataclass(frozen=True)
class Page:
    """`title` and `subtitle` head the page; `written` says by what and when; `figures`: whether the page may
    speak of figures beside it."""

    title: str
    subtitle: str
    written: str
    sections: Sequence[Section]
    figures: bool = True

    def html(self) -> str:
        """The whole page. Everything that came from outside is escaped by the templates (autoescape);
        besides, the page allows no script but its own, by their hashes, and no connection at all."""
        scripts = [*_libraries(), *_own_scripts()]
        return (
            _environment()
            .get_template("page.html.j2")
            .render(
                page=self,
                style=_read("templates", "report.css"),
                scripts=[_safe_script(text) for text in scripts],
                policy=_policy(scripts),
                data=self._data(),
                licences=_licences(),
            )
        )

    def _data(self) -> dict[str, Any]:
        blocks = [view for section in self.sections for block in section.blocks for view in _views(block)]
        return {
            "tables": [block.payload() for block in blocks if isinstance(block, Table)],
            "charts": {block.key: block.spec for block in blocks if isinstance(block, Chart)},
            "graphs": {block.key: block.payload for block in blocks if isinstance(block, GraphView)},
        }


def _views(block: Block) -> Sequence[Block]:
    return block.views if isinstance(block, Pair) else (block,)


def picture(path: Path) -> str:
    """An SVG file as the address of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_REPORT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _read(*parts: str) -> str:
    return _REPORT.joinpath(*parts).read_text(encoding="utf-8")


def _libraries() -> list[str]:
    """Without the comment that makes a browser's tools look for a map."""
    texts = [_read("vendored", f"{name}.min.js") for name in _LIBRARIES]
    return [re.sub(r"//# sourceMappingURL=\S*", "", text) for text in texts]


def _own_scripts() -> list[str]:
    return [_read("scripts", name) for name in _SCRIPTS]


def _safe_script(text: str) -> Any:
    """A script of ours or of a library as it is: `</script` in it would end it early."""
    from markupsafe import Markup

    if re.search(r"</script|<!--", text, re.IGNORECASE):
        raise ValueError("a script that would end early")
    return Markup(text)


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: these scripts and no other, no connection, no handler in an attribute."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{text}'" for text in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _licences() -> list[tuple[str, str]]:
    names = [*(f"{name}.LICENSE" for name in _LIBRARIES), "vega-dependencies.LICENSES"]
    return [(name.rsplit(".", 1)[0], _read("vendored", name)) for name in names]

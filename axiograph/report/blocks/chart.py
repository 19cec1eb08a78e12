"""A chart: one Vega-Lite specification, drawn on the page by Vega and as SVG, PNG and PDF by vl-convert."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axiograph.engine.errors import InputError
from axiograph.engine.storage.files import atomic_path

# Okabe & Ito (2008), told apart by every kind of colour vision; lightness differs too, for print in grey.
BLUE, ORANGE, VERMILLION, GREY, GREEN, PURPLE = (
    "#0072B2",
    "#E69F00",
    "#D55E00",
    "#999999",
    "#009E73",
    "#CC79A7",
)
RELATION_COLOURS = {"expected": BLUE, "possible": ORANGE, "unexpected": VERMILLION}
_FONT = "system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
_STATIC = {"font": "Liberation Sans, Arial, sans-serif", "background": "white"}
# The page sets colours of axes and texts itself, by its own theme.
CONFIG: dict[str, Any] = {
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500, "labelLimit": 260},
    "axisX": {"grid": False},
    "legend": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500, "labelLimit": 300},
    "header": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 300},
    "mark": {"tooltip": True},
    "rect": {"invalid": None},
}


@dataclass(frozen=True)
class Chart:
    """`caption` stands below it; `alt` says in words what it shows, for who does not see it. `static`:
    whether it is of use without a reader's choices, and so written as a figure."""

    key: str
    caption: str
    alt: str
    spec: dict[str, Any]
    static: bool = True
    block = "chart"

    @classmethod
    def of(cls, key: str, caption: str, alt_text: str, chart: Any, *, static: bool = True) -> Chart:
        """From an Altair chart, which checks the specification."""
        import altair as alt

        with alt.data_transformers.enable("default", consolidate_datasets=True, max_rows=None):
            spec = chart.to_dict()
        spec["config"] = CONFIG
        spec["description"] = alt_text
        return cls(key, caption, alt_text, compact(spec), static)

    def save(self, folder: Path) -> list[Path]:
        """KEY.svg, .png and .pdf in `folder`. RunError where the disk is full."""
        import vl_convert

        spec = json.dumps(self.spec | {"config": CONFIG | _STATIC})
        svg = vl_convert.vegalite_to_svg(spec)
        files = {
            "svg": svg.encode(),
            "png": vl_convert.svg_to_png(svg, scale=2.0),
            "pdf": vl_convert.svg_to_pdf(svg),
        }
        paths = [folder / f"{self.key}.{suffix}" for suffix in files]
        for path, content in zip(paths, files.values(), strict=True):
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
        return paths


def compact(spec: dict[str, Any]) -> dict[str, Any]:
    """Data without the digits that no chart shows."""
    for name, rows in spec.get("datasets", {}).items():
        spec["datasets"][name] = [{key: _short(cell) for key, cell in row.items()} for row in rows]
    return spec


def _short(cell: Any) -> Any:
    return float(f"{cell:.5g}") if isinstance(cell, float) and cell == cell else cell


def need_altair() -> None:
    """InputError that says what to install, before any work is done."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise InputError(
            "axiograph report",
            "the packages altair and vl-convert-python",
            f"'{error}'",
            "Install axiograph again.",
        ) from error

"""Figures as files: complete or absent, and without a date, so that the same figure gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from axiograph.engine.storage.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def save_figure(figure: Figure, path: Path, dpi: int = 160) -> None:
    """Write `figure` as PNG, SVG or PDF, by the ending of `path`. RunError where the disk is full."""
    metadata = _UNDATED.get(path.suffix)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=dpi, metadata=metadata, facecolor="white")

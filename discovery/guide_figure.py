"""The calibration figure of a guided steering: predicted against measured changes, with their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from discovery.guide_validation import Judged
from engine.files import atomic_path

_COLOURS = {"raise": "#1f5f8b", "lower": "#1f5f8b", "hold": "#b5472c", None: "#888888"}
_LABELS = {"raise": "targets", "hold": "held values", None: "others"}


def draw_judged(found: Judged, path: Path) -> None:
    """Write PNG, SVG or PDF by the ending of `path`. Raises RunError where the disk is full."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.0), layout="constrained")
    axes = figure.subplots()
    known = found.predictions.drop_nulls("measured")
    ends = known.select(
        pl.min_horizontal("low", "measured").min(), pl.max_horizontal("high", "measured").max()
    )
    low, high = (float(end) for end in ends.row(0)) if known.height else (-1.0, 1.0)
    axes.plot([low, high], [low, high], color="#999999", linewidth=1, linestyle="--")
    labelled = set()
    for row in known.iter_rows(named=True):
        label = _LABELS["raise" if row["wish"] in ("raise", "lower") else row["wish"]]
        errors = np.array([[row["change"] - row["low"]], [row["high"] - row["change"]]])
        axes.errorbar(
            row["measured"],
            row["change"],
            np.clip(errors, 0, None),
            fmt="o",
            color=_COLOURS[row["wish"]],
            markersize=4,
            capsize=2,
            linewidth=1,
            label=None if label in labelled else label,
        )
        labelled.add(label)
    inside, total = found.coverage()
    axes.set(
        xlabel="measured change of the mean score",
        ylabel=f"predicted, with its interval at {1 - found.level:.0%}",
        title=f"{inside} of {total} intervals hold what was measured",
    )
    if labelled:
        axes.legend(frameon=False, fontsize=9)
    with atomic_path(path) as temporary:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(temporary, format=path.suffix[1:], dpi=160, metadata=metadata, facecolor="white")

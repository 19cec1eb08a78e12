"""The reliability diagram of a calibration: of the pairs of a frequency, how many are so in truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.files import atomic_path

if TYPE_CHECKING:
    from discovery.calibration import Calibration

_TITLES = {"adjacent": "adjacent", "directed": "a → b", "ancestor": "ancestor"}
_COLOUR = "#1f5f8b"


def draw_reliability(found: Calibration, path: Path) -> None:
    """Write PNG or SVG, by the ending of `path`: the share of true pairs with its 95 % interval over the mean
    frequency of every bin, and below it how many pairs there are. Raises RunError where the disk is full."""
    from matplotlib.figure import Figure

    kinds = list(_TITLES)
    figure = Figure(figsize=(3.6 * len(kinds), 5.0), layout="constrained")
    axes = figure.subplots(2, len(kinds), sharex=True, height_ratios=(3, 1), squeeze=False)
    for column, kind in enumerate(kinds):
        rows = [r for r in found.summary["frequencies"] if r["kind"] == kind and r["pairs"]]
        _diagram(axes[0, column], rows, _TITLES[kind])
        _counts(axes[1, column], rows)
    axes[0, 0].set_ylabel("share that is so in truth")
    axes[1, 0].set_ylabel("pairs")
    design = found.task.design
    figure.suptitle(
        f"{found.count} planted graphs, {design.values} values, {design.train_roles} training roles",
        fontsize=11,
    )
    with atomic_path(path) as temporary:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(temporary, format=path.suffix[1:], dpi=160, metadata=metadata, facecolor="white")


def _diagram(axes: Any, rows: list[dict[str, Any]], title: str) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    if rows:
        x, y, low, high = (
            np.array([row[name] for row in rows])
            for name in ("mean_frequency", "true", "true_low", "true_high")
        )
        errors = np.clip([y - low, high - y], 0, None)
        axes.errorbar(x, y, errors, fmt="o", color=_COLOUR, markersize=4, capsize=2, linewidth=1)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=title)


def _counts(axes: Any, rows: list[dict[str, Any]]) -> None:
    axes.bar(
        [(row["from"] + row["to"]) / 2 for row in rows],
        [row["pairs"] for row in rows],
        width=0.09,
        color=_COLOUR,
    )
    axes.set_yscale("log")
    axes.set_xlabel("frequency over the replicates")

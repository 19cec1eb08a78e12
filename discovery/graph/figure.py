"""A picture of a causal graph: values on a circle, edges inside it, frequencies on the edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.drawing import DrawnEdge, Point, draw_edges, legend
from axiograph.discovery.graph.export import edge_rows
from axiograph.discovery.numerics.arrays import FloatArray, IndexArray
from axiograph.engine.storage.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROTATE_ABOVE = 32  # names; beyond this, horizontal names would touch


def draw_graph(
    graph: CausalGraph,
    path: Path,
    frequencies: pl.DataFrame | None = None,
    title: str = "",
    strengths: pl.DataFrame | None = None,
) -> None:
    """Write `graph_figure` to `path`; the suffix (.png, .svg, .pdf) is the format."""
    save_figure(graph_figure(graph, frequencies, title, strengths), path)


def graph_figure(
    graph: CausalGraph,
    frequencies: pl.DataFrame | None = None,
    title: str = "",
    strengths: pl.DataFrame | None = None,
) -> Figure:
    """The picture of `graph`.

    `frequencies`: an edge table as `EdgeCounts.table` gives it. Width and opacity of an edge are the share of
    replicates in which its pair is adjacent. `strengths`: of discovery.graph.strengths; the number on an edge
    is its coefficient with its sign, without a direction its partial correlation; where there are no
    strengths, the frequency. Values without an edge are listed, not drawn on the circle, where more than a
    third of the values have none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    edges = [DrawnEdge.of(row) for row in edge_rows(graph, frequencies, strengths)]
    on_circle, apart = _split(graph, edges)
    frame = _Frame.around(on_circle, has_title=bool(title))
    figure = Figure(figsize=frame.size)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(frame.axes)
    axes.set_axis_off()
    axes.set_xlim(-frame.half_width, frame.half_width)
    axes.set_ylim(-frame.half_height, frame.half_height)
    positions = _positions(on_circle, edges)
    _draw_names(axes, positions)
    draw_edges(axes, edges, positions, frame.radius)
    handles = legend(edges, graph.kind, has_frequencies=frequencies is not None)
    _draw_captions(figure, handles, apart, title)
    return figure


@dataclass(frozen=True)
class _Frame:
    """Sizes in inches and, for the axes, in radii of the circle and shares of the figure."""

    size: tuple[float, float]
    axes: tuple[float, float, float, float]
    half_width: float
    half_height: float
    radius: float

    @classmethod
    def around(cls, names: list[str], *, has_title: bool) -> _Frame:
        """Room for the circle, the longest name on either side and the captions."""
        radius = min(3.4 + 0.08 * max(0, len(names) - 12), 12.0)
        longest = max((len(name) for name in names), default=0)
        side = 0.3 + 0.085 * longest
        across = 0.35 if len(names) <= _ROTATE_ABOVE else side
        bottom, top = 0.85, 0.5 if has_title else 0.1
        width, middle = max(2 * (radius + side), 7.5), 2 * (radius + across)
        height = bottom + middle + top
        axes = (0.0, bottom / height, 1.0, middle / height)
        return cls((width, height), axes, width / 2 / radius, middle / 2 / radius, radius)


def _split(graph: CausalGraph, edges: list[DrawnEdge]) -> tuple[list[str], list[str]]:
    """The names for the circle, and those without an edge where these are many."""
    joined = {name for edge in edges for name in (edge.source, edge.target)}
    alone = [name for name in graph.names if name not in joined]
    if not joined or 3 * len(alone) <= len(graph.names):
        return list(graph.names), []
    return [name for name in graph.names if name in joined], alone


def _positions(names: list[str], edges: list[DrawnEdge]) -> dict[str, Point]:
    """Points on the unit circle, in `circle_order`."""
    order = circle_order(names, [(edge.source, edge.target) for edge in edges])
    return dict(zip(order, circle_points(len(order)), strict=True))


def circle_points(count: int) -> FloatArray:
    """[count, 2] on the unit circle, clockwise; from half a step behind the top, so that names keep apart."""
    angles = np.pi / 2 - 2 * np.pi / max(1, count) * (np.arange(count) + 0.5)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def circle_order(names: list[str], joined: Sequence[tuple[str, str]]) -> list[str]:
    """An order round the circle with few crossings: swaps and moves as long as one shortens the edges
    and undoes crossings."""
    index = {name: i for i, name in enumerate(names)}
    pairs = np.array([(index[a], index[b]) for a, b in joined], dtype=np.int64).reshape(-1, 2)
    if len(names) > 40 or len(pairs) == 0:
        return names
    position = np.arange(len(names))
    best, improved, rounds = _cost(position, pairs), True, 0
    while improved and rounds < 12:
        improved, rounds = False, rounds + 1
        for a in range(len(names)):
            for b in range(a + 1, len(names)):
                trial = position.copy()
                trial[[a, b]] = trial[[b, a]]
                cost = _cost(trial, pairs)
                if cost < best - 1e-9:
                    position, best, improved = trial, cost, True
    return [names[i] for i in np.argsort(position)]


def _cost(position: IndexArray, pairs: IndexArray) -> float:
    """Of the pairs [m, 2] of numbers of values, each at a position of the circle: crossings of the chords,
    plus a little for their length so that relatives are neighbours."""
    ends = np.sort(position[pairs], axis=1)
    low, high = ends[:, :1], ends[:, 1:]
    crossings = np.sum((low < low.T) & (high > low.T) & (high < high.T))
    span = (high - low).ravel()
    length = np.minimum(span, len(position) - span).sum()
    return float(crossings + 0.15 * length)


def _draw_names(axes: Any, positions: dict[str, Point]) -> None:
    rotate = len(positions) > _ROTATE_ABOVE
    for name, point in positions.items():
        axes.plot(*point, "o", color="#222222", markersize=6, zorder=5)
        right, upright = point[0] >= 0, abs(point[0]) < 1e-6 and not rotate
        angle = np.degrees(np.arctan2(point[1], point[0])) + (0 if right else 180)
        axes.annotate(
            name,
            point * 1.035,
            ha="center" if upright else "left" if right else "right",
            va="center" if not upright else "bottom" if point[1] > 0 else "top",
            fontsize=8 if rotate else 10.5,
            rotation=angle if rotate else 0,
            rotation_mode="anchor",
            zorder=6,
        )


def _draw_captions(figure: Any, handles: list[Any], apart: list[str], title: str) -> None:
    if handles:
        figure.legend(handles=handles, loc="lower left", fontsize=8.5, frameon=False, ncols=2)
    if title:
        figure.suptitle(title, fontsize=13, y=0.985)
    if apart:
        figure.text(
            0.99, 0.012, _wrapped("No edge: ", _shortened(apart)), fontsize=8.5, ha="right", va="bottom"
        )


def _shortened(names: list[str], most: int = 16) -> list[str]:
    return names if len(names) <= most else [*names[:most], f"and {len(names) - most} more"]


def _wrapped(head: str, names: list[str], width: int = 70) -> str:
    lines = [head]
    pieces = [f"{a}, " for a, _ in pairwise(names)] + names[-1:]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)

"""A picture of a causal graph: values on a circle, edges inside it, frequencies on the edges."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discovery.export import edge_rows
from discovery.graph import CausalGraph, EdgeKind
from engine.files import atomic_path

Point = NDArray[np.float64]

_COLOUR = {EdgeKind.FORWARD: "#1f4e79", EdgeKind.UNDIRECTED: "#7f7f7f", EdgeKind.BIDIRECTED: "#b5541c"}
_ARROW = {EdgeKind.FORWARD: "-|>", EdgeKind.UNDIRECTED: "-", EdgeKind.BIDIRECTED: "<|-|>"}
_MEANING = {
    EdgeKind.FORWARD: "directed",
    EdgeKind.UNDIRECTED: "direction not settled",
    EdgeKind.BIDIRECTED: "conflicting arrowheads",
}
_ROTATE_ABOVE = 32  # names; beyond this, horizontal names would touch
_LABEL_GAP = 0.085  # of the radius: closer labels overlap
_LABEL_PLACES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8)


def draw_graph(
    graph: CausalGraph,
    path: Path,
    frequencies: pl.DataFrame | None = None,
    title: str = "",
) -> None:
    """Draw `graph` to `path`; the suffix (.png, .svg, .pdf) is the format.

    `frequencies`: an edge table as `BootstrapResult.edge_table` gives it. Width and opacity of an edge,
    and the number on it, are the share of replicates in which its pair is adjacent. Values without an
    edge are listed, not drawn on the circle, where more than a third of the values have none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    edges = [_Edge.of(row) for row in edge_rows(graph, frequencies)]
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
    _draw_edges(axes, edges, positions)
    _draw_captions(figure, edges, apart, title, has_frequencies=frequencies is not None)
    with atomic_path(path) as temporary:
        # No date in the file: the same graph gives the same bytes.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(temporary, format=path.suffix[1:], dpi=160, metadata=metadata, facecolor="white")


@dataclass(frozen=True)
class _Frame:
    """Sizes in inches and, for the axes, in radii of the circle and shares of the figure."""

    size: tuple[float, float]
    axes: tuple[float, float, float, float]
    half_width: float
    half_height: float

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
        return cls((width, height), axes, width / 2 / radius, middle / 2 / radius)


@dataclass(frozen=True)
class _Edge:
    source: str
    target: str
    kind: EdgeKind
    frequency: float | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> _Edge:
        return cls(row["source"], row["target"], EdgeKind(row["kind"]), row.get("adjacent"))

    @property
    def weight(self) -> float:
        return 0.7 if self.frequency is None else self.frequency


def _split(graph: CausalGraph, edges: list[_Edge]) -> tuple[list[str], list[str]]:
    """The names for the circle, and those without an edge where these are many."""
    joined = {name for edge in edges for name in (edge.source, edge.target)}
    alone = [name for name in graph.names if name not in joined]
    if not joined or 3 * len(alone) <= len(graph.names):
        return list(graph.names), []
    return [name for name in graph.names if name in joined], alone


def _positions(names: list[str], edges: list[_Edge]) -> dict[str, Point]:
    """Points on the unit circle; starting half a step from the top keeps names there apart."""
    order = _order(names, edges)
    step = 2 * np.pi / max(1, len(order))
    angles = np.pi / 2 - step * (np.arange(len(order)) + 0.5)
    return {name: np.array([np.cos(a), np.sin(a)]) for name, a in zip(order, angles, strict=True)}


def _order(names: list[str], edges: list[_Edge]) -> list[str]:
    """An order round the circle with few crossings: swaps and moves as long as one shortens the edges
    and undoes crossings."""
    index = {name: i for i, name in enumerate(names)}
    pairs = np.array([(index[e.source], index[e.target]) for e in edges], dtype=np.int64).reshape(-1, 2)
    place = np.arange(len(names))
    if len(names) > 40 or len(pairs) == 0:
        return names
    best, improved, rounds = _cost(place, pairs), True, 0
    while improved and rounds < 12:
        improved, rounds = False, rounds + 1
        for a in range(len(names)):
            for b in range(a + 1, len(names)):
                trial = place.copy()
                trial[[a, b]] = trial[[b, a]]
                cost = _cost(trial, pairs)
                if cost < best - 1e-9:
                    place, best, improved = trial, cost, True
    return [names[i] for i in np.argsort(place)]


def _cost(place: NDArray[np.int64], pairs: NDArray[np.int64]) -> float:
    """Crossings of the chords, plus a little for their length so that relatives are neighbours."""
    ends = np.sort(place[pairs], axis=1)
    low, high = ends[:, :1], ends[:, 1:]
    crossings = np.sum((low < low.T) & (high > low.T) & (high < high.T))
    span = (high - low).ravel()
    length = np.minimum(span, len(place) - span).sum()
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


def _draw_edges(axes: Any, edges: list[_Edge], positions: dict[str, Point]) -> None:
    from matplotlib.patches import FancyArrowPatch

    placed: list[Point] = []
    for edge in sorted(edges, key=lambda e: e.weight):
        start, end = positions[edge.source], positions[edge.target]
        bend = _bend(start, end)
        patch = FancyArrowPatch(
            (start[0], start[1]),
            (end[0], end[1]),
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle=_ARROW[edge.kind],
            mutation_scale=16,
            shrinkA=6,
            shrinkB=6,
            linewidth=0.6 + 3.0 * edge.weight,
            color=_COLOUR[edge.kind],
            alpha=0.3 + 0.65 * edge.weight,
            zorder=2,
        )
        axes.add_patch(patch)
    for edge in sorted(edges, key=lambda e: -e.weight):
        if edge.frequency is not None:
            start, end = positions[edge.source], positions[edge.target]
            spot = _label_spot(start, end, _bend(start, end), placed)
            placed.append(spot)
            _draw_frequency(axes, spot, edge)


def _draw_frequency(axes: Any, spot: Point, edge: _Edge) -> None:
    axes.text(
        *spot,
        f"{edge.frequency:.2f}".lstrip("0") if edge.frequency != 0 else "0",
        fontsize=8,
        ha="center",
        va="center",
        color=_COLOUR[edge.kind],
        bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.9},
        zorder=4,
    )


def _bend(start: Point, end: Point) -> float:
    """Curvature towards the centre, strongest between neighbours, so that an edge leaves the circle line."""
    distance = float(np.linalg.norm(end - start))
    turn = float(start[0] * end[1] - start[1] * end[0])
    return (0.34 - 0.14 * distance) * (-1 if turn > 0 else 1)


def _label_spot(start: Point, end: Point, bend: float, placed: list[Point]) -> Point:
    """The first place along the curve that keeps clear of the labels there are; else the clearest."""
    delta = end - start
    # arc3: the control point of the quadratic curve is the midpoint moved across by bend × length.
    control = (start + end) / 2 + bend * np.array([delta[1], -delta[0]])
    spots = [(1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end for t in _LABEL_PLACES]
    gaps = [min((float(np.linalg.norm(spot - p)) for p in placed), default=np.inf) for spot in spots]
    for spot, gap in zip(spots, gaps, strict=True):
        if gap > _LABEL_GAP:
            return spot
    return spots[int(np.argmax(gaps))]


def _draw_captions(
    figure: Any, edges: list[_Edge], apart: list[str], title: str, *, has_frequencies: bool
) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for kind in (EdgeKind.FORWARD, EdgeKind.UNDIRECTED, EdgeKind.BIDIRECTED):
        if any(edge.kind is kind for edge in edges):
            marker = {EdgeKind.FORWARD: ">", EdgeKind.UNDIRECTED: "", EdgeKind.BIDIRECTED: "d"}[kind]
            handles.append(Line2D([], [], color=_COLOUR[kind], marker=marker, lw=2, label=_MEANING[kind]))
    if has_frequencies:
        for share in (0.25, 0.5, 1.0):
            line = Line2D([], [], color="#444444", lw=0.6 + 3.0 * share, alpha=0.3 + 0.65 * share)
            line.set_label(f"pair adjacent in {share:.0%} of replicates")
            handles.append(line)
        number = "number on an edge: that share"
        handles.append(Line2D([], [], color="none", label=number))
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

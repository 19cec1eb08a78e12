"""The edges of a picture: curves inside the circle, with a mark at both ends and the frequency on them.

One edge on a page: a curve with the marks of its ends. Lengths are in inches, as is the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axiograph.discovery.graph.marks import EdgeKind, Endpoint, GraphKind

Point = NDArray[np.float64]
_COLOUR = {
    EdgeKind.FORWARD: "#1f4e79",
    EdgeKind.UNDIRECTED: "#7f7f7f",
    EdgeKind.BIDIRECTED: "#b5541c",
    EdgeKind.CIRCLE_FORWARD: "#3f8f8a",
    EdgeKind.CIRCLE_CIRCLE: "#8a6fb0",
    EdgeKind.CIRCLE_TAIL: "#a08a4f",
}
_MEANING = {
    GraphKind.CPDAG: {
        EdgeKind.FORWARD: "directed",
        EdgeKind.UNDIRECTED: "direction not settled",
        EdgeKind.BIDIRECTED: "conflicting arrowheads",
    },
    GraphKind.PAG: {
        EdgeKind.FORWARD: "cause",
        EdgeKind.UNDIRECTED: "selection",
        EdgeKind.BIDIRECTED: "hidden common cause",
        EdgeKind.CIRCLE_FORWARD: "cause or hidden common cause",
        EdgeKind.CIRCLE_CIRCLE: "nothing settled",
        EdgeKind.CIRCLE_TAIL: "cause or selection",
    },
}
_LINE_STYLE = {Endpoint.ARROW: ("<|", "|>"), Endpoint.TAIL: ("", ""), Endpoint.CIRCLE: ("", "")}
_LINE_MARKER = {EdgeKind.FORWARD: ">", EdgeKind.BIDIRECTED: "d", EdgeKind.UNDIRECTED: ""}
_SHRINK = 6  # points between a value and the end of its edge
_CIRCLE = 7  # points across
_LABEL_GAP = 0.085  # of the radius: closer labels overlap
_LABEL_PLACES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8)


@dataclass(frozen=True)
class DrawnEdge:
    """`frequency`: the share of replicates in which the pair is adjacent, None where it is not known."""

    source: str
    target: str
    kind: EdgeKind
    frequency: float | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> DrawnEdge:
        """From a row of discovery.graph.export.edge_rows."""
        return cls(row["source"], row["target"], EdgeKind(row["kind"]), row.get("adjacent"))

    @property
    def weight(self) -> float:
        """What width and opacity follow."""
        return 0.7 if self.frequency is None else self.frequency


def draw_edges(axes: Any, edges: list[DrawnEdge], positions: dict[str, Point], radius: float) -> None:
    """Draw them on matplotlib's `axes`; `radius`: inches a unit of the axes."""
    from matplotlib.patches import FancyArrowPatch

    placed: list[Point] = []
    for edge in sorted(edges, key=lambda e: e.weight):
        start, end = positions[edge.source], positions[edge.target]
        at_start, at_end = edge.kind.ends
        patch = FancyArrowPatch(
            (start[0], start[1]),
            (end[0], end[1]),
            connectionstyle=f"arc3,rad={_bend(start, end)}",
            arrowstyle=f"{_LINE_STYLE[at_start][0]}-{_LINE_STYLE[at_end][1]}",
            mutation_scale=16,
            shrinkA=_shrink(at_start),
            shrinkB=_shrink(at_end),
            linewidth=0.6 + 3.0 * edge.weight,
            color=_COLOUR[edge.kind],
            alpha=0.3 + 0.65 * edge.weight,
            zorder=2,
        )
        axes.add_patch(patch)
        for spot in _circles(start, end, edge.kind, radius):
            _draw_circle(axes, spot, edge)
    for edge in sorted(edges, key=lambda e: -e.weight):
        if edge.frequency is not None:
            start, end = positions[edge.source], positions[edge.target]
            spot = _label_spot(start, end, placed)
            placed.append(spot)
            _draw_frequency(axes, spot, edge)


def _shrink(mark: Endpoint) -> float:
    """Points between a value and the end of the line, which is the middle of a circle."""
    return _SHRINK + (_CIRCLE / 2 if mark is Endpoint.CIRCLE else 0)


def _draw_circle(axes: Any, spot: Point, edge: DrawnEdge) -> None:
    """Open, on top of the line; as dark whatever the weight, since a pale circle reads as no mark."""
    axes.plot(
        *spot,
        "o",
        markersize=_CIRCLE,
        markerfacecolor="white",
        markeredgecolor=_COLOUR[edge.kind],
        markeredgewidth=1.4,
        zorder=3,
    )


def _circles(start: Point, end: Point, kind: EdgeKind, radius: float) -> list[Point]:
    """Where the circles of an edge of this kind are: that at its start, then that at its end."""
    points = _curve(start, end, np.linspace(0, 1, 800))
    from_ends = zip(kind.ends, (points, points[::-1]), strict=True)
    distance = _shrink(Endpoint.CIRCLE) / 72 / radius
    return [_at_distance(way, distance) for mark, way in from_ends if mark is Endpoint.CIRCLE]


def _curve(start: Point, end: Point, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [k, 2] of the edge from start to end, at shares [k] of its way."""
    # arc3: the control point of the quadratic curve is the midpoint moved across by bend × length.
    delta = end - start
    control = (start + end) / 2 + _bend(start, end) * np.array([delta[1], -delta[0]])
    t = shares[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end)


def _at_distance(points: NDArray[np.float64], distance: float) -> Point:
    """The first of the points [k, 2] that is this far from the first, in radii."""
    return np.asarray(points[np.argmax(np.linalg.norm(points - points[0], axis=1) >= distance)])


def _draw_frequency(axes: Any, spot: Point, edge: DrawnEdge) -> None:
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


def _label_spot(start: Point, end: Point, placed: list[Point]) -> Point:
    """The first place along the curve that keeps clear of the labels there are; else the clearest."""
    spots = list(_curve(start, end, np.array(_LABEL_PLACES)))
    gaps = [min((float(np.linalg.norm(spot - p)) for p in placed), default=np.inf) for spot in spots]
    for spot, gap in zip(spots, gaps, strict=True):
        if gap > _LABEL_GAP:
            return spot
    return spots[int(np.argmax(gaps))]


def legend(edges: list[DrawnEdge], kind: GraphKind, *, has_frequencies: bool) -> list[Any]:
    """Lines with labels: the kinds of edge that there are, with their meaning in this kind of graph, and the
    widths."""
    from matplotlib.lines import Line2D

    handles = []
    drawn = {edge.kind for edge in edges}
    for edge, meaning in _MEANING[kind].items():
        if edge in drawn:
            style: dict[str, Any] = {"color": _COLOUR[edge], "lw": 2, "marker": _LINE_MARKER.get(edge, "o")}
            if Endpoint.CIRCLE in edge.ends:
                style |= {"markerfacecolor": "white", "markeredgewidth": 1.4}
            label = meaning if kind is GraphKind.CPDAG else f"{edge.symbol}  {meaning}"
            handles.append(Line2D([], [], label=label, **style))
    if has_frequencies:
        for share in (0.25, 0.5, 1.0):
            line = Line2D([], [], color="#444444", lw=0.6 + 3.0 * share, alpha=0.3 + 0.65 * share)
            line.set_label(f"pair adjacent in {share:.0%} of replicates")
            handles.append(line)
        number = "number on an edge: that share"
        handles.append(Line2D([], [], color="none", label=number))
    return handles


_HEAD, _HALF_HEAD, _RING = 0.095, 0.036, 0.03
_GAP = 0.07  # from the middle of a value's point to the end of an edge


@dataclass(frozen=True)
class LineStyle:
    """`dashes`: on, off, … in line widths, none for a whole line; a higher `order` lies above a lower."""

    colour: str
    dashes: tuple[float, ...]
    width: float
    order: float


def curve(start: Point, end: Point, centre: Point, radius: float) -> Point:
    """[m, 2]: from one point of a circle to another, drawn towards its centre, most between neighbours; it
    keeps clear of both points. Whichever end it starts from, it is the same curve."""
    distance = float(np.linalg.norm(end - start)) / radius
    control = centre + ((start + end) / 2 - centre) * (0.5 + 0.34 * (1 - distance / 2))
    t = np.linspace(0, 1, 400)[:, None]
    points = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    clear = [np.linalg.norm(points - point, axis=1) >= _GAP for point in (start, end)]
    kept: Point = points[clear[0] & clear[1]]
    return kept


def draw_edge(axes: Any, points: Point, kind: EdgeKind, style: LineStyle) -> None:
    """Draw an edge of this kind, read from the first of `points` [m, 2] to the last."""
    line = points
    ends = ((kind.ends[0], points), (kind.ends[1], points[::-1]))
    for mark, away in ends:
        short = {Endpoint.ARROW: 0.8 * _HEAD, Endpoint.CIRCLE: 2 * _RING}.get(mark, 0.0)
        line = line[np.linalg.norm(line - away[0], axis=1) >= short]
    if len(line) > 1:
        (drawn,) = axes.plot(*line.T, color=style.colour, lw=style.width, zorder=style.order)
        drawn.set_solid_capstyle("butt")
        if style.dashes:
            drawn.set_dashes(style.dashes)
    for mark, away in ends:
        if mark is Endpoint.ARROW:
            _draw_head(axes, away, style)
        elif mark is Endpoint.CIRCLE:
            _draw_ring(axes, away, style)


def _draw_head(axes: Any, points: Point, style: LineStyle) -> None:
    """A filled triangle whose tip is the first point. matplotlib's own arrows dash their outline too."""
    from matplotlib.patches import Polygon

    tip = points[0]
    along = _behind(points, _HEAD) - tip
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    across = np.array([-along[1], along[0]])
    foot = tip + _HEAD * along
    corners = np.array([tip, foot + _HALF_HEAD * across, foot - _HALF_HEAD * across])
    axes.add_patch(Polygon(corners, facecolor=style.colour, edgecolor="none", zorder=style.order + 0.5))


def _draw_ring(axes: Any, points: Point, style: LineStyle) -> None:
    """An open circle that touches the end of the curve."""
    from matplotlib.patches import Circle

    x, y = _behind(points, _RING)
    ring = Circle((x, y), _RING, facecolor="white", edgecolor=style.colour)
    ring.set_linewidth(0.9)
    ring.set_zorder(style.order + 0.5)
    axes.add_patch(ring)


def _behind(points: Point, length: float) -> Point:
    """The first point at this distance from the beginning, or the last one."""
    far = np.flatnonzero(np.linalg.norm(points - points[0], axis=1) >= length)
    point: Point = points[far[0] if far.size else -1]
    return point

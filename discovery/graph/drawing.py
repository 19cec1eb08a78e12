"""Edges of a picture on matplotlib's axes: a curve inside a circle of values, with the mark of either end.

`draw_edge` draws one of any style; `draw_edges` those of one graph, as wide and dark as they are frequent,
with their numbers on them. A length is in units of the axes, points [m, 2] are coordinates in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from axiograph.discovery.graph.export import strength_of
from axiograph.discovery.graph.marks import EdgeKind, Endpoint, GraphKind
from axiograph.discovery.numerics.arrays import FloatArray

Point = FloatArray  # [2]: x, y
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
_LEGEND_MARKER = {EdgeKind.FORWARD: ">", EdgeKind.BIDIRECTED: "d", EdgeKind.UNDIRECTED: ""}
_RIM = 1.4  # points: the line of a circle mark
_POINTS = 800  # of a curve
_LABEL_GAP = 0.085  # of the radius: closer labels overlap
_LABEL_SHARES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8)  # of the way from start to end


@dataclass(frozen=True)
class LineStyle:
    """`dashes`: on, off, … in line widths, none for a whole line; `width` and `rim` (of a circle mark) in
    points; a higher `order` lies above a lower."""

    colour: str
    dashes: tuple[float, ...]
    width: float
    order: float
    opacity: float = 1.0
    rim: float = 0.9


@dataclass(frozen=True)
class MarkSizes:
    """Lengths in units of the axes: `gap` from the middle of a value's point to the end of an edge, `head`
    and `half_head` an arrowhead's length and half its width, `ring` the radius of a circle mark."""

    gap: float
    head: float
    half_head: float
    ring: float


def curve(start: Point, control: Point, end: Point, gap: float) -> FloatArray:
    """[m, 2]: the quadratic curve from start to end with this control point, where it is at least `gap` away
    from both. Whichever end it starts from, it is the same curve."""
    points = _bezier(start, control, end, np.linspace(0, 1, _POINTS))
    clear = [np.linalg.norm(points - point, axis=1) >= gap for point in (start, end)]
    return np.asarray(points[clear[0] & clear[1]])


def draw_edge(axes: Any, points: FloatArray, kind: EdgeKind, style: LineStyle, sizes: MarkSizes) -> None:
    """Draw an edge of this kind, read from the first of `points` [m, 2] to the last."""
    line = points
    ends = ((kind.ends[0], points), (kind.ends[1], points[::-1]))
    for mark, from_end in ends:
        short = {Endpoint.ARROW: 0.8 * sizes.head, Endpoint.CIRCLE: 2 * sizes.ring}.get(mark, 0.0)
        line = line[np.linalg.norm(line - from_end[0], axis=1) >= short]
    if len(line) > 1:
        (drawn,) = axes.plot(
            *line.T, color=style.colour, lw=style.width, alpha=style.opacity, zorder=style.order
        )
        drawn.set_solid_capstyle("butt")
        if style.dashes:
            drawn.set_dashes(style.dashes)
    for mark, from_end in ends:
        if mark is Endpoint.ARROW:
            _draw_head(axes, from_end, style, sizes)
        elif mark is Endpoint.CIRCLE:
            _draw_ring(axes, from_end, style, sizes)


def _draw_head(axes: Any, points: FloatArray, style: LineStyle, sizes: MarkSizes) -> None:
    """A filled triangle whose tip is the first point. matplotlib's own arrows dash their outline too."""
    from matplotlib.patches import Polygon

    tip = points[0]
    along = _behind(points, sizes.head) - tip
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    across = np.array([-along[1], along[0]])
    foot = tip + sizes.head * along
    corners = np.array([tip, foot + sizes.half_head * across, foot - sizes.half_head * across])
    head = Polygon(corners, facecolor=style.colour, edgecolor="none", zorder=style.order + 0.5)
    head.set_alpha(style.opacity)
    axes.add_patch(head)


def _draw_ring(axes: Any, points: FloatArray, style: LineStyle, sizes: MarkSizes) -> None:
    """An open circle that touches the end of the curve; as dark whatever the opacity of the line, since a
    pale circle reads as no mark."""
    from matplotlib.patches import Circle

    x, y = _behind(points, sizes.ring)
    ring = Circle((x, y), sizes.ring, facecolor="white", edgecolor=style.colour)
    ring.set_linewidth(style.rim)
    ring.set_zorder(style.order + 0.5)
    axes.add_patch(ring)


def _behind(points: FloatArray, length: float) -> Point:
    """The first point at this distance from the beginning, or the last one."""
    far = np.flatnonzero(np.linalg.norm(points - points[0], axis=1) >= length)
    return np.asarray(points[far[0] if far.size else -1])


def _bezier(start: Point, control: Point, end: Point, shares: FloatArray) -> FloatArray:
    """Points [k, 2] at shares [k] of the way along the quadratic Bézier curve."""
    t = shares[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end)


@dataclass(frozen=True)
class DrawnEdge:
    """`frequency`: the share of replicates in which the pair is adjacent; `strength`: its coefficient or
    partial correlation. Each is None where it is not known."""

    source: str
    target: str
    kind: EdgeKind
    frequency: float | None
    strength: float | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> DrawnEdge:
        """From a row of discovery.graph.export.edge_rows."""
        kind, frequency = EdgeKind(row["kind"]), row.get("adjacent")
        return cls(row["source"], row["target"], kind, frequency, strength_of(row))

    @property
    def label(self) -> str:
        """The number on the edge: its strength, or else its frequency; empty where neither is known."""
        if self.strength is not None:
            return f"{self.strength:+.2f}".replace("0.", ".", 1).replace("-", "\N{MINUS SIGN}")
        if self.frequency is None:
            return ""
        return f"{self.frequency:.2f}".lstrip("0") if self.frequency != 0 else "0"

    @property
    def weight(self) -> float:
        """What width and opacity follow."""
        return 0.7 if self.frequency is None else self.frequency


def draw_edges(axes: Any, edges: list[DrawnEdge], positions: dict[str, Point], radius: float) -> None:
    """Draw them between `positions` on the unit circle; `radius`: inches a unit of the axes."""
    labels: list[Point] = []
    for edge in sorted(edges, key=lambda e: e.weight):
        start, end = positions[edge.source], positions[edge.target]
        sizes = _sizes(edge.weight, radius)
        draw_edge(axes, curve(start, bent(start, end), end, sizes.gap), edge.kind, _style(edge), sizes)
    for edge in sorted(edges, key=lambda e: -e.weight):
        if edge.label:
            position = _label_position(positions[edge.source], positions[edge.target], labels)
            labels.append(position)
            _draw_label(axes, position, edge)


def _style(edge: DrawnEdge) -> LineStyle:
    return LineStyle(_COLOUR[edge.kind], (), _width(edge.weight), 2, _opacity(edge.weight), _RIM)


def _width(weight: float) -> float:
    return 0.6 + 3.0 * weight


def _opacity(weight: float) -> float:
    return 0.3 + 0.65 * weight


def _sizes(weight: float, radius: float) -> MarkSizes:
    """Heads that grow with the line; a gap of 6 points, circles of 7 points across."""
    inches = np.array([6.0, 6.4 + 1.6 * _width(weight), 3.2 + 0.8 * _width(weight), 3.5]) / 72
    return MarkSizes(*(inches / radius).tolist())


def bent(start: Point, end: Point) -> Point:
    """The control point of an edge between two points of the unit circle: towards the centre, the more the
    nearer they are, so that an edge leaves the circle line; aside for opposite ones, so that labels keep
    clear of the centre."""
    delta = end - start
    turn = float(start[0] * end[1] - start[1] * end[0])
    bend = (0.34 - 0.14 * float(np.linalg.norm(delta))) * (-1 if turn > 0 else 1)
    return np.asarray((start + end) / 2 + bend * np.array([delta[1], -delta[0]]))


def _draw_label(axes: Any, position: Point, edge: DrawnEdge) -> None:
    axes.text(
        *position,
        edge.label,
        fontsize=8,
        ha="center",
        va="center",
        color=_COLOUR[edge.kind],
        bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.9},
        zorder=4,
    )


def _label_position(start: Point, end: Point, labels: list[Point]) -> Point:
    """The first of `_LABEL_SHARES` along the curve that keeps clear of `labels`; else the clearest."""
    spots = list(_bezier(start, bent(start, end), end, np.array(_LABEL_SHARES)))
    gaps = [min((float(np.linalg.norm(spot - p)) for p in labels), default=np.inf) for spot in spots]
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
            style: dict[str, Any] = {"color": _COLOUR[edge], "lw": 2, "marker": _LEGEND_MARKER.get(edge, "o")}
            if Endpoint.CIRCLE in edge.ends:
                style |= {"markerfacecolor": "white", "markeredgewidth": _RIM}
            label = meaning if kind is GraphKind.CPDAG else f"{edge.symbol}  {meaning}"
            handles.append(Line2D([], [], label=label, **style))
    if has_frequencies:
        for share in (0.25, 0.5, 1.0):
            line = Line2D([], [], color="#444444", lw=_width(share), alpha=_opacity(share))
            line.set_label(f"pair adjacent in {share:.0%} of replicates")
            handles.append(line)
    strong = any(edge.strength is not None for edge in edges)
    if strong or has_frequencies:
        number = "standardised coefficient (no arrow: partial r)" if strong else "that share"
        handles.append(Line2D([], [], color="none", label=f"number on an edge: {number}"))
    return handles

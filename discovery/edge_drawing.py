"""One edge on a page: a curve with the marks of its ends. Lengths are in inches, as is the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discovery.marks import EdgeKind, Endpoint

Point = NDArray[np.float64]

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

"""A picture of a comparison: both graphs on one circle of values, side by side, each edge by its state.

Made for a printed page: sizes are in inches, names in 7 point; colour and line style say the same, so that
nothing is lost in grey or to a colour-blind eye (colours of Okabe & Ito, 2008).
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from axiograph.discovery.comparison.edges import EdgeState, compared_kinds, edge_state
from axiograph.discovery.comparison.graphs import Comparison
from axiograph.discovery.graph.causal_graph import CausalGraph, transitively_reduced
from axiograph.discovery.graph.drawing import LineStyle, MarkSizes, Point, curve, draw_edge
from axiograph.discovery.graph.figure import circle_order, circle_points
from axiograph.engine.storage.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

States = dict[frozenset[str], EdgeState]
_NAME_SIZE, _CAPTION_SIZE = 7.0, 6.5  # points
_LETTER, _CAPTION_LETTER = 0.06, 0.049  # inches: a wide letter of a name, a usual one of a caption
_LINE = 0.115  # inches between lines
_WRAP = 14  # letters a line of a name, more where it would need a third line
_HIGH = 0.93  # of the radius: the names of the points nearest to the top and bottom
_UPRIGHT_UP_TO = 20  # names; more are written along the radius
_MARKER = 4.2  # points
_GREY = "#8C8C8C"
_STYLES = {
    EdgeState.SAME: LineStyle("#1A1A1A", (), 1.4, 4),
    EdgeState.DIFFERS: LineStyle("#0072B2", (3.2, 1.4), 1.4, 3),
    EdgeState.GRAPH: LineStyle("#D55E00", (1.0, 1.3), 1.0, 2),
    EdgeState.REFERENCE: LineStyle("#D55E00", (1.0, 1.3), 1.0, 2),
}
_NOT_COMPARED = LineStyle("#BDBDBD", (), 0.7, 1)
_SIZES = MarkSizes(gap=0.07, head=0.095, half_head=0.036, ring=0.03)  # inches


def draw_comparison(
    compared: Comparison,
    path: Path,
    names: tuple[str, str] = ("graph", "reference"),
    *,
    reduced: bool = False,
) -> None:
    """Write `comparison_figure` to `path`; the suffix (.png, .svg, .pdf) is the format. RunError where the
    disk is full."""
    save_figure(comparison_figure(compared, names, reduced=reduced), path, dpi=300)


def comparison_figure(
    compared: Comparison, names: tuple[str, str] = ("graph", "reference"), *, reduced: bool = False
) -> Figure:
    """Both graphs beside each other. `names` stand above them.

    Values of one graph only are grey where there are few of them (at most half as many as shared ones), else
    listed below; so are values without an edge in either, where these are more than a third. `reduced`:
    directed edges that other directed paths imply are not drawn (discovery.graph.causal_graph); the state of
    the others stays that of the whole graphs. Raises InputError for `reduced` and a graph with a directed
    cycle."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn, apart = _drawn_values(compared)
    page = _Page.around(drawn, _captions(compared, apart, names, reduced=reduced))
    figure = Figure(figsize=(page.width, page.height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, page.width)
    axes.set_ylim(0, page.height)
    states = _states(compared)
    order = circle_order(drawn, _joined_pairs(compared, drawn))
    for side, (graph, name) in enumerate(zip((compared.graph, compared.reference), names, strict=True)):
        panel = _Panel(axes, page, page.centre(side), page.positions(order, side))
        panel.draw_title(name, graph, states)
        panel.draw_values(graph, set(compared.values))
        panel.draw_edges(transitively_reduced(graph, name) if reduced else graph, states)
    _draw_foot(axes, page, compared, states)
    return figure


@dataclass(frozen=True)
class _Page:
    """Sizes in inches; the origin is the lower left corner."""

    width: float
    height: float
    radius: float
    upright: bool
    middle: float
    captions: tuple[str, ...]

    @classmethod
    def around(cls, names: Sequence[str], captions: Sequence[str]) -> _Page:
        """Room for two circles, the longest name on either side of each, titles, legend and captions."""
        upright = len(names) <= _UPRIGHT_UP_TO
        radius = min(max(1.3, (0.082 if upright else 0.055) * len(names)), 6.0)
        longest = max((len(line) for name in names for line in _lines(name, upright).split("\n")), default=0)
        side = 0.16 + _LETTER * longest
        across = 0.36 if upright else side
        width = max(4 * (radius + side), 6.5)
        letters = int((width - 0.4) / _CAPTION_LETTER)
        wrapped = tuple(line for text in captions for line in textwrap.wrap(text, letters))
        middle = 0.4 + _LINE * len(wrapped) + across + radius
        return cls(width, middle + radius + across + 0.24, radius, upright, middle, wrapped)

    def centre(self, side: int) -> Point:
        """Of the circle: 0 left, 1 right."""
        return np.array([self.width * (0.25 + 0.5 * side), self.middle])

    def positions(self, order: Sequence[str], side: int) -> dict[str, Point]:
        """Of the values of `order`, on the circle of this side."""
        points = self.centre(side) + self.radius * circle_points(len(order))
        return dict(zip(order, points, strict=True))


@dataclass(frozen=True)
class _Panel:
    """One of the two circles."""

    axes: Any
    page: _Page
    centre: Point
    positions: dict[str, Point]

    def draw_title(self, name: str, graph: CausalGraph, states: States) -> None:
        pairs = [frozenset((graph.names[i], graph.names[j])) for i, _, j in graph.edges()]
        compared = sum(pair in states for pair in pairs)
        text = f"{name}: {len(pairs)} edge{'' if len(pairs) == 1 else 's'}"
        text += f", {compared} compared" if compared < len(pairs) else ""
        spot = (self.centre[0], self.page.height - 0.06)
        self.axes.text(*spot, text, fontsize=9, ha="center", va="top")

    def draw_values(self, graph: CausalGraph, shared: set[str]) -> None:
        for name, point in self.positions.items():
            colour = "#1A1A1A" if name in shared else _GREY
            present = name in graph.names
            (dot,) = self.axes.plot(*point, "o", markersize=_MARKER, color=colour, mew=0.7, zorder=6)
            dot.set_markerfacecolor(colour if present else "white")
            out = (point - self.centre) / self.page.radius
            self._write(name, point + 0.085 * out, out, colour, "normal" if present else "italic")

    def _write(self, name: str, spot: Point, out: Point, colour: str, style: str) -> None:
        page, right = self.page, out[0] >= 0
        beside = "center" if page.upright and abs(out[0]) < 1e-6 else "left" if right else "right"
        text = _lines(name, page.upright)
        if page.upright and abs(out[1]) > _HIGH:  # above or below its point, clear of its neighbours' names
            spot = spot + np.array([0, np.sign(out[1]) * _LINE * (text.count("\n") + 1) / 2])
        self.axes.text(
            *spot,
            text,
            fontsize=_NAME_SIZE,
            color=colour,
            style=style,
            ha=beside,
            va="center",
            rotation=0 if page.upright else np.degrees(np.arctan2(out[1], out[0])) + (0 if right else 180),
            rotation_mode="anchor",
            linespacing=1.05,
            zorder=7,
        )

    def draw_edges(self, graph: CausalGraph, states: States) -> None:
        for i, kind, j in graph.edges():
            a, b = graph.names[i], graph.names[j]
            if a in self.positions and b in self.positions:
                state = states.get(frozenset((a, b)))
                style = _NOT_COMPARED if state is None else _STYLES[state]
                start, end = self.positions[a], self.positions[b]
                control = towards(self.centre, start, end, self.page.radius)
                draw_edge(self.axes, curve(start, control, end, _SIZES.gap), kind, style, _SIZES)


def towards(centre: Point, start: Point, end: Point, radius: float) -> Point:
    """The control point of an edge between two points of a circle, drawn towards its centre, most between
    neighbours."""
    distance = float(np.linalg.norm(end - start)) / radius
    return np.asarray(centre + ((start + end) / 2 - centre) * (0.5 + 0.34 * (1 - distance / 2)))


def _drawn_values(compared: Comparison) -> tuple[list[str], list[str]]:
    """The values on the circle, and shared ones without an edge where these are many."""
    lonely = [*compared.graph_only, *compared.reference_only]
    values = [*compared.values, *(lonely if 2 * len(lonely) <= len(compared.values) else [])]
    joined = {name for pair in _joined_pairs(compared, values) for name in pair}
    apart = [name for name in values if name not in joined]
    if not joined or 3 * len(apart) <= len(values):
        return values, []
    return [name for name in values if name in joined], [name for name in apart if name in compared.values]


def _joined_pairs(compared: Comparison, values: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of these values that either graph joins, once each."""
    pairs = {
        (min(a, b), max(a, b))
        for side in (compared.graph, compared.reference)
        for a, b in ((side.names[i], side.names[j]) for i, _, j in side.edges())
    }
    return [(a, b) for a, b in sorted(pairs) if a in values and b in values]


def _states(compared: Comparison) -> States:
    """Of the pairs of shared values."""
    return {frozenset((a, b)): edge_state(ours, theirs) for a, b, ours, theirs in compared_kinds(compared)}


def _captions(
    compared: Comparison, apart: Sequence[str], names: tuple[str, str], *, reduced: bool
) -> list[str]:
    n, parts = len(compared.values), compared.distance
    texts = [
        f"Structural Hamming distance {compared.shd}, of {n * (n - 1) // 2} pairs of {n} values: "
        f"{parts['graph_only']} joined only in {names[0]}, {parts['reference_only']} only in {names[1]}, "
        f"{parts['differing_marks']} in both with other marks."
    ]
    for name, lonely in zip(names, (compared.graph_only, compared.reference_only), strict=True):
        if lonely:
            texts.append(f"Only in {name}, not compared: {_listed(lonely)}.")
    if apart:
        texts.append(f"No edge in either graph: {_listed(apart)}.")
    if reduced:
        texts.append("Directed edges that a longer directed path implies are counted but not drawn.")
    return texts


def _listed(names: Sequence[str], most: int = 24) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _lines(name: str, upright: bool) -> str:
    if not upright:
        return name
    return "\n".join(textwrap.wrap(name, max(_WRAP, len(name) // 2 + 3), break_long_words=False))


def _draw_foot(axes: Any, page: _Page, compared: Comparison, states: States) -> None:
    """The legend and the captions below it."""
    from matplotlib.lines import Line2D

    counts = Counter(states.values())
    alone = counts[EdgeState.GRAPH], counts[EdgeState.REFERENCE]
    entries = [
        (_STYLES[EdgeState.SAME], f"same edge in both ({counts[EdgeState.SAME]})"),
        (_STYLES[EdgeState.DIFFERS], f"in both, other marks ({counts[EdgeState.DIFFERS]})"),
        (_STYLES[EdgeState.GRAPH], f"only in this graph ({alone[0]}, {alone[1]})"),
    ]
    more = []
    if compared.graph_only or compared.reference_only:
        entries.append((_NOT_COMPARED, "not compared"))
        absent = Line2D([], [], color=_GREY, marker="o", linestyle="none", markersize=_MARKER, mew=0.7)
        absent.set(markerfacecolor="white", label="value not in this graph")
        more.append(absent)
    lines = [
        Line2D([], [], color=s.colour, lw=s.width, label=text, ls=(0, s.dashes) if s.dashes else "-")
        for s, text in entries
    ]
    foot = _LINE * len(page.captions)
    axes.legend(
        handles=[*lines, *more],
        loc="lower center",
        bbox_to_anchor=(page.width / 2, foot + 0.08),
        bbox_transform=axes.transData,
        ncols=len(lines) + len(more),
        fontsize=_NAME_SIZE,
        frameon=False,
        handlelength=3.2,
        columnspacing=1.6,
        borderpad=0,
    )
    for k, text in enumerate(page.captions):
        spot = (page.width / 2, foot - _LINE * k)
        axes.text(*spot, text, fontsize=_CAPTION_SIZE, ha="center", va="center", color="#444444")

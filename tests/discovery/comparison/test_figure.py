import numpy as np
import pytest

from axiograph.discovery.comparison.edges import EdgeState
from axiograph.discovery.comparison.figure import (
    _SIZES,
    _STYLES,
    _drawn_values,
    _Page,
    draw_comparison,
    towards,
)
from axiograph.discovery.comparison.graphs import compare
from axiograph.discovery.graph.causal_graph import CausalGraph, transitively_reduced
from axiograph.discovery.graph.drawing import curve, draw_edge
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.engine.errors import InputError

NAMES = [f"Preference for Order and Structure {k}" for k in range(40)]


def random_graph(names, share, seed):
    rng = np.random.default_rng(seed)
    n = len(names)
    table = rng.choice((1, 2), size=(n, n)) * np.triu(rng.random((n, n)) < share, k=1)
    return CausalGraph(tuple(names), table + (rng.choice((1, 2), size=(n, n)) * (table > 0)).T)


@pytest.mark.parametrize("count", [2, 17, pytest.param(40, marks=pytest.mark.slow)])
def test_every_format_is_written_and_the_same_twice(tmp_path, count):
    found = compare(*(random_graph(NAMES[:count], 3 / count, seed) for seed in (1, 2)))
    for suffix in ("png", "svg", "pdf"):
        for name in ("one", "two"):
            draw_comparison(found, tmp_path / f"{name}.{suffix}", ("Gemma", "Human"))
        assert (tmp_path / f"one.{suffix}").stat().st_size > 2000
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    text = (tmp_path / "one.svg").read_text()
    assert f"Structural Hamming distance {found.shd}" in text
    assert "Gemma: " in text and "Human: " in text and "only in this graph" in text


def test_values_of_one_graph_only_are_grey_and_named(tmp_path):
    first = CausalGraph.from_edges("abcdx", [("a", "b"), ("x", "c"), ("c", "d")])
    second = CausalGraph.from_edges("abcd", [("a", "b"), ("c", "d")])
    draw_comparison(compare(first, second), tmp_path / "g.svg", ("A", "B"))
    text = (tmp_path / "g.svg").read_text()
    assert "A: 3 edges, 2 compared" in text and "B: 2 edges -->" in text
    assert "Only in A, not compared: x." in text and "value not in this graph" in text


def test_many_values_without_an_edge_or_of_one_graph_only_are_not_drawn():
    joined = CausalGraph.from_edges(NAMES, [(NAMES[0], NAMES[1]), (NAMES[2], NAMES[0])])
    other = CausalGraph.empty((*NAMES, "more"))
    drawn, apart = _drawn_values(compare(joined, other))
    assert (drawn, apart) == (NAMES[:3], NAMES[3:])
    drawn, apart = _drawn_values(compare(joined, CausalGraph.empty(NAMES[:3])))
    assert (drawn, apart) == (NAMES[:3], [])
    drawn, apart = _drawn_values(compare(CausalGraph.empty("abc"), CausalGraph.empty("abc")))
    assert (drawn, apart) == (["a", "b", "c"], [])


@pytest.mark.parametrize("count", [17, 20, 21, 40])
def test_names_keep_apart_and_on_the_page(count):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from axiograph.discovery.comparison.figure import _Panel

    graph = CausalGraph.empty(NAMES[:count])
    page = _Page.around(graph.names, ["A caption."])
    figure = Figure(figsize=(page.width, page.height))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, page.width)
    axes.set_ylim(0, page.height)
    for side in (0, 1):
        panel = _Panel(axes, page, page.centre(side), page.positions(graph.names, side))
        panel.draw_values(graph, set(graph.names))
    canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    if page.upright:  # the box of a slanted name is larger than the name
        assert [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)] == []


def test_states_differ_in_colour_and_in_line():
    states = [_STYLES[state] for state in (EdgeState.SAME, EdgeState.DIFFERS, EdgeState.GRAPH)]
    assert len({style.colour for style in states}) == len({style.dashes for style in states}) == 3
    assert _STYLES[EdgeState.GRAPH] == _STYLES[EdgeState.REFERENCE]


def test_marks_are_drawn_at_their_ends():
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Polygon

    start, end, centre = np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.zeros(2)
    control = towards(centre, start, end, 1.0)
    points = curve(start, control, end, _SIZES.gap)
    assert np.allclose(points, curve(end, towards(centre, end, start, 1.0), start, _SIZES.gap)[::-1])
    for kind in EdgeKind:
        axes = Figure().add_axes((0, 0, 1, 1))
        if kind is EdgeKind.NONE:
            continue
        draw_edge(axes, points, kind, _STYLES[EdgeState.SAME], _SIZES)
        drawn = {"<": set(), "o": set()}
        for patch in axes.patches:
            spot = patch.get_xy()[0] if isinstance(patch, Polygon) else patch.center
            near = np.linalg.norm(spot - start) < np.linalg.norm(spot - end)
            drawn["o" if isinstance(patch, Circle) else "<"].add("start" if near else "end")
        ends = {"start": kind[0], "end": kind[-1].replace(">", "<")}
        assert drawn == {mark: {end for end, found in ends.items() if found == mark} for mark in "<o"}


def test_reduction_by_hand():
    graph = CausalGraph.from_edges("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")], [("c", "d")])
    smaller = CausalGraph.from_edges("abcd", [("a", "b"), ("b", "c"), ("a", "d")], [("c", "d")])
    assert transitively_reduced(graph) == smaller
    assert transitively_reduced(CausalGraph.empty("ab", GraphKind.PAG)) == CausalGraph.empty(
        "ab", GraphKind.PAG
    )
    with pytest.raises(InputError, match="no directed cycle, found one of a, b, c"):
        transitively_reduced(CausalGraph.from_edges("abc", [("a", "b"), ("b", "c"), ("c", "a")]))


def test_reduction_in_the_figure_is_said_and_leaves_the_numbers(tmp_path):
    graph = CausalGraph.from_edges("abc", [("a", "b"), ("b", "c"), ("a", "c")])
    found = compare(graph, CausalGraph.empty("abc"))
    for name, reduced in (("whole", False), ("less", True)):
        draw_comparison(found, tmp_path / f"{name}.svg", reduced=reduced)
    whole, less = ((tmp_path / f"{name}.svg").read_text() for name in ("whole", "less"))
    assert "graph: 3 edges" in whole and "graph: 3 edges" in less
    assert "counted but not drawn" in less and "counted but not drawn" not in whole
    assert less.count("<path") < whole.count("<path")

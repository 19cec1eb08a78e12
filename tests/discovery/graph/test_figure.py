import re

import numpy as np
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.figure import draw_graph
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.discovery.pc.search import pc
from tests.discovery.bootstrapped import bootstrapped

NAMES = [f"Preference for Order and Structure {k}" for k in range(17)]


def random_graph(n: int, share: float) -> CausalGraph:
    rng = np.random.default_rng(n)
    pairs = [(NAMES[i], NAMES[j]) for i in range(n) for j in range(i + 1, n) if rng.random() < share]
    return CausalGraph.from_edges(NAMES[:n], pairs[2:], pairs[:1], pairs[1:2])


def test_svg_holds_every_name_and_is_the_same_twice(tmp_path):
    data = np.random.default_rng(1).normal(size=(30, 8))
    result = pc(data, NAMES[:8]).graph
    table = bootstrapped(data, NAMES[:8], full=result, replicates=5, null_replicates=0).edges.table()
    for name in ("one", "two"):
        draw_graph(random_graph(8, 0.3), tmp_path / f"{name}.svg", table, title="A title")
    text = (tmp_path / "one.svg").read_text()
    assert all(f"Structure {k} " in text or f"Structure {k}<" in text for k in range(8))
    assert "direction not settled" in text
    assert "A title" in text


def test_png_has_something_on_it(tmp_path):
    from matplotlib.image import imread

    draw_graph(random_graph(17, 0.2), tmp_path / "g.png")
    picture = imread(tmp_path / "g.png")
    assert min(picture.shape[:2]) > 800
    assert (picture[..., :3] < 0.5).any(axis=2).mean() > 0.002


def circles_drawn(path) -> int:
    """Open rings in an SVG: white fill and a coloured rim."""
    text = path.read_text()
    return len(re.findall(r"fill: #ffffff; stroke: #(?!222222)[0-9a-f]{6}; stroke-width: 1.4", text))


def test_every_circle_of_a_pag_is_drawn_and_its_marks_are_explained(tmp_path):
    edges = [("a", "o->", "b"), ("b", "o-o", "c"), ("c", "--o", "d"), ("a", "<->", "d"), ("b", "-->", "d")]
    pag = CausalGraph.from_kinds("abcd", edges, GraphKind.PAG)
    draw_graph(pag, tmp_path / "pag.svg")
    text = (tmp_path / "pag.svg").read_text()
    # Four on the edges, and one in each of the three lines of the legend that explain them.
    assert circles_drawn(tmp_path / "pag.svg") == 4 + 3
    assert "hidden common cause" in text
    assert "conflicting" not in text
    cpdag = CausalGraph.from_kinds("abcd", [edges[3], edges[4]])
    draw_graph(cpdag, tmp_path / "cpdag.svg")
    assert circles_drawn(tmp_path / "cpdag.svg") == 0
    assert "conflicting arrowheads" in (tmp_path / "cpdag.svg").read_text()


def test_circles_lie_on_their_edge_near_their_value():
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    from axiograph.discovery.graph.drawing import LineStyle, _sizes, bent, curve, draw_edge

    def circles(kind):
        axes = Figure().add_axes((0, 0, 1, 1))
        sizes = _sizes(0.7, radius=4.0)
        clear = curve(start, bent(start, end), end, sizes.gap)
        draw_edge(axes, clear, kind, LineStyle("#000000", (), 1.0, 1), sizes)
        return [np.array(patch.center) for patch in axes.patches if isinstance(patch, Circle)]

    start, end = np.array([1.0, 0.0]), np.array([-1.0, 0.0])  # opposite: the curve bends to one side
    at_start, at_end = circles(EdgeKind.CIRCLE_CIRCLE)
    points = curve(start, bent(start, end), end, 0.0)
    for spot, value in ((at_start, start), (at_end, end)):
        assert np.linalg.norm(spot - value) == pytest.approx(9.5 / 72 / 4, abs=0.004)  # 6 + 7 / 2 points
        assert np.linalg.norm(points - spot, axis=1).min() == 0
    assert np.array_equal(circles(EdgeKind.CIRCLE_FORWARD), [at_start])
    assert np.array_equal(circles(EdgeKind.TAIL_CIRCLE), [at_end])
    assert circles(EdgeKind.FORWARD) == []


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b"], [f"v{k}" for k in range(45)]])
def test_graphs_without_edges_and_of_any_size(tmp_path, names):
    draw_graph(CausalGraph.empty(names), tmp_path / "g.png")
    assert (tmp_path / "g.png").stat().st_size > 1000


def test_many_values_without_an_edge_are_listed_beside(tmp_path):
    names = [f"v{k}" for k in range(30)]
    draw_graph(CausalGraph.from_edges(names, [("v0", "v1")]), tmp_path / "g.svg")
    assert "and 12 more" in (tmp_path / "g.svg").read_text()


def test_names_keep_apart_on_the_page():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from axiograph.discovery.graph.figure import _draw_names, _Frame, _positions

    for n in (8, 17, 30):
        names = [f"Preference for Order and Structure {k}" for k in range(n)]
        frame = _Frame.around(names, has_title=False)
        figure = Figure(figsize=frame.size)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes(frame.axes)
        axes.set_xlim(-frame.half_width, frame.half_width)
        axes.set_ylim(-frame.half_height, frame.half_height)
        _draw_names(axes, _positions(names, []))
        canvas.draw()
        boxes = [text.get_window_extent() for text in axes.texts]
        overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        assert overlaps == []
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph, reachability, shd
from axiograph.discovery.graph.marks import EdgeKind, Endpoint, GraphKind
from axiograph.engine.errors import InputError


@st.composite
def graphs(draw, max_values=6, kind=GraphKind.CPDAG):
    n = draw(st.integers(1, max_values))
    names = tuple(f"v{i}" for i in range(n))
    marks = np.zeros((n, n), np.uint8)
    ends = [(0, 0), (1, 2), (2, 1), (1, 1), (2, 2)]
    if kind is GraphKind.PAG:
        ends += [(3, 2), (2, 3), (3, 3), (3, 1), (1, 3)]
    for i in range(n):
        for j in range(i + 1, n):
            marks[i, j], marks[j, i] = draw(st.sampled_from(ends))
    return CausalGraph(names, marks, kind)


either = st.one_of(graphs(), graphs(kind=GraphKind.PAG))
NOT_INTO_THE_START = {
    EdgeKind.FORWARD,
    EdgeKind.UNDIRECTED,
    EdgeKind.CIRCLE_FORWARD,
    EdgeKind.CIRCLE_CIRCLE,
    EdgeKind.CIRCLE_TAIL,
    EdgeKind.TAIL_CIRCLE,
}


def walk(graph: CausalGraph, start: int, possibly: bool) -> set[int]:
    """Reached from `start` by a plain search: the oracle for the closure."""
    allowed = NOT_INTO_THE_START if possibly else {EdgeKind.FORWARD}
    seen: set[int] = set()
    open_nodes = [start]
    while open_nodes:
        i = open_nodes.pop()
        for j in range(len(graph.names)):
            if graph.edge_kind(i, j) in allowed and j not in seen:
                seen.add(j)
                open_nodes.append(j)
    return seen


def test_convention_the_mark_is_at_the_second_index():
    graph = CausalGraph.from_edges("ab", [("a", "b")])
    assert graph.marks[0, 1] == Endpoint.ARROW
    assert graph.marks[1, 0] == Endpoint.TAIL
    assert graph.edge_kind(0, 1) is EdgeKind.FORWARD
    assert graph.edge_kind(1, 0) is EdgeKind.BACKWARD


def test_edge_lists_hold_every_kind_once():
    graph = CausalGraph.from_edges("abcd", [("b", "a")], [("c", "b")], [("d", "c")])
    assert graph.directed_edges() == [(1, 0)]
    assert graph.undirected_edges() == [(1, 2)]
    assert graph.bidirected_edges() == [(2, 3)]
    assert graph.n_edges == 3


def test_pair_directed_both_ways_is_undirected():
    graph = CausalGraph.from_edges("ab", [("a", "b"), ("b", "a")])
    assert graph == CausalGraph.from_edges("ab", [], [("a", "b")])


def test_causal_learn_convention_agrees_with_its_own_api():
    from causallearn.graph.Edge import Edge
    from causallearn.graph.Endpoint import Endpoint as End
    from causallearn.graph.GraphClass import CausalGraph as Theirs

    theirs = Theirs(4, list("abcd"))
    nodes = theirs.G.get_nodes()
    for i in range(4):
        for j in range(i + 1, 4):
            theirs.G.remove_edge(theirs.G.get_edge(nodes[i], nodes[j]))
    theirs.G.add_directed_edge(nodes[0], nodes[1])
    theirs.G.add_directed_edge(nodes[3], nodes[1])
    theirs.G.add_edge(Edge(nodes[1], nodes[2], End.TAIL, End.TAIL))
    theirs.G.add_edge(Edge(nodes[2], nodes[3], End.ARROW, End.ARROW))

    ours = CausalGraph.from_causal_learn("abcd", theirs.G.graph)

    assert theirs.G.is_parent_of(nodes[0], nodes[1])
    assert sorted(ours.directed_edges()) == [(0, 1), (3, 1)] == sorted(theirs.find_fully_directed())
    assert ours.undirected_edges() == [(1, 2)]
    assert set(theirs.find_undirected()) == {(1, 2), (2, 1)}
    assert ours.bidirected_edges() == [(2, 3)]
    assert set(theirs.find_bi_directed()) == {(2, 3), (3, 2)}


@given(either)
def test_causal_learn_round_trip(graph):
    assert CausalGraph.from_causal_learn(graph.names, graph.to_causal_learn(), graph.kind) == graph


def test_circles_agree_with_causal_learns_own_api():
    from causallearn.graph.Edge import Edge
    from causallearn.graph.Endpoint import Endpoint as End
    from causallearn.graph.GeneralGraph import GeneralGraph
    from causallearn.graph.GraphNode import GraphNode

    nodes = [GraphNode(name) for name in "abcd"]
    theirs = GeneralGraph(nodes)
    theirs.add_edge(Edge(nodes[0], nodes[1], End.CIRCLE, End.ARROW))
    theirs.add_edge(Edge(nodes[1], nodes[2], End.CIRCLE, End.CIRCLE))
    theirs.add_edge(Edge(nodes[2], nodes[3], End.TAIL, End.CIRCLE))

    ours = CausalGraph.from_causal_learn("abcd", theirs.graph, GraphKind.PAG)

    assert ours.edges() == [
        (0, EdgeKind.CIRCLE_FORWARD, 1),
        (1, EdgeKind.CIRCLE_CIRCLE, 2),
        (3, EdgeKind.CIRCLE_TAIL, 2),
    ]
    assert str(ours.edge_kind(2, 3)) == "--o"


@given(either)
def test_edges_and_kinds_say_all_of_a_graph(graph):
    edges = [(graph.names[i], str(kind), graph.names[j]) for i, kind, j in graph.edges()]
    assert len(edges) == graph.n_edges
    assert CausalGraph.from_kinds(graph.names, edges, graph.kind) == graph
    turned = [(j, EdgeKind.of(*reversed(EdgeKind(kind).ends)), i) for i, kind, j in edges]
    assert CausalGraph.from_kinds(graph.names, turned, graph.kind) == graph


def test_kinds_of_graph_are_not_one_another():
    cpdag, pag = CausalGraph.empty("ab"), CausalGraph.empty("ab", GraphKind.PAG)
    assert cpdag != pag
    assert pag.reordered("ba").kind is GraphKind.PAG
    with pytest.raises(InputError, match="a cpdag and a pag"):
        shd(cpdag, pag)


def test_circles_are_refused_in_a_cpdag_and_unknown_marks_anywhere():
    with pytest.raises(InputError, match="circles, which only a PAG has"):
        CausalGraph.from_causal_learn("ab", np.array([[0, 2], [1, 0]]))
    with pytest.raises(InputError, match=r"\[5\]"):
        CausalGraph.from_causal_learn("ab", np.array([[0, 5], [1, 0]]), GraphKind.PAG)


def test_descendants_hand_worked():
    # a → b → c — d, d → e, and f apart.
    graph = CausalGraph.from_edges("abcdef", [("a", "b"), ("b", "c"), ("d", "e")], [("c", "d")])
    definite, possible = graph.definite_descendants(), graph.possible_descendants()
    assert [[graph.names[k] for k in np.flatnonzero(row)] for row in definite] == [
        ["b", "c"], ["c"], [], ["e"], [], [],
    ]  # fmt: skip
    assert [[graph.names[k] for k in np.flatnonzero(row)] for row in possible] == [
        ["d", "e"], ["d", "e"], ["d", "e"], ["c"], [], [],
    ]  # fmt: skip


def test_bidirected_edges_lead_nowhere():
    graph = CausalGraph.from_edges("ab", [], [], [("a", "b")])
    assert not graph.definite_descendants().any()
    assert not graph.possible_descendants().any()


def test_descendants_in_a_pag_hand_worked():
    # a o→ b → c, c ↔ d, c o–o e, f o– e: an arrowhead at the start ends a path, a circle does not.
    edges = [("a", "o->", "b"), ("b", "-->", "c"), ("c", "<->", "d"), ("c", "o-o", "e"), ("f", "o--", "e")]
    graph = CausalGraph.from_kinds("abcdef", edges, GraphKind.PAG)
    definite, possible = graph.definite_descendants(), graph.possible_descendants()
    assert [[graph.names[k] for k in np.flatnonzero(row)] for row in definite] == [
        [], ["c"], [], [], [], [],
    ]  # fmt: skip
    assert [[graph.names[k] for k in np.flatnonzero(row)] for row in possible] == [
        ["b", "c", "e", "f"], ["e", "f"], ["e", "f"], [], ["c", "f"], ["c", "e"],
    ]  # fmt: skip


def test_cycle_is_reported_and_its_members_are_mutually_possible():
    graph = CausalGraph.from_edges("abcd", [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    assert graph.cycles() == [("a", "b", "c")]
    definite, possible = graph.definite_descendants(), graph.possible_descendants()
    assert possible[:3, :3].tolist() == (~np.eye(3, dtype=bool)).tolist()
    assert not definite[:3, :3].any()
    assert definite[:3, 3].all()


@given(either)
def test_descendants_agree_with_a_search(graph):
    definite, possible = graph.definite_descendants(), graph.possible_descendants()
    assert not (definite & possible).any()
    for i in range(len(graph.names)):
        reached, maybe = walk(graph, i, False), walk(graph, i, True)
        mutual = {j for j in reached if i in walk(graph, j, False)}
        assert set(np.flatnonzero(definite[i])) == reached - mutual - {i}
        assert set(np.flatnonzero(possible[i])) == (maybe - reached - {i}) | (mutual - {i})


@given(either, st.randoms(use_true_random=False))
def test_relabelling_changes_nothing_but_the_order(graph, random):
    order = list(graph.names)
    random.shuffle(order)
    moved = graph.reordered(order)
    assert shd(graph, moved) == 0
    assert moved.reordered(graph.names) == graph
    assert {frozenset(c) for c in moved.cycles()} == {frozenset(c) for c in graph.cycles()}


def test_shd_counts_each_pair_once():
    a = CausalGraph.from_edges("abc", [("a", "b"), ("b", "c")])
    b = CausalGraph.from_edges("abc", [("b", "a")], [("a", "c")])
    assert shd(a, b) == 3
    assert shd(a, CausalGraph.empty("abc")) == 2
    assert shd(a, a) == 0


def test_reachability_has_its_diagonal_on_cycles_only():
    edges = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=bool)
    assert reachability(edges).tolist() == [[True, True, True], [True, True, True], [False] * 3]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CausalGraph.from_edges("ab", [("a", "x")]), "'x'"),
        (lambda: CausalGraph.from_edges("ab", [("a", "a")]), "self-loop"),
        (lambda: CausalGraph.from_edges("ab", [("a", "b")], [("b", "a")]), "two kinds"),
        (lambda: CausalGraph.empty(["a", "a"]), "more than once"),
        (lambda: CausalGraph(("a", "b"), np.array([[0, 1], [0, 0]])), "one end"),
        (lambda: CausalGraph(("a",), np.zeros((2, 2))), "shape"),
        (lambda: shd(CausalGraph.empty("ab"), CausalGraph.empty("ac")), r"\['b', 'c'\]"),
    ],
)
def test_what_is_no_graph_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_marks_cannot_be_changed():
    graph = CausalGraph.empty("ab")
    with pytest.raises(ValueError, match="read-only"):
        graph.marks[0, 1] = 1

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import EdgeKind, GraphKind
from axiograph.discovery.pc.search import LearnedGraph
from axiograph.discovery.resampling.frequencies import CircleCounts, EdgeCounts
from tests.discovery.bootstrapped import bootstrapped
from tests.discovery.graph.test_causal_graph import graphs
from tests.discovery.resampling.test_bootstrap import DATA, NAMES, row, scripted
from tests.discovery.resampling.test_bootstrap import run as run_cpdags

MASSES = {
    "forward": EdgeKind.FORWARD,
    "backward": EdgeKind.BACKWARD,
    "undirected": EdgeKind.UNDIRECTED,
    "bidirected": EdgeKind.BIDIRECTED,
    "circle_forward": EdgeKind.CIRCLE_FORWARD,
    "circle_backward": EdgeKind.CIRCLE_BACKWARD,
    "circle_circle": EdgeKind.CIRCLE_CIRCLE,
    "circle_tail": EdgeKind.CIRCLE_TAIL,
    "tail_circle": EdgeKind.TAIL_CIRCLE,
}


def pag(*edges: str) -> CausalGraph:
    """Edges such as "a o-> b"."""
    return CausalGraph.from_kinds("abc", [tuple(edge.split()) for edge in edges], GraphKind.PAG)


def run(*found: CausalGraph):
    return bootstrapped(
        DATA,
        NAMES,
        full=CausalGraph.empty("abc", GraphKind.PAG),
        function=scripted([LearnedGraph(graph, ()) for graph in found]),
        replicates=len(found),
        null_replicates=0,
    )


@pytest.mark.parametrize(("mass", "kind"), MASSES.items())
def test_every_kind_has_its_own_mass(mass, kind):
    found = run(pag(f"a {kind} b"), pag(f"a {kind} b"), pag("b o-o c"))
    masses = row(found.edges.table(), "a", "b")
    expected = dict.fromkeys(MASSES, 0.0) | {mass: 2 / 3, "adjacent": 2 / 3, "absent": pytest.approx(1 / 3)}
    assert {name: masses[name] for name in expected} == expected
    assert found.inflation.replicates == 1.0
    assert found.graphs.graph(0) == pag(f"a {kind} b")


def test_tables_of_cpdags_have_no_circles():
    table = run_cpdags([LearnedGraph(CausalGraph.from_edges("abc", [("a", "b")]), ())]).edges.table()
    assert not [name for name in table.columns if "circle" in name]


@pytest.mark.parametrize(
    ("replicates", "expected"),
    [
        # All say that b is no cause of a; of a they say three things.
        (["a o-> b", "a <-> b", "a --> b"], "a o-> b"),
        (["a --> b", "a --> b", "a o-> b"], "a --> b"),
        (["a <-> b", "a <-> b", "a o-> b"], "a <-> b"),
        (["a --> b", "a <-- b"], "a o-o b"),  # half is no majority
        (["a --- b", "a --- b", "a o-- b"], "a --- b"),
        (["a o-- b", "a --- b", "a <-- b"], "a o-- b"),
        (["a o-o b"], "a o-o b"),
    ],
)
def test_consensus_takes_the_majority_at_each_end(replicates, expected):
    found = run(*(pag(edge) for edge in replicates))
    assert found.edges.consensus(0.5) == pag(expected)
    assert found.edges.averaged_network() == pag(expected)
    assert EdgeCounts.of(found.graphs).consensus(0.5) == pag(expected)


def test_consensus_keeps_the_pairs_that_are_frequent():
    found = run(pag("a o-> b"), pag("a o-> b", "b --> c"), pag())
    assert found.edges.consensus(0.5) == pag("a o-> b")
    assert found.edges.consensus(0.1) == pag("a o-> b", "b --> c")
    assert found.edges.consensus(0.5).kind is GraphKind.PAG


@given(st.lists(graphs(max_values=4, kind=GraphKind.PAG), min_size=1, max_size=3))
def test_counts_are_those_of_the_masks(found):
    for graph in found:
        counts = CircleCounts.zero(len(graph.names))
        counts.add(np.stack([graph.marks, graph.marks]))
        assert np.array_equal(counts.forward, 2 * graph.mask(EdgeKind.CIRCLE_FORWARD))
        assert np.array_equal(counts.circle, 2 * graph.mask(EdgeKind.CIRCLE_CIRCLE))
        assert np.array_equal(counts.tail, 2 * graph.mask(EdgeKind.CIRCLE_TAIL))

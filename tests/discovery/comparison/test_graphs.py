"""Metrics by hand, by their symmetries, and against causal-learn's confusion classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.discovery.comparison.agreement import SHARES
from axiograph.discovery.comparison.graphs import compare, near_misses
from axiograph.discovery.graph.causal_graph import CausalGraph, shd
from axiograph.discovery.graph.marks import GraphKind
from axiograph.engine.errors import InputError

# A: a→b→c—d→e.  B: e←a←b→c→d.
A = CausalGraph.from_edges("abcde", [("a", "b"), ("b", "c"), ("d", "e")], [("c", "d")])
B = CausalGraph.from_edges("abcde", [("b", "a"), ("b", "c"), ("c", "d"), ("a", "e")])


@st.composite
def pairs_of_graphs(draw, max_values=6, marks=(1, 2)):
    """Two graphs over the same values, in any order."""
    n = draw(st.integers(2, max_values))
    names = tuple(f"v{i}" for i in range(n))
    kind = GraphKind.PAG if 3 in marks else GraphKind.CPDAG
    ends = st.sampled_from([(0, 0), *((a, b) for a in marks for b in marks)])
    found = []
    for order in (names, tuple(draw(st.permutations(names)))):
        table = np.zeros((n, n), np.uint8)
        for i in range(n):
            for j in range(i + 1, n):
                table[i, j], table[j, i] = draw(ends)
        found.append(CausalGraph(order, table, kind))
    return found


def test_edges_by_hand():
    found = compare(A, B)
    # Joined in both: ab (reversed), bc (the same), cd (— and →). Only in A: de; only in B: ae.
    assert found.distance == {"graph_only": 1, "reference_only": 1, "differing_marks": 2}
    assert found.shd == 4
    assert found.counts["reversed"] == 1
    shares = {name: (share.count, share.of) for name, share in found.shares.items()}
    assert shares["skeleton_precision"] == shares["skeleton_recall"] == (3, 4)
    assert shares["skeleton_f1"] == (6, 8)
    # Arrowheads of A at b, c, e; of B at a (of ab), c, d, e (of ae); only that of bc at c is in both.
    assert shares["arrowhead_precision"] == (1, 3)
    assert shares["arrowhead_recall"] == (1, 4)
    assert shares["arrowhead_f1"] == (2, 7)
    assert found.shares["arrowhead_f1"].value == 2 / 7
    # On ab, bc and cd: A has those at b and c, B those at a, c and d.
    assert shares["joined_arrowhead_precision"] == (1, 2)
    assert shares["joined_arrowhead_recall"] == (1, 3)
    assert shares["joined_arrowhead_f1"] == (2, 5)


def test_ancestors_by_hand():
    found = compare(A, B)
    # A: definite ab ac bc de, possible ad ae bd be cd ce dc. B: definite ba be ae bc bd cd, none possible.
    table = [
        [found.ancestors(here, there) for there in ("definite", "possible", "none")]
        for here in ("definite", "possible", "none")
    ]
    assert table == [[1, 0, 3], [4, 0, 3], [1, 0, 8]]
    assert found.counts["contradictions"] == 1  # ab and ba
    assert (
        found.shares["definite_ancestor_jaccard"].count,
        found.shares["definite_ancestor_jaccard"].of,
    ) == (1, 9)
    assert (
        found.shares["possible_ancestor_jaccard"].count,
        found.shares["possible_ancestor_jaccard"].of,
    ) == (0, 7)
    document = found.document()["ancestors"]
    assert document["definite_in_graph_only"] == 3 and document["definite_in_reference_only"] == 5
    assert document["possible_in_graph_only"] == 7 and document["possible_in_both"] == 0


def test_members_of_a_cycle_are_possible_ancestors_of_each_other():
    cycle = CausalGraph.from_edges("abc", [("a", "b"), ("b", "c"), ("c", "a")])
    found = compare(cycle, CausalGraph.empty("abc"))
    assert found.ancestors("possible", "none") == 6 and found.ancestors("definite", "none") == 0


def test_nothing_to_divide_by_is_a_state_with_a_reason():
    found = compare(CausalGraph.from_edges("abc", [], [("a", "b")]), CausalGraph.empty("abc"))
    assert found.shares["skeleton_precision"].value == 0
    assert found.shares["skeleton_recall"].value is None
    assert found.shares["skeleton_recall"].reason == "the reference has no edge"
    assert found.shares["arrowhead_f1"].reason == "neither graph has an arrowhead"
    assert found.shares["definite_ancestor_jaccard"].document() == {
        "value": None,
        "count": 0,
        "of": 0,
        "reason": "neither graph has a definite ancestor",
    }


def test_circles_are_edges_without_arrowheads():
    circles = CausalGraph.from_kinds("abc", [("a", "o->", "b"), ("b", "o-o", "c")], GraphKind.PAG)
    arrows = CausalGraph.from_kinds("abc", [("a", "-->", "b"), ("b", "<->", "c")], GraphKind.PAG)
    found = compare(circles, arrows)
    assert found.distance == {"graph_only": 0, "reference_only": 0, "differing_marks": 2}
    assert found.counts["reversed"] == 0
    assert (found.counts["graph_arrowheads"], found.counts["reference_arrowheads"]) == (1, 3)
    assert found.counts["shared_arrowheads"] == 1


def test_graphs_of_two_kinds_are_not_compared():
    with pytest.raises(InputError, match="a CPDAG and a PAG"):
        compare(A, CausalGraph.empty("abcde", GraphKind.PAG))


def test_values_of_one_graph_only_are_named_and_left_out():
    longer = CausalGraph.from_edges(("x", "c", "a", "y"), [("a", "x"), ("x", "c"), ("c", "y")])
    other = CausalGraph.from_edges(("a", "b", "c"), [("a", "c"), ("a", "b")])
    found = compare(longer, other)
    assert (found.values, found.graph_only, found.reference_only) == (("c", "a"), ("x", "y"), ("b",))
    assert found.distance == {"graph_only": 0, "reference_only": 1, "differing_marks": 0}
    assert found.document()["left_out"] == {"graph_only": ["x", "y"], "reference_only": ["b"]}
    # The path a → x → c counts, although x is in one graph only.
    assert found.ancestors("definite", "definite") == 1 and found.ancestors("none", "none") == 1


def test_too_few_shared_values_with_a_hint():
    reference = CausalGraph.empty(("positive coping", "Empathie", "a"))
    with pytest.raises(InputError, match=r"1 of 3 and 3.*mean 'positive coping' by 'Positive Coping'"):
        compare(CausalGraph.empty(("Positive Coping", "Economic", "a")), reference)
    assert near_misses(("Empathy", "a", "Self_Direction"), ("Empathie", "a", "Self-direction")) == [
        ("Empathy", "Empathie"),
        ("Self_Direction", "Self-direction"),
    ]


@given(pairs_of_graphs(marks=(1, 2, 3)))
def test_distance_is_that_of_discovery_graph(pair):
    found = compare(*pair)
    assert found.shd == shd(*pair) == sum(found.distance.values())
    assert found.counts["graph_edges"] == pair[0].n_edges
    n = len(found.values)
    cross = [found.counts[name] for name in found.counts if name.startswith("ancestors_")]
    assert sum(cross) == n * (n - 1)


@given(pairs_of_graphs())
def test_a_graph_agrees_with_itself(pair):
    found = compare(pair[0], pair[0])
    assert found.shd == found.counts["contradictions"] == found.counts["reversed"] == 0
    assert all(share.value == 1 or (share.of == 0 and share.reason) for share in found.shares.values())


@given(pairs_of_graphs())
def test_exchanging_the_graphs_exchanges_precision_and_recall(pair):
    there, back = compare(*pair), compare(*reversed(pair))
    assert there.shd == back.shd and there.counts["contradictions"] == back.counts["contradictions"]
    for kind in ("skeleton", "arrowhead", "joined_arrowhead"):
        assert there.shares[f"{kind}_precision"].value == back.shares[f"{kind}_recall"].value
        assert there.shares[f"{kind}_f1"].value == back.shares[f"{kind}_f1"].value
        three = [there.shares[f"{kind}_{name}"].value for name in ("precision", "recall", "f1")]
        if None not in three and three[0] + three[1] > 0:
            assert three[2] == pytest.approx(2 * three[0] * three[1] / (three[0] + three[1]))
    for name in ("definite_ancestor_jaccard", "possible_ancestor_jaccard"):
        assert there.shares[name].value == back.shares[name].value
    assert there.ancestors("definite", "possible") == back.ancestors("possible", "definite")


@given(pairs_of_graphs(), st.randoms(use_true_random=False))
def test_names_and_their_order_do_not_matter(pair, random):
    new = {name: f"w{k}" for k, name in enumerate(random.sample(pair[0].names, len(pair[0].names)))}
    renamed = [CausalGraph(tuple(new[name] for name in graph.names), graph.marks) for graph in pair]
    shuffled = [graph.reordered(random.sample(graph.names, len(graph.names))) for graph in renamed]
    assert compare(*shuffled).counts == compare(*pair).counts


def theirs(graph: CausalGraph):
    """The graph as causal-learn's own object. Not by its add_edge, which drops a circle opposite a tail."""
    from causallearn.graph.GeneralGraph import GeneralGraph
    from causallearn.graph.GraphNode import GraphNode

    made = GeneralGraph([GraphNode(name) for name in graph.names])
    made.graph = graph.to_causal_learn()
    return made


@pytest.mark.parametrize("marks", [(1, 2), (1, 2, 3)])
def test_counts_are_those_of_causal_learn(marks):
    from causallearn.graph.AdjacencyConfusion import AdjacencyConfusion
    from causallearn.graph.ArrowConfusion import ArrowConfusion
    from causallearn.graph.SHD import SHD

    rng = np.random.default_rng(len(marks))
    for _ in range(60):
        n = int(rng.integers(2, 9))
        names = tuple(f"v{k}" for k in range(n))
        kind = GraphKind.PAG if 3 in marks else GraphKind.CPDAG
        pair = []
        for _ in range(2):
            table = rng.choice(marks, size=(n, n)) * np.triu(rng.random((n, n)) < 0.4, k=1)
            other = rng.choice(marks, size=(n, n)) * (table > 0)
            pair.append(CausalGraph(names, table + other.T, kind))
        found = compare(*pair).counts
        graph, reference = (theirs(g) for g in pair)
        assert compare(*pair).shd == SHD(reference, graph).get_shd()
        edges = AdjacencyConfusion(reference, graph)
        assert found["shared_edges"] == edges.get_adj_tp()
        assert found["graph_edges"] == edges.get_adj_tp() + edges.get_adj_fp()
        assert found["reference_edges"] == edges.get_adj_tp() + edges.get_adj_fn()
        heads = ArrowConfusion(reference, graph)
        assert found["shared_arrowheads"] == heads.get_arrows_tp() == heads.get_arrows_tp_ce()
        assert found["graph_arrowheads"] == heads.get_arrows_tp() + heads.get_arrows_fp()
        assert found["reference_arrowheads"] == heads.get_arrows_tp() + heads.get_arrows_fn()
        assert found["graph_arrowheads_joined"] == heads.get_arrows_tp_ce() + heads.get_arrows_fp_ce()
        assert found["reference_arrowheads_joined"] == heads.get_arrows_tp_ce() + heads.get_arrows_fn_ce()
        if found["graph_edges"]:  # causal-learn divides by zero otherwise
            assert compare(*pair).shares["skeleton_precision"].value == edges.get_adj_precision()
        if found["reference_arrowheads"]:
            assert compare(*pair).shares["arrowhead_recall"].value == heads.get_arrows_recall()


def test_every_share_is_reported_once():
    names = [share.name for share in SHARES]
    assert len(set(names)) == len(names) == 11
    assert list(compare(A, B).document()["shares"]) == names

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from axiograph.discovery.comparison.edges import difference_interval, edge_table
from axiograph.discovery.comparison.graphs import compare
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.pc.search import pc
from axiograph.discovery.resampling.frequencies import EdgeCounts
from axiograph.engine.errors import InputError
from tests.discovery.bootstrapped import bootstrapped
from tests.discovery.comparison.test_spread import run
from tests.discovery.graph.test_causal_graph import graphs
from tests.discovery.graph.test_packed import pack


def test_states_and_frequencies_by_hand():
    first = CausalGraph.from_edges("abc", [("a", "b"), ("b", "c")])
    second = CausalGraph.from_edges("cab", [("b", "a")], [("c", "a")])
    ours, theirs = (
        EdgeCounts.of(pack([first, first, first, second.reordered("abc")])),
        EdgeCounts.of(pack([second])),
    )
    table = edge_table(compare(first, second), ours, theirs)
    assert table.select("a", "b", "graph_edge", "reference_edge", "state").rows() == [
        ("a", "b", "-->", "<--", "marks differ"),
        ("a", "c", "none", "---", "reference only"),
        ("b", "c", "-->", "none", "graph only"),
    ]
    row = table.row(0, named=True)
    assert (row["graph_replicates"], row["reference_replicates"]) == (4, 1)
    assert (row["graph_adjacent"], row["graph_forward"], row["graph_backward"]) == (1, 0.75, 0.25)
    assert (row["reference_forward"], row["reference_backward"], row["difference"]) == (0, 1, 0)
    assert table["difference"].to_list() == [0, -0.75, 0.75]
    assert table["graph_undirected"].to_list() == [0, 0.25, 0]


def test_without_replicates_there_is_no_frequency_and_no_difference():
    graph = CausalGraph.from_edges("ab", [("a", "b")])
    table = edge_table(compare(graph, graph), EdgeCounts.of(pack([graph])))
    row = table.row(0, named=True)
    assert row["state"] == "same" and row["graph_adjacent"] == 1
    assert {name for name, value in row.items() if value is None} == {
        *(
            f"reference_{mass}"
            for mass in ("replicates", "adjacent", "forward", "backward", "undirected", "bidirected")
        ),
        "difference",
        "difference_mc_low",
        "difference_mc_high",
    }


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_interval_is_that_of_statsmodels(of_first, of_second, data):
    first, second = data.draw(st.integers(0, of_first)), data.draw(st.integers(0, of_second))
    gap, low, high = difference_interval(*(np.array([x]) for x in (first, of_first, second, of_second)))
    theirs = confint_proportions_2indep(first, of_first, second, of_second, method="newcomb")
    assert (low[0], high[0]) == pytest.approx(theirs, abs=1e-6)
    assert gap[0] == first / of_first - second / of_second


def test_counts_of_stored_replicates_are_those_of_the_bootstrap():
    rng = np.random.default_rng(3)
    data = np.round(rng.normal(size=(24, 4)) @ rng.normal(size=(4, 4)))
    data[:, 3] = data[:, 3] > np.sort(data[:, 3])[-3]  # constant in some replicates
    names = tuple("abcd")
    full = pc(data, names, 0.2).graph
    found = bootstrapped(data, names, full=full, replicates=40, null_replicates=0, alpha=0.2)
    assert found.replicates.constant
    counts = EdgeCounts.of(found.graphs)
    for name in ("forward", "undirected", "bidirected", "together", "adjacent"):
        assert np.array_equal(getattr(counts, name), getattr(found.edges, name)), name
    for threshold in (0.1, 0.5, 0.9):
        assert counts.consensus(threshold) == found.edges.consensus(threshold)
    with pytest.raises(InputError, match="threshold"):
        counts.consensus(0)


@settings(max_examples=20, deadline=None)
@given(graphs())
def test_frequencies_follow_the_values_wherever_they_stand(graph):
    if len(graph.names) < 2:
        return
    turned = graph.reordered(graph.names[::-1])
    table = edge_table(compare(graph, turned), EdgeCounts.of(pack([graph])), EdgeCounts.of(pack([turned])))
    assert set(table["state"]) <= {"same", "neither"}
    for mass in ("adjacent", "forward", "backward", "undirected", "bidirected"):
        assert table[f"graph_{mass}"].equals(table[f"reference_{mass}"].rename(f"graph_{mass}"))
    assert not table["difference"].to_numpy().any()


def test_counts_that_lack_a_value_are_refused():
    graph = CausalGraph.empty("abc")
    counts = EdgeCounts.of(run(np.random.default_rng(0), 3, ("a", "b")))
    with pytest.raises(InputError, match="not of one run"):
        edge_table(compare(graph, graph), counts)

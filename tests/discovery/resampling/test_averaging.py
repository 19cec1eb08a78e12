import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.resampling.frequencies import data_driven_threshold
from tests.discovery.resampling.test_bootstrap import graph, run


def test_example_of_the_paper():
    # Scutari & Nagarajan 2013, section 3: six edges, of which the three strongest are kept.
    frequencies = np.array([0.0460, 0.2242, 0.3921, 0.7689, 0.8935, 0.9439])
    assert data_driven_threshold(frequencies) == 0.3921


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_no_other_share_of_absent_pairs_is_nearer(counts):
    frequencies = np.array(counts) / 40
    # F is a step function: its levels, and how long each lasts on [0, 1].
    steps = np.arange(41) / 40
    levels = np.searchsorted(np.sort(frequencies), steps[:-1], side="right") / len(frequencies)

    def distance(share: float) -> float:
        return float(np.abs(levels - share).mean())

    share = float(np.mean(frequencies <= data_driven_threshold(frequencies)))
    if not (frequencies <= 0.5).any():
        share = 0.0
    assert distance(share) <= min(distance(t) for t in np.linspace(0, 1, 201)) + 1e-12


def test_averaged_network_is_the_pairs_above_the_threshold():
    ab, none = graph([("a", "b")]), graph()
    both = graph([("a", "b"), ("b", "c")])
    assert run([ab, both, ab]).edges.averaged_network() == CausalGraph.from_edges("abc", [("a", "b")])
    assert run([both, both, ab]).edges.averaged_network() == CausalGraph.from_edges(
        "abc", [("a", "b"), ("b", "c")]
    )
    assert run([both, ab]).edges.averaged_network() == CausalGraph.from_edges("abc", [("a", "b")])
    assert run([none]).edges.averaged_network().n_edges == 0


def test_threshold_without_pairs_below_one_half():
    assert data_driven_threshold(np.array([])) == 0.0
    assert data_driven_threshold(np.array([0.7, 0.9])) == 0.0

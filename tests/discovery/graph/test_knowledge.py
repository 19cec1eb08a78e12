from dataclasses import replace

import numpy as np
import pytest

from axiograph.discovery.discover import discover
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge, with_design
from axiograph.discovery.pc.search import pc, pc_causal_learn
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import DiscoverySpec, KnowledgeSpec
from tests.discovery.bootstrapped import bootstrapped
from tests.discovery.oracle import linear, paper_scores
from tests.discovery.sem import exact_data, weights_of
from tests.discovery.test_discover import profiles

CHAIN = exact_data(weights_of("abc", "ab", "bc"))


def edge_pairs(names, rng: np.random.Generator, share: float) -> frozenset[tuple[str, str]]:
    pairs = [(a, b) for a in names for b in names if a != b and rng.random() < share]
    return frozenset(pairs)


def random_knowledge(names, rng: np.random.Generator) -> Knowledge:
    kind = rng.integers(0, 4)
    tiers = {name: int(rng.integers(0, 3)) for name in names if rng.random() < 0.8}
    return Knowledge(
        forbidden=edge_pairs(names, rng, 0.15 if kind in (0, 3) else 0.0),
        required=edge_pairs(names, rng, 0.1 if kind in (1, 3) else 0.0),
        tiers=tiers if kind in (2, 3) else {},
    )


def assert_same(data: np.ndarray, knowledge: Knowledge, alpha: float) -> CausalGraph:
    names = tuple(f"v{k}" for k in range(data.shape[1]))
    # Where a pair is forbidden both ways, causal-learn makes false colliders (pc/test_colliders.py).
    apart = {(names[i], names[j]) for i, j in np.argwhere(knowledge.matrices(names)[0])}
    knowledge = replace(knowledge, forbidden=knowledge.forbidden - apart)
    ours, theirs = (engine(data, names, alpha, knowledge) for engine in (pc, pc_causal_learn))
    assert ours.graph == theirs.graph
    return ours.graph


@pytest.mark.parametrize("seeds", [range(50), pytest.param(range(50, 120), marks=pytest.mark.slow)], ids=str)
def test_kernel_with_knowledge_is_causal_learn_on_random_data(seeds):
    oriented = 0
    for seed in seeds:
        rng = np.random.default_rng([8, seed])
        data = linear(rng, ordinal=seed % 2 == 0)[:, :9]
        data = data[:, np.ptp(data, axis=0) > 0]
        names = tuple(f"v{k}" for k in range(data.shape[1]))
        graph = assert_same(data, random_knowledge(names, rng), float(rng.choice((0.01, 0.05, 0.2))))
        oriented += len(graph.directed_edges())
    assert oriented > 80


@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 12), marks=pytest.mark.slow)], ids=str)
def test_kernel_with_knowledge_is_causal_learn_on_the_papers_data(paper_data, seeds):
    answers = paper_scores(paper_data)
    for seed in seeds:
        rng = np.random.default_rng([9, seed])
        data = answers[rng.integers(0, len(answers), size=400)]
        assert_same(data, random_knowledge([f"v{k}" for k in range(17)], rng), 0.05)


@pytest.mark.parametrize(
    ("knowledge", "directed", "undirected"),
    [
        (Knowledge(), [], ["ab", "bc"]),
        (Knowledge(tiers={"a": 0, "b": 1, "c": 1}), ["ab", "bc"], []),
        (Knowledge(required=frozenset({("b", "a")})), ["ba"], ["bc"]),
        (Knowledge(forbidden=frozenset({("b", "c")})), ["cb", "ba"], []),
        (Knowledge(forbidden=frozenset({("a", "b"), ("b", "a")})), [], ["bc"]),
    ],
)
def test_chain_hand_worked(knowledge, directed, undirected):
    found = pc(CHAIN, "abc", 0.01, knowledge).graph
    assert found == CausalGraph.from_edges(
        "abc", [tuple(e) for e in directed], [tuple(e) for e in undirected]
    )


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_replicates_use_it(n_jobs):
    knowledge = Knowledge(tiers={"a": 0, "b": 1, "c": 2})
    settings = {"replicates": 90, "null_replicates": 1, "jobs": n_jobs, "alpha": 0.001}
    found = bootstrapped(CHAIN, tuple("abc"), full=CausalGraph.empty("abc"), knowledge=knowledge, **settings)
    assert found.edges.forward[0, 1] == found.edges.forward[1, 2] == 90
    for r in (0, 89):
        assert found.graphs.graph(r).directed_edges() == [(0, 1), (1, 2)]


def test_discover_uses_it_and_knows_constant_values():
    table = profiles(np.c_[CHAIN, np.ones(len(CHAIN))], "abcd")
    knowledge = KnowledgeSpec(tiers={"a": 0, "b": 1, "c": 2, "d": 2})
    found = discover(table, DiscoverySpec(replicates=5, alpha=0.001, knowledge=knowledge), null_replicates=0)
    assert found.graph == CausalGraph.from_edges("abc", [("a", "b"), ("b", "c")])
    with pytest.raises(InputError, match="'x'"):
        discover(table, DiscoverySpec(knowledge=KnowledgeSpec(tiers={"x": 0})))


def test_knowledge_of_a_value_and_itself_is_refused():
    with pytest.raises(InputError, match="two values"):
        pc(CHAIN, "abc", 0.05, Knowledge(forbidden=frozenset({("a", "a")})))


def test_with_design_nothing_causes_an_indicator_and_indicators_are_never_adjacent():
    given = Knowledge(required=frozenset({("a", "b")}), tiers={"a": -1, "b": 0})
    known = with_design(given, "abc", ["s", "t"])
    apart, banned, drawn = known.matrices("abcst")
    assert apart[3, 4]
    assert apart.sum() == 2
    assert banned[:3, 3:].all()
    assert not banned[3:, :3].any()
    assert drawn[3:, :3].all()  # an edge between a value and an indicator leaves the indicator
    assert (banned[1, 0], drawn[0, 1]) == (1, 1)  # what was known of the values still is
    assert with_design(given, "abc", []) is given
    assert with_design(None, "abc", []) is None

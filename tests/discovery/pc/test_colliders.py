"""Rules for colliders against a slow, obvious reference: all sets, all tests, all members of a definition."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm

from axiograph.discovery.graph.causal_graph import CausalGraph, reachability
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.pc.colliders import MOST_GIVEN
from axiograph.discovery.pc.search import PC, pc, pc_causal_learn
from tests.discovery.sem import cpdag_of, exact_data, weights_of

RULES = ("definite", "majority", "max_p")
CHAIN = exact_data(weights_of("xyz", "xy", "yz"), rows=500)
BOTH_WAYS = Knowledge(forbidden=frozenset({("x", "z"), ("z", "x")}))


def p_value(corr, n, x, z, given):
    block = np.linalg.inv(corr[np.ix_([x, z, *given], [x, z, *given])])
    r = -block[0, 1] / np.sqrt(block[0, 0] * block[1, 1])
    return 2 * norm.sf(np.sqrt(n - len(given) - 3) * abs(np.arctanh(r)))


def sets_between(adjacent, x, z):
    found = set()
    for near, other in ((x, z), (z, x)):
        candidates = [t for t in np.flatnonzero(adjacent[near]) if t != other]
        for size in range(min(len(candidates), MOST_GIVEN) + 1):
            found |= set(combinations(candidates, size))
    return found


def judged(data, alpha, rule):
    """(skeleton, colliders in the order in which they are drawn, ambiguous triples)."""
    corr, n = np.corrcoef(data.T), len(data)
    names = tuple(f"v{k}" for k in range(data.shape[1]))
    adjacent = pc(data, names, alpha).graph.adjacency()
    colliders, ambiguous = [], set()
    for y in range(len(adjacent)):
        for x, z in combinations(np.flatnonzero(adjacent[y]), 2):
            if adjacent[x, z]:
                continue
            p = {s: p_value(corr, n, x, z, s) for s in sets_between(adjacent, x, z)}
            outside = max(value for s, value in p.items() if y not in s)
            if rule == "max_p":
                if outside > max(value for s, value in p.items() if y in s):
                    colliders.append((outside, x, y, z))
                continue
            holds = [y in s for s, value in p.items() if value > alpha]
            share = np.mean(holds) if holds else 0.5
            decided = share in (0, 1) and holds if rule == "definite" else share != 0.5
            if not decided:
                ambiguous |= {(x, y, z), (z, y, x)}
            elif share < 0.5:
                colliders.append((outside, x, y, z))
    if rule == "max_p":
        colliders.sort(key=lambda one: -one[0])
    return adjacent, [one[1:] for one in colliders], ambiguous


def oriented(adjacent, colliders, ambiguous):
    """[n, n] arrows: colliders that close no cycle, then Meek's rules 1 to 3 until nothing changes."""
    arrows = np.zeros_like(adjacent)
    for x, y, z in colliders:
        reach = reachability(arrows)
        if not (reach[y, x] or reach[y, z]):
            arrows[x, y] = arrows[z, y] = True
    n = len(adjacent)
    changed = True
    while changed:
        changed = False
        for i, j in np.argwhere(adjacent):
            if arrows[i, j] or arrows[j, i] or reachability(arrows)[j, i]:
                continue
            open_ = adjacent & ~arrows & ~arrows.T
            first = any(
                arrows[a, i] and not adjacent[a, j] and a != j and (a, i, j) not in ambiguous
                for a in range(n)
            )
            second = any(arrows[i, a] and arrows[a, j] for a in range(n))
            third = any(
                open_[i, a]
                and open_[i, b]
                and arrows[a, j]
                and arrows[b, j]
                and not adjacent[a, b]
                and (a, i, b) not in ambiguous
                for a, b in combinations(range(n), 2)
            )
            if first or second or third:
                arrows[i, j] = changed = True
    return arrows


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(25))
def test_equals_the_definition(rule, seed):
    rng = np.random.default_rng([1, seed])
    p = int(rng.integers(4, 9))
    dag = np.triu(rng.random((p, p)) < 0.4, k=1)
    weights = dag * rng.uniform(0.3, 0.9, (p, p)) * rng.choice([-1, 1], (p, p))
    data = rng.normal(size=(int(rng.integers(40, 400)), p)) @ np.linalg.inv(np.eye(p) - weights)
    data = data[:, rng.permutation(p)]
    graph = PC(rule)(data, [f"v{k}" for k in range(p)], 0.05).graph
    adjacent, colliders, ambiguous = judged(data, 0.05, rule)
    assert np.array_equal(graph.adjacency(), adjacent)
    assert np.array_equal(graph.directed_mask(), oriented(adjacent, colliders, ambiguous))
    assert not graph.cycles()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(4))
def test_recovers_a_linear_model_up_to_its_class(rule, seed):
    rng = np.random.default_rng(seed)
    dag = np.triu(rng.random((5, 5)) < 0.5, k=1)
    data = exact_data(dag * rng.uniform(0.5, 1.0, size=(5, 5)), rows=100_000, seed=seed)
    assert PC(rule)(data, [f"v{i}" for i in range(5)], 0.001).graph == cpdag_of(dag)


@pytest.mark.parametrize("search", [pc, *map(PC, RULES)])
def test_forbidding_a_pair_that_is_not_adjacent_changes_nothing(search):
    # shared case 27 and causal-learn's issue 224: x → y → z became x → y ← z.
    free = search(CHAIN, "xyz").graph
    assert free == CausalGraph.from_edges("xyz", [], [("x", "y"), ("y", "z")])
    assert search(CHAIN, "xyz", knowledge=BOTH_WAYS).graph == free
    theirs = pc_causal_learn(CHAIN, "xyz", knowledge=BOTH_WAYS).graph
    assert theirs == CausalGraph.from_edges("xyz", [("x", "y"), ("z", "y")])


@pytest.mark.parametrize("search", [pc, *map(PC, RULES)])
@pytest.mark.parametrize("seed", range(10))
def test_forbidding_all_pairs_that_are_not_adjacent_changes_nothing(search, seed):
    rng = np.random.default_rng([2, seed])
    data = rng.normal(size=(120, 7)) @ np.triu(rng.normal(size=(7, 7)))
    names = "abcdefg"
    free = search(data, names).graph
    absent = [(names[i], names[j]) for i, j in np.argwhere(~free.adjacency()) if i != j]
    assert search(data, names, knowledge=Knowledge(forbidden=frozenset(absent))).graph == free


@pytest.mark.parametrize("search", [pc, *map(PC, RULES)])
def test_a_pair_that_only_knowledge_keeps_apart_says_nothing_of_those_between(search):
    # x → y → z and x → z: no set separates x and z, so y may be anything.
    data = exact_data(weights_of("xyz", "xy", "yz", "xz", weight=0.5), rows=500)
    expected = CausalGraph.from_edges("xyz", [], [("x", "y"), ("y", "z")])
    assert search(data, "xyz", knowledge=BOTH_WAYS).graph == expected
    known = Knowledge(BOTH_WAYS.forbidden, required=frozenset({("x", "y")}))
    one = CausalGraph.from_edges("xyz", [("x", "y")], [("y", "z")])
    assert search(data, "xyz", knowledge=known).graph == one


@pytest.mark.parametrize("search", [pc, *map(PC, RULES)])
def test_tiers_and_required_edges_of_pairs_that_are_not_adjacent_change_nothing(search):
    free = search(CHAIN, "xyz").graph
    assert search(CHAIN, "xyz", knowledge=Knowledge(required=frozenset({("x", "z")}))).graph == free
    assert search(CHAIN, "xyz", knowledge=Knowledge(tiers={"x": 1, "z": 0})).graph == free
    collider = exact_data(weights_of("abc", "ac", "bc"), rows=500)
    first = search(collider, "abc", knowledge=Knowledge(tiers={"c": 0, "a": 1, "b": 1})).graph
    assert first == CausalGraph.from_edges("abc", [("c", "a"), ("c", "b")])

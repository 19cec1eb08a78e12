import numpy as np
import pytest

from axiograph.discovery.algorithms.causal_learn import FCI, _Column
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import GraphKind
from tests.discovery.oracle import linear
from tests.discovery.sem import exact_data, weights_of


def seen(names: str, hidden: str, *edges: str) -> CausalGraph:
    """What FCI finds of exact data where the values `hidden` are not observed."""
    data = exact_data(weights_of(names + hidden, *edges))[:, : len(names)]
    return FCI()(data, names).graph


def pag(names: str, *edges: str) -> CausalGraph:
    return CausalGraph.from_kinds(names, [tuple(edge.split()) for edge in edges], GraphKind.PAG)


def test_hidden_common_cause_of_two_values_is_a_double_arrow():
    # a → x ← L → y ← b: neither of x and y causes the other.
    expected = pag("axyb", "a o-> x", "x <-> y", "b o-> y")
    assert seen("axyb", "L", "ax", "Lx", "Ly", "by") == expected


def test_cause_that_cannot_be_a_hidden_common_cause():
    # a → c ← b, c → d: were d a cause of c or c, d confounded, a and d would not be independent given c.
    assert seen("abcd", "", "ac", "bc", "cd") == pag("abcd", "a o-> c", "b o-> c", "c --> d")


def test_hidden_common_cause_of_two_alone_leaves_all_open():
    assert seen("xy", "L", "Lx", "Ly") == pag("xy", "x o-o y")
    assert seen("abc", "", "ab", "bc") == pag("abc", "a o-o b", "b o-o c")


def test_marks_are_causal_learns():
    from causallearn.search.ConstraintBased.FCI import fci

    circles = arrows = 0
    for seed in range(12):
        rng = np.random.default_rng([31, seed])
        data = linear(rng, ordinal=seed % 3 == 0)[:, :7]
        data = data[:, np.ptp(data, axis=0) > 0]
        names = [f"v{k}" for k in range(data.shape[1])]
        ours = FCI()(data, names, 0.05).graph
        columns = [_Column(k) for k in range(data.shape[1])]  # see test_names_and_process_change_nothing
        theirs, _ = fci(data, "fisherz", 0.05, show_progress=False, node_names=columns)
        assert np.array_equal(ours.to_causal_learn(), theirs.graph)
        circles += (ours.marks == 3).sum()
        arrows += (ours.marks == 2).sum()
    assert circles > 10
    assert arrows > 10


def order_of_sets_matters() -> np.ndarray:
    """Data for which causal-learn's result depends on how Python happens to order a set of names."""
    rng = np.random.default_rng(7)
    data = rng.normal(size=(300, 9))
    signs = rng.random((9, 9)) < 0.5
    return data @ (np.eye(9) + 0.5 * np.triu(signs, 1) * rng.choice([-1, 1], (9, 9)))


class Hashed(str):
    """A name with a hash of its own, as a name has another hash in another process."""

    def __new__(cls, name: str, key: int):
        new = super().__new__(cls, name)
        new.key = key
        return new

    def __hash__(self):
        return self.key


def test_names_and_process_change_nothing():
    from causallearn.search.ConstraintBased.FCI import fci

    data, rng = order_of_sets_matters(), np.random.default_rng(0)
    names = [[Hashed(f"v{k}", int(key)) for k, key in enumerate(rng.permutation(9))] for _ in range(12)]
    theirs = {fci(data, show_progress=False, node_names=n)[0].graph.tobytes() for n in names}
    ours = {FCI()(data, n).graph.to_causal_learn().tobytes() for n in names}
    assert len(theirs) > 1
    assert len(ours) == 1


def test_limit_of_the_conditioning_sets_is_causal_learns():
    from causallearn.search.ConstraintBased.FCI import fci

    data = np.random.default_rng(1).normal(size=(300, 6)) @ np.random.default_rng(2).normal(size=(6, 6))
    names = list("abcdef")
    columns = [_Column(k) for k in range(6)]
    theirs, _ = fci(data, "fisherz", 0.05, depth=0, show_progress=False, node_names=columns)
    limited = FCI(max_conditioning=0)(data, names).graph
    assert np.array_equal(limited.to_causal_learn(), theirs.graph)
    assert limited != FCI()(data, names).graph


def test_nothing_is_printed(capsys):
    from causallearn.search.ConstraintBased.FCI import fci

    data = exact_data(weights_of("abcd", "ac", "bc", "cd"))
    FCI()(data, "abcd")
    assert capsys.readouterr().out == ""
    fci(data, "fisherz", 0.05, show_progress=False)
    assert capsys.readouterr().out != ""


@pytest.mark.parametrize("columns", [1, 0])
def test_fewer_than_two_varying_values_are_an_empty_pag(columns):
    data = np.ones((20, 2))
    data[:, :columns] = np.arange(20.0)[:, None]
    result = FCI()(data, "ab")
    assert result.graph == CausalGraph.empty("a" * columns, GraphKind.PAG)

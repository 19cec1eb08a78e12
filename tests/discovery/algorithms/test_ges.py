import numpy as np
import pytest

from axiograph.discovery.algorithms.causal_learn import GES
from axiograph.engine.errors import RunError
from tests.discovery.oracle import linear
from tests.discovery.sem import cpdag_of, exact_data


@pytest.mark.parametrize("penalty", [1.0, 4.0])
def test_marks_are_causal_learns_on_the_data_themselves(penalty):
    from causallearn.search.ScoreBased.GES import ges

    edges = 0
    for seed in range(12):
        rng = np.random.default_rng([32, seed])
        data = linear(rng, ordinal=seed % 3 == 0)[:, :7]
        data = data[:, np.ptp(data, axis=0) > 0]
        if len(data) <= 40:
            continue
        names = [f"v{k}" for k in range(data.shape[1])]
        ours = GES(penalty)(data, names).graph
        theirs = ges(data, lambda_value=penalty / 2, node_names=names)["G"]
        assert np.array_equal(ours.to_causal_learn(), theirs.graph)
        edges += ours.n_edges
    assert edges > 20


@pytest.mark.parametrize("seed", range(4))
def test_recovers_a_linear_model_up_to_its_class(seed):
    rng = np.random.default_rng(seed)
    dag = np.triu(rng.random((5, 5)) < 0.5, k=1)
    data = exact_data(dag * rng.uniform(0.5, 1.0, size=(5, 5)), rows=100_000, seed=seed)
    assert GES()(data, [f"v{i}" for i in range(5)]).graph == cpdag_of(dag)


def test_more_penalty_gives_fewer_edges_and_alpha_changes_nothing():
    data = np.random.default_rng(5).normal(size=(60, 6)) @ np.random.default_rng(6).normal(size=(6, 6))
    counts = [GES(penalty)(data, "abcdef").graph.n_edges for penalty in (0.1, 0.5, 5.0, 100.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 0
    assert GES()(data, "abcdef", 0.5).graph == GES()(data, "abcdef", 0.001).graph


def test_no_more_rows_than_values():
    with pytest.raises(RunError, match="more roles than the 8 values, found 8"):
        GES()(np.random.default_rng(0).normal(size=(8, 8)), "abcdefgh")

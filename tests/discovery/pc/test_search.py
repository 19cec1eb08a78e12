import numpy as np
import polars as pl
import pytest

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.pc.inputs import constant_columns, surrogate
from axiograph.discovery.pc.search import pc, pc_causal_learn
from axiograph.engine.errors import InputError, RunError
from tests.discovery.sem import cpdag_of, exact_data, weights_of

RNG = np.random.default_rng(0)


def found(names: str, *edges: str) -> CausalGraph:
    return pc(exact_data(weights_of(names, *edges)), names).graph


@pytest.mark.parametrize(
    ("names", "edges", "directed", "undirected"),
    [
        ("abc", ["ab", "bc"], [], ["ab", "bc"]),  # chain
        ("abc", ["ba", "bc"], [], ["ab", "bc"]),  # fork
        ("abc", ["ac", "bc"], ["ac", "bc"], []),  # collider
        ("abcd", ["ac", "bc", "cd"], ["ac", "bc", "cd"], []),  # Meek's rule 1: c → d, or a new collider
        # Meek's rule 3: b and c collide in d, a joins all three, so a → d.
        ("abcd", ["ab", "ac", "ad", "bd", "cd"], ["ad", "bd", "cd"], ["ab", "ac"]),
        ("abc", ["ab", "bc", "ac"], [], ["ab", "bc", "ac"]),  # complete: nothing can be told
    ],
)
def test_cpdag_hand_worked(names, edges, directed, undirected):
    expected = CausalGraph.from_edges(names, [tuple(e) for e in directed], [tuple(e) for e in undirected])
    assert found(names, *edges) == expected


@pytest.mark.parametrize("seed", range(12))
def test_random_dag_is_recovered_up_to_its_equivalence_class(seed):
    rng = np.random.default_rng(seed)
    dag = np.triu(rng.random((6, 6)) < 0.4, k=1)
    order = rng.permutation(6)
    dag = dag[np.ix_(order, order)]
    weights = dag * rng.uniform(0.5, 1.0, size=(6, 6))
    data = exact_data(weights, rows=20_000, seed=seed)
    assert pc(data, [f"v{i}" for i in range(6)], alpha=0.001).graph == cpdag_of(dag)


def test_independent_columns_give_about_alpha_edges():
    edges = sum(pc(RNG.normal(size=(300, 10)), "abcdefghij", alpha=0.01).graph.n_edges for _ in range(10))
    assert edges <= 15  # 4.5 expected of 450 pairs; each further test only removes edges


def test_skeleton_does_not_depend_on_column_order():
    data = RNG.normal(size=(120, 7)) @ RNG.normal(size=(7, 7))
    names = tuple("abcdefg")
    first = pc(data, names).graph
    for _ in range(5):
        order = RNG.permutation(7)
        moved = pc(data[:, order], [names[k] for k in order]).graph.reordered(names)
        assert np.array_equal(moved.adjacency(), first.adjacency())


def test_marks_are_causal_learns_on_real_answers(paper_data):
    from causallearn.search.ConstraintBased.PC import pc as theirs

    table = pl.read_csv(paper_data / "gemma" / "answers_test.csv", infer_schema=False)
    names = [c for c in table.columns[2:] if not c.endswith(":scstd") and c not in ("stds", "scstds")]
    data = table.select(names).cast(pl.Float64).to_numpy()
    ours = pc(data, names)
    reference = theirs(data, 0.05, show_progress=False)
    arrows = {(names[i], names[j]) for i, j in reference.find_fully_directed()}
    lines = {frozenset((names[i], names[j])) for i, j in reference.find_undirected()}
    assert {(names[i], names[j]) for i, j in ours.graph.directed_edges()} == arrows
    assert {frozenset((names[i], names[j])) for i, j in ours.graph.undirected_edges()} == lines
    assert arrows
    assert lines


def test_constant_columns_are_named_and_in_no_edge():
    data = RNG.normal(size=(50, 4))
    data[:, 1] = 0.1
    data[:, 3] = 0.3
    data[::2, 3] = 0.1 + 0.2  # differs from 0.3 by rounding only
    result = pc(data, "abcd")
    assert result.constant == ("b", "d")
    assert result.graph.names == ("a", "c")
    assert constant_columns(data).tolist() == [False, True, False, True]


def test_one_varying_column_gives_an_empty_graph():
    data = np.c_[np.ones(9), np.arange(9.0)]
    assert pc(data, "ab").graph == CausalGraph.empty("b")


@pytest.mark.parametrize("combine", [lambda x: x[:, 0], lambda x: -2 * x[:, 1], lambda x: x[:, 0] - x[:, 1]])
def test_collinear_columns_are_a_named_failure(combine):
    data = RNG.normal(size=(60, 3))
    with pytest.raises(RunError, match=r"collinear columns: .*d"):
        pc(np.c_[data, combine(data)], "abcd")


def test_more_columns_than_rows_are_no_collinearity():
    result = pc(RNG.normal(size=(12, 14)), [f"v{i}" for i in range(14)], alpha=0.01)
    assert len(result.graph.names) == 14


def test_few_rows_end_conditioning_without_an_error():
    # With n rows a test given n − 3 columns has no freedom left and calls everything independent.
    common = RNG.normal(size=(6, 1))
    result = pc(common + 1e-4 * RNG.normal(size=(6, 8)), "abcdefgh", alpha=0.99)
    assert len(result.graph.names) == 8


def test_failure_inside_causal_learn_is_a_run_error(monkeypatch):
    import causallearn.search.ConstraintBased.PC as module

    def singular(*args, **kwargs):
        raise ValueError("Data correlation matrix is singular.")

    monkeypatch.setattr(module, "pc", singular)
    with pytest.raises(RunError, match="matrix is singular"):
        pc_causal_learn(RNG.normal(size=(20, 3)), "abc")


@pytest.mark.parametrize("engine", [pc, pc_causal_learn])
def test_singular_submatrix_with_fewer_rows_than_columns_is_named(engine):
    # No pair is equal and the rank of 40 columns says nothing in 20 rows; but a, b and a + b are tested.
    rng = np.random.default_rng(2)
    a, b = np.zeros((2, 20))
    a[:5], b[5:10] = 1, 1
    data = np.c_[a, b, a + b, rng.normal(size=(20, 37))]
    with pytest.raises(RunError, match="collinear"):
        engine(data, [f"v{i}" for i in range(40)], alpha=0.5)


@pytest.mark.parametrize(
    ("data", "names", "alpha", "says"),
    [
        (np.ones((9, 2)), "ab", 0.0, "alpha"),
        (np.ones((9, 2)), "ab", 1.0, "alpha"),
        (np.ones((9, 2)), "abc", 0.05, "shape"),
        (np.ones((4, 2)), "ab", 0.05, "at least 5 roles"),
        (np.array([[1.0, np.nan]] * 9), "ab", 0.05, "in b"),
        (np.array([[np.inf, 1.0]] * 9), "ab", 0.05, "in a"),
    ],
)
def test_bad_input_is_named(data, names, alpha, says):
    with pytest.raises(InputError, match=says):
        pc(data, names, alpha)


def test_n_is_what_a_test_counts_not_the_rows():
    data = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 3))
    repeated = np.tile(data, (11, 1))  # the same correlations from eleven times the rows
    assert pc(repeated, "abc", n=60).graph == pc(data, "abc").graph
    weak = exact_data(weights_of("ab", "ab", weight=0.12), rows=100)  # r = 0.12: z = 1.19 at 100, 3.8 at 1000
    assert pc(weak, "ab").graph.n_edges == 0
    assert pc(np.tile(weak, (10, 1)), "ab").graph.n_edges == 1
    assert pc(np.tile(weak, (10, 1)), "ab", n=100).graph.n_edges == 0


@pytest.mark.parametrize("engine", [pc, pc_causal_learn])
def test_a_given_correlation_takes_the_place_of_the_datas(engine):
    chain = exact_data(weights_of("abc", "ab", "bc"), rows=200)
    noise = RNG.normal(size=(300, 3))
    found = engine(noise, "abc", n=200, correlation=np.corrcoef(chain.T)).graph
    assert found == CausalGraph.from_edges("abc", [], [("a", "b"), ("b", "c")])


def test_nan_on_the_diagonal_excludes_a_column():
    matrix = np.eye(3)
    matrix[1] = matrix[:, 1] = np.nan
    result = pc(RNG.normal(size=(50, 3)), "abc", correlation=matrix)
    assert result.constant == ("b",)
    assert result.graph.names == ("a", "c")


@pytest.mark.parametrize(
    ("matrix", "error", "says"),
    [
        (np.eye(2), InputError, r"shape \(3, 3\)"),
        (np.array([[1, 0.5, 0], [0.4, 1, 0], [0, 0, 1]]), InputError, "symmetric"),
        (np.array([[1, 2, 0], [2, 1, 0], [0, 0, 1.0]]), InputError, "within ±1"),
        (np.array([[1, np.nan, 0], [np.nan, 1, 0], [0, 0, 1.0]]), RunError, "none for a and b"),
    ],
)
def test_correlations_that_are_none(matrix, error, says):
    with pytest.raises(error, match=says):
        pc(RNG.normal(size=(50, 3)), "abc", correlation=matrix)


def test_n_cannot_exceed_the_rows():
    with pytest.raises(InputError, match="no more than the 50 rows"):
        pc(RNG.normal(size=(50, 3)), "abc", n=51)


def test_surrogate_rows_have_exactly_the_correlation():
    matrix = np.corrcoef(RNG.normal(size=(30, 5)).T)
    rows = surrogate(matrix, 7)
    assert rows.shape == (7, 5)
    assert np.allclose(np.corrcoef(rows.T), matrix, rtol=0, atol=1e-13)
    assert np.array_equal(rows, surrogate(matrix, 7))
    with pytest.raises(RunError, match="more rows than the 5 values"):
        surrogate(matrix, 5)
    with pytest.raises(RunError, match="positive definite"):
        surrogate(np.array([[1, 1], [1, 1.0]]), 10)

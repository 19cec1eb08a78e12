import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.paper.answers import read_answers
from axiograph.discovery.paper.procedures import (
    closure,
    directed_edges,
    feature_changes,
    role_changes,
    steering_counts,
    table1,
    table2_rows,
    transitive_reduction,
)
from axiograph.engine.errors import InputError

TEXT = """steer_dim,player_name,b,b:scstd,a,a:scstd,stds
,,0.5,-1,0.0,-1,1
,Ann,0.5,-1,0.0,-1,1
,Bob,0.25,-1,1.0,-1,1
7.0,,0.5,-1,0.5,-1,1
7.0,Ann,1.0,-1,-0.5,-1,1
9,Bob,0.25,-1,1.0,-1,1
"""


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(TEXT)
    return read_answers(path)


def test_reading_ignores_deviations_and_keeps_empty_keys(answers):
    assert answers.values == ("b", "a")
    assert answers.feature == (None, None, None, 7, 7, 9)
    assert answers.role == (None, "Ann", "Bob", None, "Ann", "Bob")
    assert answers.features() == [7, 9]
    assert answers.pooled([9]).tolist() == [[0.5, 0.0], [0.5, 0.0], [0.25, 1.0], [0.25, 1.0]]
    assert answers.reordered(("a", "b")).scores[4].tolist() == [-0.5, 1.0]


def test_table1_counts_roles_that_have_both_rows(answers):
    assert table1(answers, answers, [7, 9]) == {
        7: ["1/0/1/1/0/1", "1/1/0/1/1/0"],
        9: ["0/0/1/0/0/1", "0/0/1/0/0/1"],
    }


def test_steering_comparison_sums_over_values(answers):
    assert steering_counts(answers, answers, {"a": 7, "b": 7}) == {"up": 2, "down": 1, "same": 1}
    assert steering_counts(answers, answers, {"a": None}) == {"up": 0, "down": 0, "same": 3}


def test_changes_by_roles_and_by_features(answers):
    assert role_changes(answers).tolist() == [[0.0, 0.0], [-0.25, 1.0]]  # without the no-role row
    assert feature_changes(answers, "Ann", [7, 9]).tolist() == [[0.5, -0.5]]
    assert feature_changes(answers, "Eve", [7]) is None


def test_table2_hand_worked():
    # 0 → 1; values 0 and 1 changed in row 0, 0 and 2 in row 1; nothing ever changed 3.
    changes = np.array([[1.0, 1e-14, 0, 0], [-1, 0, 0.5, 0]])
    rows = table2_rows(changes, closure([(0, 1)], 4))
    assert rows["expected"] == [0.5, None, None, None]
    assert rows["unexpected"] == [0.25, 1 / 3, 1 / 3, None]


def test_undirected_and_bidirected_edges_become_both_directions():
    graph = CausalGraph.from_edges("abcd", [("c", "a")], [("a", "b")], [("c", "d")])
    assert directed_edges(graph) == [(0, 1), (1, 0), (2, 0), (2, 3), (3, 2)]


def test_reduction_drops_the_shortcut():
    assert transitive_reduction([(0, 1), (0, 2), (1, 2)], 3) == [(0, 1), (1, 2)]


def test_reduction_of_a_two_way_pair_keeps_both():
    assert sorted(transitive_reduction([(0, 1), (1, 0)], 2)) == [(0, 1), (1, 0)]


@given(
    st.integers(2, 6).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))
    )
)
def test_reduction_keeps_reachability_and_no_edge_to_spare(case):
    n, pairs = case
    edges = [(i, j) for i, j in sorted(pairs) if i != j]
    reduced = transitive_reduction(edges, n)
    assert set(reduced) <= set(edges)
    whole = closure(edges, n)
    assert np.array_equal(closure(reduced, n), whole)
    for edge in reduced:
        assert not np.array_equal(closure([e for e in reduced if e != edge], n), whole)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("player_name,a\nx,1\n", "no steer_dim"),
        ("steer_dim,player_name,a:scstd\n,x,1\n", "no value column"),
        ("steer_dim,player_name,a\n1.5,x,1\n", "line 2: .*'1.5'"),
        ("steer_dim,player_name,a\nhappy,x,1\n", "'happy'"),
        ("steer_dim,player_name,a\n,x,1\n,x,0\n", "line 3: .*again"),
        ("steer_dim,player_name,a\n,x,1\n,y,\n", "line 3, column 'a': .*None"),
        ("steer_dim,player_name,a\n,x,high\n", "'high'"),
        ("steer_dim,player_name,a\n,x,nan\n", "'nan'"),
        ("", "CSV table"),
    ],
)
def test_bad_answer_files_are_named(tmp_path, text, says):
    path = tmp_path / "answers.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_answers(path)


def test_missing_file_and_other_values(tmp_path, answers):
    with pytest.raises(InputError, match=r"none\.csv"):
        read_answers(tmp_path / "none.csv")
    with pytest.raises(InputError, match="a, c"):
        answers.reordered(("b", "c"))

import json
import shutil

import numpy as np
import pytest

from axiograph.discovery.graph.export import load_graph
from axiograph.discovery.paper.published_tables import compare_edges, compare_tables
from axiograph.discovery.paper.replication import replicate
from axiograph.engine.errors import InputError

FEATURES = [14351, 1025, 2965, 10096, 1341, 1975, 10605, 14049, 1312, 4752]


@pytest.fixture(scope="module")
def gemma(paper_data):
    return paper_data / "gemma"


@pytest.fixture(scope="module")
def result(gemma, tmp_path_factory):
    out = tmp_path_factory.mktemp("replication")
    return replicate(gemma, FEATURES, out), out


def test_every_published_cell_is_reproduced(result):
    found, _ = result
    cells = {artefact.name: (artefact.equal, artefact.total) for artefact in found.artefacts}
    assert cells == {
        "graph": (28, 28),
        "Table 1": (170, 170),
        "Table 2": (136, 136),
        "steering comparison": (12, 12),
    }
    assert found.ok
    assert found.notes == []
    assert "Table 2              136/136 cells equal" in found.summary()


def test_written_tables_are_the_published_ones(result, gemma):
    found, out = result
    assert [r.split(",") for r in (out / "table1.csv").read_text().splitlines()] == [
        [cell.removesuffix(".0") if k == 0 else cell for k, cell in enumerate(row.split(","))]
        for row in (gemma / "expected_table1.csv").read_text().splitlines()
    ]
    assert (out / "table2.csv").read_text() == (gemma / "expected_table2.csv").read_text()
    assert load_graph(out / "pooled_graph.json") == found.graph
    assert (out / "reduced_graph.png").is_file()
    published = json.loads((gemma / "expected_graph.json").read_text())["reduced_edges"]
    assert sorted(json.loads((out / "reduced_edges.json").read_text())) == sorted(published)


def test_order_of_features_does_not_matter(gemma, result):
    found = replicate(gemma, sorted(FEATURES, reverse=True))
    assert found.ok
    assert found.table1 == result[0].table1


def test_other_features_differ_and_say_so(gemma):
    found = replicate(gemma, FEATURES[:-1])
    assert not found.ok
    first = next(artefact for artefact in found.artefacts if artefact.name == "Table 1")
    assert (first.equal, first.total) == (153, 170)
    assert "4752, Achievement: expected 16/50/35/2/17/7, found not computed" in found.summary()


def test_all_steered_rows_without_a_choice(gemma):
    found = replicate(gemma)
    assert len(found.features) == 24
    assert any("compared with nothing" in note for note in found.notes)


def test_absent_role_is_said_not_guessed(gemma):
    found = replicate(gemma, FEATURES, role="Nobody")
    assert any("'Nobody' has no unsteered row" in note for note in found.notes)
    second = next(artefact for artefact in found.artefacts if artefact.name == "Table 2")
    assert (second.equal, second.total) == (68, 136)
    assert not any(name.startswith("mean_scorechange__sae") for name in found.table2)


def test_unknown_feature(gemma):
    with pytest.raises(InputError, match=r"answers_train\.csv, features: .*\[5\]"):
        replicate(gemma, [14351, 5])


def write_study(folder, seed=0, roles=30):
    """Another model's folder: other values, features and numbers of roles, no expected file."""
    rng = np.random.default_rng(seed)
    for name in ("train", "test"):
        lines = ["steer_dim,player_name,x,y,z"]
        for feature in ("", "11", "12"):
            for k in range(roles):
                if (feature, k) == ("12", 3):
                    continue  # a row that is missing leaves out its role only
                x, noise, z = rng.integers(-3, 4, size=3) / 3
                lines.append(f"{feature},{f'p{k}' if k else ''},{x},{(x + noise) / 2},{z}")
        (folder / f"answers_{name}.csv").write_text("\n".join(lines) + "\n")


def test_another_model_without_expected_files(tmp_path):
    write_study(tmp_path)
    found = replicate(tmp_path, role="p4", out=tmp_path / "out")
    assert found.features == (11, 12)
    assert found.artefacts == []
    assert found.ok
    assert any("no expected_* file" in note for note in found.notes)
    assert set(found.table2) == {
        f"mean_scorechange__{s}_ours_{k}" for s in ("prompt", "sae") for k in ("expected", "unexpected")
    }
    train_counts = found.table1["12"]["x"].split("/")[:3]
    assert sum(map(int, train_counts)) == 29  # the role without a steered row is in no count
    assert found.steering is None
    assert not (tmp_path / "out" / "steering_comparison.json").exists()


def test_missing_answers(tmp_path):
    with pytest.raises(InputError, match=r"answers_train\.csv"):
        replicate(tmp_path)
    write_study(tmp_path)
    (tmp_path / "answers_test.csv").unlink()
    with pytest.raises(InputError, match=r"answers_test\.csv"):
        replicate(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("expected_graph.json", "{", "a JSON file"),
        ("expected_graph.json", "{}", "reduced_edges"),
        ("expected_graph.json", '{"reduced_edges": [], "human_reference_edges": [["x", "q"]]}', r"\['q'\]"),
        ("expected_steering_comparison.json", '{"features": 3}', "features"),
        ("expected_steering_comparison.json", '{"features": {"positive": {"x": 99}}}', "99"),
        (
            "expected_steering_comparison.json",
            '{"features": {"positive": {"x": 11}}}',
            r"compare_positive\.csv",
        ),
        ("expected_table1.csv", ",x\nhappy,1\n", "line 2"),
        ("expected_table2.csv", ",x\nrow,one\n", "line 2"),
        ("expected_table2.csv", ",x,y\nrow,1\n", "line 2"),
    ],
)
def test_malformed_expected_files_are_named(tmp_path, name, text, says):
    write_study(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        replicate(tmp_path)


def test_one_changed_cell_is_found(gemma, tmp_path):
    folder = shutil.copytree(gemma, tmp_path / "gemma", ignore=shutil.ignore_patterns("*wide*"))
    path = folder / "expected_table2.csv"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("0.5952380952380952", "0.5952380952380953", 1))
    found = replicate(folder, FEATURES)
    second = next(artefact for artefact in found.artefacts if artefact.name == "Table 2")
    assert (second.equal, second.total) == (135, 136)
    assert second.max_difference == pytest.approx(1.1e-16, rel=0.1)
    assert not found.ok


def test_empty_cells_equal_only_empty_cells():
    expected = {"r": {"a": None, "b": 0.0, "c": None}}
    found = compare_tables("t", expected, {"r": {"a": None, "b": None, "c": 0.0}})
    assert (found.equal, found.total) == (1, 3)
    assert compare_tables("t", expected, {}).equal == 0


def test_edges_are_compared_as_sets():
    found = compare_edges([("a", "b"), ("b", "c")], [("b", "c"), ("c", "a")])
    assert (found.equal, found.total) == (1, 3)

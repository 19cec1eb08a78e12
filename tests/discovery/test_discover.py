import json

import numpy as np
import polars as pl
import pytest

from discovery.discover import discover, estimated_seconds, load_graph
from discovery.graph import CausalGraph
from discovery.packed import PackedGraphs
from engine.errors import InputError, RunError


def profiles(data: np.ndarray, names, copies: int = 1) -> pl.DataFrame:
    roles = [f"r{k}" for k in range(len(data) // copies)] * copies
    return pl.DataFrame({"role": roles} | {n: data[:, k] for k, n in enumerate(names)}).with_columns(
        condition=pl.lit("baseline"), split=pl.lit("train")
    )


def collider(rows: int = 80) -> np.ndarray:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, rows))
    return np.c_[a, b, a + b + 0.5 * rng.normal(size=rows), np.ones(rows)]


@pytest.fixture(scope="module")
def wide(paper_data) -> pl.DataFrame:
    path = paper_data / "gemma" / "answers_wide_400x359.csv"
    table = pl.read_csv(path, infer_schema=False).cast(pl.Float64)
    return table.with_columns(role=pl.int_range(pl.len()).cast(pl.String))


def test_collider_from_profiles():
    found = discover(profiles(collider(), "abcd"), replicates=20, null_replicates=2, alpha=0.01)
    expected = CausalGraph.from_edges("abc", [("a", "c"), ("b", "c")])
    assert found.graph == expected
    assert found.consensus == expected
    assert found.excluded == {"d": "the same for every role"}
    assert found.n_roles == 80
    assert found.bootstrap.rows == 40


def test_summary_says_what_was_left_out():
    table = profiles(collider(), "abcd").with_columns(
        e=pl.when(pl.col("role") == "r7").then(0.5),
        b=pl.when(pl.col("role") != "r9").then("b"),
    )
    found = discover(table, replicates=10, null_replicates=0, alpha=0.01)
    text = found.summary()
    assert "79 roles, 3 values, alpha 0.01: 2 edges; 10 of 10 replicates used" in text
    assert "a · c" in text
    assert "→" in text
    assert "values left out (1), null for more than 20 % of roles: e" in text
    assert "values left out (1), the same for every role: d" in text
    assert "roles left out for missing scores: r9" in text


def test_saved_files_read_back(tmp_path):
    found = discover(profiles(collider(), "abcd"), replicates=10, null_replicates=1, alpha=0.01)
    paths = found.save(tmp_path / "out")
    assert all(path.is_file() for path in paths)
    assert load_graph(tmp_path / "out" / "graph.json") == found.graph
    assert load_graph(tmp_path / "out" / "consensus.json") == found.consensus
    assert load_graph(tmp_path / "out" / "averaged.json") == found.averaged
    assert pl.read_parquet(tmp_path / "out" / "edges.parquet").height == 3
    assert pl.read_parquet(tmp_path / "out" / "ancestors.parquet").height == 6
    kept = PackedGraphs.load(tmp_path / "out" / "replicates.npz")
    assert [kept.graph(r) for r in range(10)] == [found.bootstrap.graphs.graph(r) for r in range(10)]
    document = json.loads((tmp_path / "out" / "discovery.json").read_text())
    assert document["replicates"] == {"asked": 10, "used": 10, "failed": {}}
    assert document["inflation"]["full"] == 2
    assert document["excluded_values"] == {"d": "the same for every role"}


def test_graph_without_edges_is_said():
    data = np.random.default_rng(0).normal(size=(40, 2))
    found = discover(profiles(data, "ab"), replicates=3, null_replicates=0, alpha=1e-6)
    assert "no edge in either graph" in found.summary()


@pytest.mark.parametrize(
    ("table", "settings", "error", "says"),
    [
        (profiles(np.tile(collider(), (2, 1)), "abcd", copies=2), {}, InputError, "one row per role"),
        (profiles(np.ones((20, 2)), "ab"), {}, InputError, "two values that vary"),
        (profiles(collider(8), "abcd"), {}, InputError, "at least 5 roles in a replicate"),
        (profiles(collider(), "abcd"), {"alpha": 1.5}, InputError, "alpha"),
        (profiles(collider(), "abcd"), {"threshold": 1.5}, InputError, "threshold"),
        (profiles(np.c_[collider(), collider()[:, :1]], "abcde"), {}, RunError, "collinear columns: a, e"),
    ],
)  # fmt: skip
def test_bad_profiles_are_named(table, settings, error, says):
    with pytest.raises(error, match=says):
        discover(table, replicates=2, **settings)


def test_first_values_of_the_wide_table(wide):
    names = [n for n in wide.columns if n != "role"]
    constant = [n for n in names if wide[n].n_unique() == 1]
    varying = [n for n in names if n not in constant][:25]
    found = discover(wide.select("role", *constant[:6], *varying), replicates=4, null_replicates=1)
    assert sorted(found.excluded) == sorted(constant[:6])
    assert found.graph.names == tuple(varying)
    assert found.bootstrap.used == 4
    assert found.graph.n_edges > 10


def test_whole_wide_table_with_its_63_constant_columns(wide):
    found = discover(wide, replicates=20, null_replicates=2, n_jobs=2)
    assert len(found.excluded) == 63
    assert len(found.graph.names) == 296
    assert "values left out (63), the same for every role: " in found.summary()
    assert found.bootstrap.constant
    # In half of the roles two rarely affirmed values can be equal: such a replicate is counted as failed.
    assert found.bootstrap.used + sum(found.bootstrap.failed.values()) == 20
    assert all(reason.startswith("collinear columns") for reason in found.bootstrap.failed)
    assert found.bootstrap.used > 10
    assert found.graph.n_edges == 631
    assert found.borderline == 0


def test_slow_work_is_announced_before_it_starts(wide):
    class StopError(Exception):
        pass

    def notify(text: str) -> None:
        raise StopError(text)

    with pytest.raises(StopError, match=r"PC on 296 values: up to 0 seconds a run .* up to \d+ minutes"):
        discover(wide, replicates=10_000, notify=notify)
    discover(profiles(collider(), "abcd"), replicates=2, null_replicates=0, notify=notify)
    assert estimated_seconds(100) == pytest.approx(0.006, rel=0.2)

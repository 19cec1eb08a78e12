"""The graph that effects are tested against belongs to the run's present profiles."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from axiograph.cluster.stages.effects import check_fresh, replicates_of, training_rows, value_graph
from axiograph.discovery.discover import discover
from axiograph.discovery.matrix.profiles import profiles_digest
from axiograph.engine.errors import InputError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.study.schema import DiscoverySpec


def made_profiles(seed: int = 0) -> pl.DataFrame:
    """40 roles, 30 of them for training, under the baseline and one condition."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=80)
    return pl.DataFrame(
        {
            "role": [f"r{i % 40:02}" for i in range(80)],
            "condition": ["baseline"] * 40 + ["x"] * 40,
            "split": ["train" if i % 40 < 30 else "test" for i in range(80)],
            "A": a,
            "B": a + 0.5 * rng.normal(size=80),
        }
    )


@pytest.fixture
def run(tmp_path):
    directory = RunDir(tmp_path / "run")
    found = discover(
        training_rows(made_profiles(), pooled=False), DiscoverySpec(replicates=5), null_replicates=0
    )
    found.save(directory.graph)
    return directory


def test_a_graph_of_the_present_profiles_is_used_with_its_replicates(run):
    path = run.graph / "graph.json"
    check_fresh(run, path, made_profiles().reverse())
    assert value_graph(path).names == ("A", "B")
    assert len(replicates_of(path)) == 5
    assert len(replicates_of(run.graph / "all_roles.json")) == 5


def changed(what: str) -> pl.DataFrame:
    table = made_profiles()
    if what == "split":
        moved = {"r00": "test", "r39": "train"}
        split = pl.col("role").replace_strict(moved, default=pl.col("split"))
        return table.with_columns(split=split)
    if what == "score":
        return table.with_columns(A=pl.when(pl.col("role") == "r03").then(None).otherwise(pl.col("A")))
    return table.rename({"A": "C"})


@pytest.mark.parametrize("what", ["split", "score", "name"])
def test_a_graph_of_other_profiles_is_refused(run, what):
    with pytest.raises(InputError, match="axiograph discover"):
        check_fresh(run, run.graph / "graph.json", changed(what))


def test_what_the_graph_does_not_rest_on_may_change(run):
    table = made_profiles()
    tested = (pl.col("split") == "test") | (pl.col("condition") != "baseline")
    check_fresh(run, run.graph / "graph.json", table.with_columns(A=pl.when(tested).then(0.0).otherwise("A")))


def test_a_graph_from_elsewhere_is_taken_as_it_is(run, tmp_path):
    other = tmp_path / "human.json"
    other.write_text((run.graph / "graph.json").read_text())
    check_fresh(run, other, changed("split"))
    assert replicates_of(other) is None
    # Also one beside the run's own: its replicates are not those of a graph with another name.
    beside = run.graph / "human.json"
    beside.write_text(other.read_text())
    check_fresh(run, beside, changed("split"))
    assert replicates_of(beside) is None


def test_digest_sees_every_part_of_the_table():
    table = made_profiles()
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1)
    assert profiles_digest(table) == profiles_digest(shuffled)
    others = [
        table.with_columns(role=pl.lit("s") + pl.col("role")),
        table.with_columns(condition=pl.col("condition").replace("x", "y")),
        table.rename({"A": "C"}),
        table.with_columns(A=pl.col("A") + 1e-9),
        table.with_columns(A=pl.when(pl.col("role") == "r01").then(None).otherwise(pl.col("A"))),
        table.head(79),
    ]
    digests = [profiles_digest(t) for t in (table, *others)]
    assert len(set(digests)) == len(digests)

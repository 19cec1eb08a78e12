import json

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from axiograph.discovery.discover import discover
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.export import load_graph
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import AlgorithmSpec, DiscoverySpec, KnowledgeSpec
from axiograph.texts.discovery import discovery_text


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
    found = discover(
        profiles(collider(), "abcd"), DiscoverySpec(replicates=20, alpha=0.01), null_replicates=2
    )
    expected = CausalGraph.from_edges("abc", [("a", "c"), ("b", "c")])
    assert found.all_roles == expected
    assert found.graph == expected
    assert found.profiles.excluded == {"d": "the same for every role"}
    assert found.profiles.n_roles == 80
    assert found.bootstrap.replicates.rows == 40


def test_summary_says_what_was_left_out():
    table = profiles(collider(), "abcd").with_columns(
        e=pl.when(pl.col("role") == "r7").then(0.5),
        b=pl.when(pl.col("role") != "r9").then("b"),
    )
    spec = DiscoverySpec(algorithm="pc", replicates=10, alpha=0.01, missing="listwise")
    found = discover(table, spec, null_replicates=0)
    text = discovery_text(found)
    assert "79 roles, 3 values, alpha 0.01: 2 edges in 40% of the replicates" in text
    assert "a → c" in text
    assert "→" in text
    assert "values left out (1), null for more than 20 % of roles: e" in text
    assert "values left out (1), the same for every role: d" in text
    assert "roles left out for missing scores (1): r9" in text


def test_saved_files_read_back(tmp_path):
    found = discover(
        profiles(collider(), "abcd"),
        DiscoverySpec(replicates=10, alpha=0.01),
        null_replicates=1,
    )
    paths = found.save(tmp_path / "out")
    assert all(path.is_file() for path in paths)
    assert load_graph(tmp_path / "out" / "all_roles.json") == found.all_roles
    assert load_graph(tmp_path / "out" / "graph.json") == found.graph
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
    found = discover(profiles(data, "ab"), DiscoverySpec(replicates=3, alpha=1e-6), null_replicates=0)
    assert "no edge in the graph" in discovery_text(found)


@pytest.mark.parametrize(
    ("table", "settings", "error", "says"),
    [
        (profiles(np.tile(collider(), (2, 1)), "abcd", copies=2), {}, InputError, "one row per role"),
        (profiles(np.ones((20, 2)), "ab"), {}, InputError, "two values that vary"),
        (profiles(collider(8), "abcd"), {}, InputError, "at least 5 roles in a replicate"),
        (profiles(collider(), "abcd"), {"alpha": 1.5}, ValidationError, "alpha"),
        (profiles(collider(), "abcd"), {"threshold": 1.5}, ValidationError, "threshold"),
        (profiles(np.c_[collider(), collider()[:, :1]], "abcde"), {}, RunError, "collinear columns: a, e"),
    ],
)  # fmt: skip
def test_bad_profiles_are_named(table, settings, error, says):
    with pytest.raises(error, match=says):
        discover(table, DiscoverySpec(**{"replicates": 2} | settings))


def test_first_values_of_the_wide_table(wide):
    names = [n for n in wide.columns if n != "role"]
    constant = [n for n in names if wide[n].n_unique() == 1]
    varying = [n for n in names if n not in constant][:25]
    found = discover(
        wide.select("role", *constant[:6], *varying), DiscoverySpec(replicates=4), null_replicates=1
    )
    assert sorted(found.profiles.excluded) == sorted(constant[:6])
    assert found.all_roles.names == tuple(varying)
    assert found.bootstrap.replicates.used == 4
    assert found.all_roles.n_edges > 10


def test_whole_wide_table_with_its_63_constant_columns(wide):
    found = discover(wide, DiscoverySpec(algorithm="pc", replicates=20), null_replicates=2, jobs=2)
    assert len(found.profiles.excluded) == 63
    assert len(found.all_roles.names) == 296
    assert "values left out (63), the same for every role: " in discovery_text(found)
    assert found.bootstrap.replicates.constant
    # In half of the roles two rarely affirmed values can be equal: such a replicate is counted as failed.
    assert found.bootstrap.replicates.used + sum(found.bootstrap.replicates.failed.values()) == 20
    assert all(reason.startswith("collinear columns") for reason in found.bootstrap.replicates.failed)
    assert found.bootstrap.replicates.used > 10
    assert found.all_roles.n_edges == 631
    assert found.borderline == 0


def test_slow_work_is_announced_before_it_starts(wide):
    class StopError(Exception):
        pass

    def notify(text: str) -> None:
        raise StopError(text)

    says = r"PC, Fisher-z tests on 296 values: up to 0 seconds a run .* up to \d+ minutes"
    with pytest.raises(StopError, match=says):
        discover(wide, DiscoverySpec(algorithm="pc", replicates=10_000), notify=notify)
    discover(profiles(collider(), "abcd"), DiscoverySpec(replicates=2), null_replicates=0, notify=notify)


def steered_rows(roles: int = 60, effect: float = 0.6, seed: int = 4) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Profiles of three values under a baseline and four strengths of one direction that raises `a`, which
    raises `c`; and the indicators."""
    rng = np.random.default_rng(seed)
    person = rng.normal(size=(roles, 3))
    tables, strengths = [], [0.0, -2.0, -1.0, 1.0, 2.0]
    for strength in strengths:
        a = person[:, 0] + effect * strength
        b = person[:, 1]
        c = 0.8 * a + 0.5 * person[:, 2]
        name = "baseline" if strength == 0 else f"f1:{strength:+g}"
        tables.append(profiles(np.c_[a, b, c], "abc").with_columns(condition=pl.lit(name)))
    names = ["baseline", *(f"f1:{strength:+g}" for strength in strengths[1:])]
    return pl.concat(tables), pl.DataFrame({"condition": names, "steering f1": strengths})


def test_pooled_rows_make_steering_a_cause_and_direct_the_edges():
    table, indicators = steered_rows()
    baseline = discover(
        table.filter(pl.col("condition") == "baseline"), DiscoverySpec(replicates=100), null_replicates=0
    )
    assert baseline.graph == CausalGraph.from_edges("abc", [], [("a", "c")])  # which way, nothing says
    found = discover(
        table, DiscoverySpec(replicates=100, rows="pooled"), null_replicates=2, indicators=indicators
    )
    expected = CausalGraph.from_edges(("a", "b", "c", "steering f1"), [("steering f1", "a"), ("a", "c")])
    assert found.all_roles == expected
    assert found.graph == expected
    assert (found.profiles.n_roles, found.profiles.n_rows, found.bootstrap.replicates.rows) == (60, 300, 30)
    assert "60 roles (300 rows, counted as 60), 3 values and 1 indicators" in discovery_text(found)
    assert found.document()["indicators"] == ["steering f1"]


def test_pooling_does_not_multiply_the_evidence():
    # Nothing steers and every role answers alike in eleven conditions: the graph is that of the roles.
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4))
    names = ["baseline", *(f"f{k}:+1" for k in range(10))]
    table = pl.concat([profiles(data, "abcd").with_columns(condition=pl.lit(name)) for name in names])
    design = np.eye(11)[:, 1:]
    indicators = pl.DataFrame({"condition": names} | {f"steering f{k}": design[:, k] for k in range(10)})
    pooled = discover(
        table, DiscoverySpec(replicates=5, rows="pooled"), null_replicates=0, indicators=indicators
    ).graph
    alone = discover(profiles(data, "abcd"), DiscoverySpec(replicates=5), null_replicates=0).graph
    kept = [pooled.names.index(name) for name in "abcd"]
    assert np.array_equal(pooled.marks[np.ix_(kept, kept)], alone.marks)
    assert pooled.n_edges == alone.n_edges


def parts_of(data: np.ndarray, names: str) -> pl.DataFrame:
    """Item scores [roles, values, items] as a table."""
    roles, values, items = data.shape
    rows = [
        (f"r{r}", "baseline", names[v], f"{names[v]}{k}", data[r, v, k])
        for r in range(roles)
        for v in range(values)
        for k in range(items)
    ]
    return pl.DataFrame(rows, schema=["role", "condition", "value", "part", "score"], orient="row")


def test_correction_for_measurement_error():
    rng = np.random.default_rng(1)
    a = rng.normal(size=1500)
    b = 0.9 * a + 0.4 * rng.normal(size=1500)
    c = 0.9 * b + 0.4 * rng.normal(size=1500)
    items = np.c_[a, b, c][:, :, None] + 1.2 * rng.normal(size=(1500, 3, 4))
    table = profiles(items.mean(axis=2), "abc")
    plain, corrected = (DiscoverySpec(replicates=10, alpha=0.01, correction=c) for c in ("none", "items"))
    assert (
        discover(table, plain, null_replicates=2).graph.n_edges == 3
    )  # a and c stay dependent given a noisy b
    found = discover(table, corrected, parts=parts_of(items, "abc"), jobs=2, null_replicates=2)
    assert found.all_roles == CausalGraph.from_edges("abc", [], [("a", "b"), ("b", "c")])
    assert found.graph.n_edges == 2
    assert not found.correction.projected
    assert found.correction.tested_roles < 1500
    assert set(found.correction.reliability) == set("abc")
    assert "corrected for measurement error, reliability 0." in discovery_text(found)
    assert found.document()["correction"]["projected_replicates"] == 0


def test_values_without_reliability_are_named():
    rng = np.random.default_rng(2)
    items = rng.normal(size=(200, 3, 1)) + 0.5 * rng.normal(size=(200, 3, 4))
    items[:, 2, 2:] = 0.01 * rng.normal(size=(200, 2)) - items[:, 2, :2]  # its items contradict each other
    found = discover(
        profiles(items.mean(axis=2), "abc"),
        DiscoverySpec(replicates=5, correction="items"),
        parts=parts_of(items, "abc"),
        null_replicates=0,
    )
    assert found.profiles.excluded == {"c": "reliability undefined or below 0.1"}
    assert found.correction.reliability["c"] is None


def with_gaps(data, share):
    """Profiles of a, b, c without some of their scores, and where these are."""
    gaps = np.random.default_rng(5).random(data.shape) < share
    table = profiles(data, "abc")
    return table.with_columns(
        pl.when(pl.Series(~gaps[:, k])).then(pl.col(name)).alias(name) for k, name in enumerate("abc")
    ), gaps


def test_pairwise_and_em_use_what_listwise_throws_away():
    table, gaps = with_gaps(collider(200)[:, :3], 0.1)
    listwise, pairwise, em = (
        discover(table, DiscoverySpec(replicates=20, alpha=0.01, missing=missing), null_replicates=2)
        for missing in ("listwise", "pairwise", "em")
    )
    assert listwise.profiles.n_roles == (~gaps.any(axis=1)).sum()
    truth = CausalGraph.from_edges("abc", [("a", "c"), ("b", "c")])
    for found in (pairwise, em):
        assert found.profiles.n_roles == (~gaps.all(axis=1)).sum()
        assert found.correction.tested_roles > listwise.profiles.n_roles
        assert found.graph == truth
        assert found.bootstrap.replicates.used == 20
    assert em.correction.tested_roles >= pairwise.correction.tested_roles
    assert not em.correction.projected
    assert "correlations over the roles that have both scores" in discovery_text(pairwise)
    assert "missing scores: correlations by EM" in discovery_text(em)
    for missing in ("pairwise", "em"):
        with pytest.raises(ValidationError, match="listwise' beside 'correction'"):
            DiscoverySpec(missing=missing, correction="items")


def test_em_is_what_happens_to_missing_scores_where_it_can():
    assert DiscoverySpec().missing == "em"
    assert DiscoverySpec(correction="items").missing == "listwise"
    assert DiscoverySpec(algorithm="pc_kci").missing == "listwise"
    assert DiscoverySpec(missing="pairwise").missing == "pairwise"
    data = collider()[:, :3]
    same = [
        discover(profiles(data, "abc"), DiscoverySpec(replicates=5, missing=missing), null_replicates=1)
        for missing in ("em", "listwise")
    ]
    assert same[0].graph == same[1].graph
    assert same[0].correction is None


def test_listwise_warns_where_it_costs_much():
    much, gaps = with_gaps(collider(200)[:, :3], 0.1)
    few, _ = with_gaps(collider(200)[:, :3], 0.01)
    texts = [
        discovery_text(discover(one, DiscoverySpec(replicates=5, missing="listwise"), null_replicates=0))
        for one in (much, few)
    ]
    count = int(gaps.any(axis=1).sum())
    assert f"roles left out for missing scores ({count}): " in texts[0]
    assert f" and {count - 5} more" in texts[0]
    assert f"costs {count} of 200 roles" in texts[0] and "`missing: em`" in texts[0]
    assert "Warning" not in texts[1]


def test_values_that_differ_by_rounding_are_constant_or_the_same():
    rng = np.random.default_rng(1)
    data = collider(60)[:, :3]
    noise = 1e-9 * rng.normal(size=(60, 2))
    data[:, 2] = 0.177 + noise[:, 0]
    found = discover(profiles(data, "abc"), DiscoverySpec(replicates=5), null_replicates=0)
    assert found.profiles.excluded == {"c": "the same for every role"}
    data[:, 2] = data[:, 0] + noise[:, 1]
    with pytest.raises(RunError, match="collinear columns: a, c"):
        discover(profiles(data, "abc"), DiscoverySpec(replicates=5), null_replicates=0)


def test_knowledge_of_an_excluded_value_is_no_error():
    table = profiles(collider(), "abcd").with_columns(e=pl.when(pl.col("role") == "r7").then(0.5))
    known = KnowledgeSpec(forbidden=(("a", "c"), ("e", "a"), ("d", "b")))
    found = discover(
        table, DiscoverySpec(algorithm="pc", replicates=5, alpha=0.01, knowledge=known), null_replicates=0
    )
    assert (0, 2) not in found.all_roles.directed_edges()
    with pytest.raises(InputError, match="nobody"):
        discover(table, DiscoverySpec(knowledge=KnowledgeSpec(forbidden=(("a", "nobody"),))))


def test_another_algorithm_keeps_its_marks_and_says_its_name(tmp_path):
    table = profiles(collider(), "abcd")
    found = discover(table, DiscoverySpec(algorithm="fci", replicates=6), null_replicates=1)
    assert found.all_roles.kind is GraphKind.PAG
    assert found.graph.kind is GraphKind.PAG
    assert found.profiles.excluded == {"d": "the same for every role"}
    text = discovery_text(found)
    assert "alpha 0.05: 2 edges" in text and "FCI, Fisher-z tests" in text
    assert "so marked" in text
    assert "o→" in text
    found.save(tmp_path)
    assert load_graph(tmp_path / "all_roles.json") == found.all_roles
    document = json.loads((tmp_path / "discovery.json").read_text())
    assert document["algorithm"] == "fci"
    best = discover(table, DiscoverySpec(algorithm="ges", replicates=6), null_replicates=1)
    assert best.graph == CausalGraph.from_edges("abc", [("a", "c"), ("b", "c")])
    assert "alpha is not used" in discovery_text(best)


def test_an_algorithm_refuses_what_it_cannot_do():
    known = KnowledgeSpec(forbidden=(("a", "c"),))
    for refused in ({"knowledge": known}, {"settings": AlgorithmSpec(levels=4)}):
        with pytest.raises(InputError, match=r"ges|GES"):
            discover(profiles(collider(), "abcd"), DiscoverySpec(algorithm="ges", replicates=2, **refused))


def test_settings_and_tables_belong_together():
    table = profiles(collider(), "abcd")
    for spec in (DiscoverySpec(rows="pooled"), DiscoverySpec(correction="items")):
        with pytest.raises(InputError, match="a run directory"):
            discover(table, spec)
    with pytest.raises(InputError, match="setting correction"):
        discover(table, parts=parts_of(np.zeros((80, 4, 2)), "abcd"))
    with pytest.raises(InputError, match="setting rows"):
        discover(table, indicators=pl.DataFrame({"condition": ["baseline"], "steering f1": [0.0]}))

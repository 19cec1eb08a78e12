import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.draws import Draws, resampled_means
from discovery.effects import (
    Relation,
    between_roles,
    effects,
    relations,
    response_shares,
    sign_counts,
)
from discovery.graph import CausalGraph
from engine.errors import InputError, RunError
from tests.discovery.test_graph import graphs

ABCD = CausalGraph.from_edges("abcd", [("a", "b")], [("b", "c")])


def profiles(conditions: dict[str, dict[str, list]], split: str = "test") -> pl.DataFrame:
    parts = []
    for condition, scores in conditions.items():
        height = len(next(iter(scores.values())))
        roles = [f"r{i:02}" if height > 10 else f"r{i}" for i in range(height)]  # in sorted order
        keys = {"role": roles, "condition": [condition] * height, "split": [split] * height}
        parts.append(pl.DataFrame(keys | scores, schema_overrides=dict.fromkeys(scores, pl.Float64)))
    return pl.concat(parts)


def provenance(table: pl.DataFrame, **changes: str) -> pl.DataFrame:
    row = {"backend": "hook", "dtype": "float32", "device": "cpu"} | changes
    return table.select("role", "condition").with_columns(**{k: pl.lit(v) for k, v in row.items()})


def hand_worked() -> pl.DataFrame:
    """Eight roles: steering raises a by 0.5 and lowers b by 0.25 everywhere, c goes up as often as down,
    d stays but for rounding."""
    zero = [0.0] * 8
    base = {"a": zero, "b": zero, "c": zero, "d": [0.1 + 0.2] * 8}
    steered = {"a": [0.5] * 8, "b": [-0.25] * 8, "c": [0.5, -0.5] * 4, "d": [0.3] * 8}
    return profiles({"baseline": base, "steered": steered})


def test_changes_hand_worked():
    table = hand_worked()
    found = effects(table, provenance(table), ABCD, replicates=999)
    rows = {row["value"]: row for row in found.changes.iter_rows(named=True)}
    assert [rows[v]["mean_difference"] for v in "abcd"] == [0.5, -0.25, 0.0, 0.0]
    assert [rows[v]["changed"] for v in "abcd"] == [True, True, False, False]
    assert [rows[v]["direction"] for v in "abcd"] == ["up", "down", None, None]
    assert [rows[v]["pairs"] for v in "abcd"] == [8] * 4
    # All 999 resampled means lie beyond 0: p = 2 / 1000, times 4 tests / rank 2.
    assert rows["a"]["p"] == pytest.approx(0.002)
    assert rows["a"]["p_adjusted"] == pytest.approx(0.004)
    assert rows["d"]["p"] == 1.0
    assert (rows["a"]["low"], rows["a"]["high"]) == (0.5, 0.5)
    assert (rows["b"]["adjusted_low"], rows["b"]["adjusted_high"]) == (-0.25, -0.25)
    assert rows["c"]["low"] < 0 < rows["c"]["high"]
    assert rows["c"]["adjusted_low"] is None
    assert not any(row["few_pairs"] for row in rows.values())


def test_responses_hand_worked():
    # a → b — c, d apart: when a changed, b is expected (and changed), c possible, d unexpected.
    table = hand_worked()
    responses = effects(table, provenance(table), ABCD, replicates=999).responses
    rows = {(r["value"], r["relation"]): r for r in responses.iter_rows(named=True)}
    assert {value for value, _ in rows} == {"a", "b"}
    got = {key: (r["n"], r["changed"], r["share"], r["reason"]) for key, r in rows.items()}
    assert got["a", "expected"] == (1, 1, 1.0, None)
    assert got["a", "possible"] == (1, 0, 0.0, None)
    assert got["a", "unexpected"] == (1, 0, 0.0, None)
    assert got["b", "expected"] == (0, 0, None, "no descendants")
    assert got["b", "possible"] == (1, 0, 0.0, None)
    assert got["b", "unexpected"] == (2, 1, 0.5, None)


def test_default_draws_let_the_smallest_p_pass():
    table = hand_worked()
    found = effects(table, provenance(table), ABCD)
    assert found.smallest_p < 0.05 / found.changes.height
    assert found.replicates == 2000


def test_nulls_take_a_pair_out_and_few_pairs_are_flagged():
    table = profiles(
        {
            "baseline": {"a": [0.0] * 8, "b": [0.0] * 8, "c": [0.0] * 8},
            "x": {"a": [1.0] * 5 + [None] * 3, "b": [1.0] + [None] * 7, "c": [1.0] * 6 + [None] * 2},
        }
    )
    rows = {
        row["value"]: row
        for row in effects(table, provenance(table), CausalGraph.empty("abc")).changes.iter_rows(named=True)
    }
    assert [rows[v]["pairs"] for v in "abc"] == [5, 1, 6]
    assert [rows[v]["few_pairs"] for v in "abc"] == [True, True, False]
    assert (rows["b"]["p"], rows["b"]["changed"], rows["b"]["low"]) == (None, None, None)
    assert rows["b"]["mean_difference"] == 1.0


def test_untested_others_are_not_counted():
    table = profiles(
        {
            "baseline": {"a": [0.0] * 8, "b": [0.0] * 8},
            "x": {"a": [1.0] * 8, "b": [None] * 8},
        }
    )
    graph = CausalGraph.from_edges("ab", [("a", "b")])
    responses = effects(table, provenance(table), graph).responses
    row = responses.filter(pl.col("relation") == "expected").row(0, named=True)
    assert (row["n"], row["share"], row["reason"]) == (0, None, "too few pairs in all of them")


def test_members_of_a_cycle_are_possible():
    graph = CausalGraph.from_edges("abc", [("a", "b"), ("b", "c"), ("c", "a")])
    table = profiles(
        {c: {v: [x] * 8 for v in "abc"} for c, x in (("baseline", 0.0), ("x", 1.0))},
    )
    found = effects(table, provenance(table), graph)
    assert found.cycles == [("a", "b", "c")]
    assert found.pairs["relation"].unique().to_list() == ["possible"]
    reasons = found.responses.filter(pl.col("relation") == "unexpected")["reason"].unique().to_list()
    assert reasons == ["every other value is a descendant or a possible one"]


def test_values_outside_the_graph_are_tested_but_have_no_relation():
    table = hand_worked()
    found = effects(table, provenance(table), CausalGraph.from_edges("ab", [("a", "b")]))
    assert found.not_in_graph == ("c", "d")
    assert found.changes.height == 4
    assert set(found.pairs["other"]) == {"a", "b"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 15))
def test_changed_exactly_where_the_adjusted_interval_excludes_zero(seed, roles):
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=5)
    base = {v: rng.normal(size=roles).tolist() for v in "abcde"}
    other = {
        v: (np.array(base[v]) + shift[k] + rng.normal(size=roles)).tolist() for k, v in enumerate("abcde")
    }
    table = profiles({"baseline": base, "x": other})
    found = effects(table, provenance(table), CausalGraph.empty("abcde"), replicates=800, seed=seed)
    changed = found.changes["changed"].to_numpy()
    # Benjamini–Hochberg by its definition.
    p = np.sort(found.changes["p"].to_numpy())
    passing = [k for k in range(1, 6) if p[k - 1] <= 0.05 * k / 5 + 1e-12]
    count = max(passing, default=0)
    assert changed.sum() == count
    level = 0.05 * count / 5
    draws = Draws.of(
        resampled_means(
            np.column_stack([np.array(other[v]) - np.array(base[v]) for v in "abcde"]), 800, seed
        ),
        0.05,
    )
    for k in range(5):
        low, high = draws.interval(k, level)
        assert changed[k] == (count > 0 and low is not None and (low > 0 or high < 0))


def test_interval_is_that_of_all_sorted_means():
    means = np.random.default_rng(0).permutation(np.arange(1.0, 1000.0))[:, None]  # 1 … 999
    draws = Draws.of(means, 0.05)
    # floor(0.05 · 1000 / 2) = 25: the 25th from either end.
    assert draws.interval(0, 0.05) == (25.0, 975.0)
    assert draws.interval(0, 0.002) == (1.0, 999.0)
    assert draws.interval(0, 0.0001) == (None, None)
    assert draws.p(0) == 2 / 1000


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    differences = rng.normal(loc=0.3, size=(40, 400))  # 400 studies of 40 roles
    draws = Draws.of(resampled_means(differences, 1000, 1), 0.05)
    ends = [draws.interval(k, 0.05) for k in range(400)]
    covered = np.mean([low <= 0.3 <= high for low, high in ends])
    assert 0.90 <= covered <= 0.98


def test_a_condition_does_not_depend_on_the_others_tested():
    table = hand_worked()
    extra = table.filter(pl.col("condition") == "steered").with_columns(condition=pl.lit("more"))
    both = pl.concat([table, extra])
    one = effects(table, provenance(table), ABCD, replicates=500).changes
    two = effects(both, provenance(both), ABCD, replicates=500).changes
    columns = ("value", "mean_difference", "low", "high", "p")
    assert one.select(columns).equals(two.filter(pl.col("condition") == "steered").select(columns))


def test_split_chooses_the_roles():
    table = pl.concat([hand_worked(), profiles({"baseline": {v: [9.0] * 3 for v in "abcd"}}, split="train")])
    assert effects(table, provenance(table), ABCD).changes["pairs"].unique().to_list() == [8]


@pytest.mark.parametrize("column", ["backend", "dtype", "device"])
def test_unlike_rows_are_never_contrasted(column):
    table = hand_worked()
    good = provenance(table)
    mixed = good.with_columns(
        pl.when((pl.col("condition") == "steered") & (pl.col("role") == "r3"))
        .then(pl.lit("other"))
        .otherwise(pl.col(column))
        .alias(column)
    )
    with pytest.raises(RunError, match="'steered' with 'baseline', role 'r3'"):
        effects(table, mixed, ABCD)
    # A role answered half by one worker and half by another is as bad.
    with pytest.raises(RunError, match="role 'r3'"):
        effects(table, pl.concat([good, mixed.filter(pl.col("role") == "r3")]), ABCD)


def test_errors_are_named():
    table = hand_worked()
    where = provenance(table)
    cases = [
        (lambda: effects(table, where, CausalGraph.empty("ax")), "'x'"),
        (lambda: effects(table, where.drop("dtype"), ABCD), "dtype"),
        (lambda: effects(table, where.head(3), ABCD), "provenance of role"),
        (lambda: effects(table, where, ABCD, split="train"), "'baseline' in split 'train'"),
        (lambda: effects(table, where, ABCD, baseline="none"), "'none'"),
        (lambda: effects(table.head(8), where, ABCD), "besides 'baseline'"),
        (lambda: effects(pl.concat([table, table.head(1)]), where, ABCD), "several of 'r0'"),
        (lambda: effects(table, where, ABCD, level=0.0), "level"),
        (lambda: effects(table, where, ABCD, replicates=0), "replicates"),
        (lambda: effects(table.drop("condition"), where, ABCD), "column 'condition'"),
        (lambda: between_roles(table, ABCD, reference="nobody"), "'nobody'"),
    ]
    for call, says in cases:
        with pytest.raises(InputError, match=says):
            call()


def test_between_roles_hand_worked():
    # Against r0: r1 differs in a and b, r2 in a and c, r3 in nothing.
    scores = {"a": [0, 1, 1, 0], "b": [0, 1, 0, 0], "c": [0, 0, 1, 0], "d": [0, 0, 0, 0]}
    found = between_roles(profiles({"baseline": scores}), ABCD, reference="r0")
    rows = {
        (r["value"], r["relation"]): (r["roles"], r["n"], r["share"], r["reason"])
        for r in found.iter_rows(named=True)
    }
    assert rows["a", "expected"] == (2, 1, 0.5, None)  # b differs in one of r1, r2
    assert rows["a", "possible"] == (2, 1, 0.5, None)  # c too
    assert rows["a", "unexpected"] == (2, 1, 0.0, None)
    assert rows["b", "unexpected"] == (1, 2, 0.5, None)  # a did, d did not
    assert rows["b", "expected"] == (1, 0, None, "no descendants")
    assert rows["d", "unexpected"] == (0, 3, None, "the value differs in no role")


@given(graphs())
def test_relations_hold_every_other_value_once(graph):
    total = sum(mask.astype(int) for mask in relations(graph).values())
    assert np.array_equal(total, 1 - np.eye(len(graph.names), dtype=int))


def test_shares_leave_out_what_is_unknown():
    differences = np.array([[1.0, 1.0, np.nan], [1.0, 0.0, np.nan], [0.0, 1.0, 1.0]])
    everyone = ~np.eye(3, dtype=bool)
    # a moved in rows 0 and 1: b in half of them, c unknown. b moved in rows 0, 2: a in one, c in its one.
    assert response_shares(differences, everyone) == [0.5, 0.75, 0.5]
    assert response_shares(np.zeros((2, 3)), everyone) == [None] * 3
    assert [c.tolist() for c in sign_counts(differences - 0.5)] == [[2, 2, 1], [1, 1, 0], [0, 0, 0]]
    assert set(relations(ABCD)) == set(Relation)

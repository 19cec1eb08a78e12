import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.intervals import Draws, RoleDraws
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import EffectsSpec
from tests.discovery.made_profiles import ABCD, hand_worked, profiles, provenance


def test_changes_hand_worked():
    table = hand_worked()
    found = effects(table, provenance(table), ABCD, test_draws=999)
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
    responses = effects(table, provenance(table), ABCD, test_draws=999).responses
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
    assert found.test_draws == 2000


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
    assert found.relations["relation"].unique().to_list() == ["possible"]
    reasons = found.responses.filter(pl.col("relation") == "unexpected")["reason"].unique().to_list()
    assert reasons == ["every other value is a descendant or a possible one"]


def test_values_outside_the_graph_are_tested_but_have_no_relation():
    table = hand_worked()
    found = effects(table, provenance(table), CausalGraph.from_edges("ab", [("a", "b")]))
    assert found.not_in_graph == ("c", "d")
    assert found.changes.height == 4
    assert set(found.relations["other"]) == set(found.responses["value"]) == {"a", "b"}


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
    found = effects(
        table, provenance(table), CausalGraph.empty("abcde"), EffectsSpec(seed=seed), test_draws=800
    )
    changed = found.changes["changed"].to_numpy()
    # Benjamini–Hochberg by its definition.
    p = np.sort(found.changes["p"].to_numpy())
    passing = [k for k in range(1, 6) if p[k - 1] <= 0.05 * k / 5 + 1e-12]
    count = max(passing, default=0)
    assert changed.sum() == count
    level = 0.05 * count / 5
    differences = np.column_stack([np.array(other[v]) - np.array(base[v]) for v in "abcde"])
    low, high = Draws.of(RoleDraws.of(roles, 800, seed).means(differences), 0.05).interval(level)
    assert changed.tolist() == [bool(count > 0 and (low[k] > 0 or high[k] < 0)) for k in range(5)]


def test_a_condition_does_not_depend_on_the_others_tested():
    table = hand_worked()
    extra = table.filter(pl.col("condition") == "steered").with_columns(condition=pl.lit("more"))
    both = pl.concat([table, extra])
    one = effects(table, provenance(table), ABCD, test_draws=500).changes
    two = effects(both, provenance(both), ABCD, test_draws=500).changes
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
        (lambda: effects(table, where, ABCD, EffectsSpec(roles="train")), "'baseline' in split 'train'"),
        (lambda: effects(table.filter(pl.col("condition") != "baseline"), where, ABCD), "'baseline'"),
        (lambda: effects(table.head(8), where, ABCD), "besides 'baseline'"),
        (lambda: effects(pl.concat([table, table.head(1)]), where, ABCD), "several of 'r0'"),
        (lambda: effects(table, where, ABCD, test_draws=0), "resamples"),
        (lambda: effects(table.drop("condition"), where, ABCD), "column 'condition'"),
    ]
    for call, says in cases:
        with pytest.raises(InputError, match=says):
            call()


@pytest.mark.parametrize(
    "wrong", [{"level": 0.0}, {"resamples": 0}, {"control_graphs": 0}, {"control": "none"}]
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        EffectsSpec(**wrong)

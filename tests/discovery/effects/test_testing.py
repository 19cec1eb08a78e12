import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from axiograph.discovery.effects.changes import Pairing, find_changes
from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.study.schema import EffectsSpec
from tests.discovery.made_profiles import ABCD, hand_worked, profiles, provenance


def test_changes_hand_worked():
    table = hand_worked()
    found = effects(table, provenance(table), ABCD)
    rows = {row["value"]: row for row in found.changes.iter_rows(named=True)}
    assert [rows[v]["mean_difference"] for v in "abcd"] == [0.5, -0.25, 0.0, 0.0]
    assert [rows[v]["changed"] for v in "abcd"] == [True, True, False, False]
    assert [rows[v]["direction"] for v in "abcd"] == ["up", "down", None, None]
    assert [rows[v]["pairs"] for v in "abcd"] == [8] * 4
    # Only c varies, too little to say how variances are: eight equal differences have the exact p of their
    # signs, 2 / 2⁸, times 4 tests / rank 2; two of four are no longer taken for nulls: times 1.05 · 2 / 4.
    assert rows["a"]["p"] == 2 / 256
    assert rows["a"]["p_adjusted"] == pytest.approx(4 / 256 * 1.05 / 2)
    assert rows["d"]["p"] == 1.0
    assert (rows["d"]["low"], rows["d"]["high"]) == (None, None)
    assert (rows["a"]["low"], rows["a"]["high"]) == (0.5, 0.5)
    assert (rows["b"]["adjusted_low"], rows["b"]["adjusted_high"]) == (-0.25, -0.25)
    assert rows["c"]["low"] < 0 < rows["c"]["high"]
    assert rows["c"]["adjusted_low"] is None
    assert not any(row["few_pairs"] for row in rows.values())


def test_responses_hand_worked():
    # a → b — c, d apart: when a changed, b is expected (and changed), c possible, d unexpected.
    table = hand_worked()
    responses = effects(table, provenance(table), ABCD).responses
    rows = {(r["value"], r["relation"]): r for r in responses.iter_rows(named=True)}
    assert {value for value, _ in rows} == {"a", "b"}
    got = {key: (r["n"], r["changed"], r["share"], r["reason"]) for key, r in rows.items()}
    assert got["a", "expected"] == (1, 1, 1.0, None)
    assert got["a", "possible"] == (1, 0, 0.0, None)
    assert got["a", "unexpected"] == (1, 0, 0.0, None)
    assert got["b", "expected"] == (0, 0, None, "no descendants")
    assert got["b", "possible"] == (1, 0, 0.0, None)
    assert got["b", "unexpected"] == (2, 1, 0.5, None)


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
    for value in "ab":
        names = ("p", "p_adjusted", "changed", "low", "high", "adjusted_low", "direction")
        assert [rows[value][name] for name in names] == [None] * 7
        assert rows[value]["mean_difference"] == 1.0
    assert rows["c"]["p"] == 2 / 64
    assert rows["c"]["p_adjusted"] == pytest.approx(2 / 64 * 1.05)  # the others are no tests


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


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 15), st.booleans())
def test_changed_exactly_where_the_adjusted_interval_excludes_zero(seed, roles, whole):
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=5)
    base = {v: rng.normal(size=roles).round(0 if whole else 9).tolist() for v in "abcde"}
    moved = rng.normal(size=(5, roles)).round(0 if whole else 9) + shift[:, None].round(0 if whole else 9)
    other = {v: (np.array(base[v]) + moved[k]).tolist() for k, v in enumerate("abcde")}
    table = profiles({"baseline": base, "x": other})
    found = effects(table, provenance(table), CausalGraph.empty("abcde"), EffectsSpec(seed=seed)).changes
    changed = found["changed"].to_numpy()
    # Two stages of Benjamini–Hochberg by their definition.
    p = np.sort(found["p"].to_numpy())
    first = max((k for k in range(1, 6) if p[k - 1] <= 0.05 / 1.05 * k / 5 + 1e-12), default=0)
    second = 0.05 / 1.05 / max(1, 5 - first)
    both = max((k for k in range(1, 6) if p[k - 1] <= second * k + 1e-12), default=0)
    cut = min(0.05, second * both)  # none above the level
    assert changed.sum() == (p <= cut + 1e-12).sum()
    # The interval of every value at the level that is left: only those of changed values exclude 0.
    tests = find_changes(Pairing(table, "baseline", tuple("abcde")), 0.05)
    assert tests.cut == pytest.approx(cut)
    outside = np.abs(tests.tests.mean[0]) > tests.tests.reach(tests.cut)[0]
    assert outside.tolist() == changed.tolist()
    rows = found.filter(pl.col("changed"))
    assert ((rows["adjusted_low"] > 0) | (rows["adjusted_high"] < 0)).all()
    # Pointwise alike.
    known = found.drop_nulls("low")
    assert ((known["low"] > 0) | (known["high"] < 0)).to_list() == (known["p"] <= 0.05).to_list()


def test_differences_do_not_depend_on_the_other_conditions_and_what_stands_still_changes_no_test():
    """Variances are learned from all conditions, but a condition that does nothing has none to teach."""
    rng = np.random.default_rng(4)
    base = {v: rng.normal(size=9).tolist() for v in "abcd"}
    moved = {v: (np.array(base[v]) + rng.normal(0.5, 1, 9)).tolist() for v in "abcd"}
    table = profiles({"baseline": base, "x": moved})
    more = profiles(
        {"still": base, "y": {v: (np.array(base[v]) + rng.normal(size=9)).tolist() for v in "abcd"}}
    )
    alone, still, both = (
        effects(each, provenance(each), ABCD).changes.filter(pl.col("condition") == "x")
        for each in (
            table,
            pl.concat([table, more.filter(pl.col("condition") == "still")]),
            pl.concat([table, more]),
        )
    )
    same = ("value", "pairs", "mean_difference", "low", "high", "p")
    assert alone.select(same).equals(still.select(same))
    assert alone.select(same[:3]).equals(both.select(same[:3]))
    assert not alone["p"].equals(both["p"])


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

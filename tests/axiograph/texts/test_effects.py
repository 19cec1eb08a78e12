"""What is printed of effects says what is not known."""

from __future__ import annotations

import polars as pl

from axiograph.discovery.effects.testing import effects
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.engine.study.schema import EffectsSpec
from axiograph.texts.effects import effects_text
from tests.discovery.made_profiles import ABCD, hand_worked, packed, profiles, provenance


def test_counts_shares_and_control_are_printed():
    table = hand_worked()
    made = packed("abcd", [([("a", "b")], []), ([("a", "b"), ("b", "c")], [])])
    text = effects_text(effects(table, provenance(table), ABCD, replicates=made))
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "2 of 4 condition × value contrasts changed" in text
    # When a changed b is expected and did; c is possible from both; d and (from b) a are unexpected.
    assert "1 of 1" in lines["expected by the graph"] and "100.0 %" in lines["expected by the graph"]
    assert "0 of 2" in lines["possible by the graph"]
    assert "1 of 3" in lines["unexpected by the graph"]
    # Of a: b in both, c in one of two replicates; of b: c in one.
    assert "1.0 of 2.0" in lines["expected by frequency"]
    assert "no such value" in lines["possible by frequency"]
    assert "steered" in lines and "all conditions: share" in lines and "all conditions: size" in lines
    assert "1,000 relabelled graphs" in text and "2 replicates" in text
    assert "nan" not in text.lower()


def test_without_replicates_nothing_is_said_of_them():
    table = hand_worked()
    text = effects_text(effects(table, provenance(table), ABCD, EffectsSpec(control_graphs=10)))
    assert "by frequency" not in text and "replicates" not in text and "over roles" in text


def test_a_graph_without_descendants_says_so():
    table = hand_worked()
    text = effects_text(effects(table, provenance(table), CausalGraph.empty("abcd")))
    assert "No comparison over all conditions: no descendants." in text
    assert "no such value" in text and "nan" not in text.lower()


def test_conditions_without_a_change_are_not_listed():
    table = hand_worked()
    still = table.filter(pl.col("condition") == "baseline").with_columns(condition=pl.lit("still"))
    both = pl.concat([table, still])
    text = effects_text(effects(both, provenance(both), ABCD, EffectsSpec(control_graphs=10)))
    assert "still" not in text
    zero = profiles({"baseline": {"a": [0.0] * 8, "b": [0.0] * 8}, "x": {"a": [0.0] * 8, "b": [0.0] * 8}})
    text = effects_text(
        effects(zero, provenance(zero), CausalGraph.empty("ab"), EffectsSpec(control_graphs=10))
    )
    assert text == (
        "0 of 2 condition × value contrasts changed (paired over test roles, false discovery rate 0.05, "
        "moderated t over all contrasts)."
    )

"""Breaking strength: the rule, by hand."""

from __future__ import annotations

import polars as pl
import pytest
from pydantic import ValidationError

from axiograph.discovery.effects.doses import DOSE_SCHEMA, limits, unreadable
from axiograph.engine.study.schema import EffectsSpec

BASE = "baseline"


def answers(**shares):
    """10 answers of each of 8 roles, one unparsed; `shares`: condition → how many each role refuses."""
    rows = [(f"r{i}", BASE, 10, 0, 1) for i in range(8)]
    rows += [(f"r{i}", name, 10, n, 1) for name, counts in shares.items() for i, n in enumerate(counts)]
    return pl.DataFrame(rows, schema=["role", "condition", "answers", "refused", "unparsed"], orient="row")


def found(table, margin=0.1):
    return unreadable(table, EffectsSpec(resamples=400, break_margin=margin))


def test_shares_and_states_by_hand():
    table = found(answers(a=[0] * 8, b=[5] * 8, c=[0, 0, 0, 0, 0, 0, 4, 5]))
    assert table["state"].to_list() == ["holds", "breaks", "unsettled"]
    assert table["share"].to_list() == pytest.approx([0.1, 0.6, (0.1 * 6 + 0.5 + 0.6) / 8])
    assert table["baseline_share"].to_list() == pytest.approx([0.1] * 3)
    assert table["rise"].to_list() == pytest.approx([0, 0.5, 0.9 / 8])
    assert table["refused"].to_list() == [0, 40, 9] and table["unparsed"].to_list() == [8] * 3
    assert table["answers"].to_list() == [80] * 3
    row = table.row(2, named=True)
    assert row["low"] < 0.1 < row["high"]


def test_few_roles_settle_nothing():
    few = answers(a=[0] * 5)
    assert found(few)["state"].to_list() == ["unsettled"]
    assert found(few)["roles"].to_list() == [5]


def test_only_roles_with_a_baseline_count():
    table = answers(a=[0] * 8).filter(~((pl.col("role") == "r0") & (pl.col("condition") == BASE)))
    assert found(table)["roles"].to_list() == [7]


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_margin_is_a_share(margin):
    with pytest.raises(ValidationError, match="break_margin"):
        found(answers(a=[0] * 8), margin)


def test_limits_lie_between_the_last_that_holds_and_the_first_that_breaks():
    strengths = {-4: "breaks", -2: "holds", 1: "holds", 2: "holds", 4: "unsettled", 8: "breaks", 16: "holds"}
    doses = pl.DataFrame(
        [("f1", None, 1, None, "add", "raw", "prompt", None, s, f"f1:{s}") for s in strengths]
        + [("f1", None, 1, None, "add", "raw", "prompt", None, 0.0, BASE)],
        schema=DOSE_SCHEMA,
        orient="row",
    )
    known = pl.DataFrame({"condition": [f"f1:{s}" for s in strengths], "state": list(strengths.values())})
    table = limits(known, doses, 0.1)
    assert table.select("side", "strengths", "holds_to", "breaks_from").rows() == [
        ("+", 5, 2.0, 8.0),
        ("-", 2, -2.0, -4.0),
    ]
    assert limits(known, doses.filter(pl.col("strength").is_between(-1, 2)), 0.1).rows() == [
        ("f1", 1, "raw", "+", 2, 2.0, None, 0.1)
    ]

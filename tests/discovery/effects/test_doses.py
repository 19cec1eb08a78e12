"""Dose–response tables: the changes of discovery.effects.testing in the order of the strengths."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from axiograph.discovery.effects.changes import Pairing, find_changes
from axiograph.discovery.effects.doses import DOSE_SCHEMA, dose_tables
from axiograph.engine.study.schema import EffectsSpec

BASE = "baseline"
STRENGTHS = {"f7:-1": -1.0, BASE: 0.0, "f7:+1": 1.0, "f7:+2": 2.0}


@pytest.fixture
def profiles():
    rng = np.random.default_rng(5)
    own = rng.normal(size=10)
    rows = []
    for condition, strength in STRENGTHS.items():
        for i in range(10):
            split = "test" if i < 8 else "train"
            rows.append((f"r{i}", condition, split, own[i] + strength / 4, own[i] * 0.1))
    schema = {
        "role": pl.String,
        "condition": pl.String,
        "split": pl.String,
        "Joy": pl.Float64,
        "Order": pl.Float64,
    }
    # In no order at all: strengths are put in order here.
    return pl.DataFrame(rows, schema=schema, orient="row").sample(fraction=1, shuffle=True, seed=2)


def tables(profiles, **settings):
    answers = profiles.select("role", "condition", answers=10, refused=0, unparsed=0)
    doses = pl.DataFrame(
        [("f7", "sae", 7, None, "add", "raw", "prompt_span", None, s, name) for name, s in STRENGTHS.items()],
        schema=DOSE_SCHEMA,
        orient="row",
    )
    test = profiles.filter(pl.col("split") == "test")
    changes = find_changes(Pairing(test, BASE, ["Joy", "Order"]), 0.05).table()
    return dose_tables(profiles, changes, answers, doses, EffectsSpec(**settings)), changes


def test_means_and_changes(profiles):
    found, changes = tables(profiles)
    joy = found.dose_response.filter(pl.col("value") == "Joy")
    assert joy["strength"].to_list() == [-1, 0, 1, 2]
    assert joy["difference"].to_list() == pytest.approx([-0.25, 0, 0.25, 0.5])
    test = profiles.filter((pl.col("split") == "test") & (pl.col("condition") == "f7:+2"))
    row = joy.row(3, named=True)
    assert row["mean"] == pytest.approx(test["Joy"].mean())
    assert row["mean_low"] < row["mean"] < row["mean_high"]
    assert row["pairs"] == 8 and row["changed"]
    # The same numbers as in the table of changes, and none for the baseline against itself.
    for condition in ("f7:-1", "f7:+1", "f7:+2"):
        own = changes.row(
            by_predicate=(pl.col("condition") == condition) & (pl.col("value") == "Joy"), named=True
        )
        here = joy.row(by_predicate=pl.col("condition") == condition, named=True)
        assert [here[name] for name in ("low", "high", "p_adjusted")] == [
            own[name] for name in ("low", "high", "p_adjusted")
        ]
    assert joy.row(1, named=True)["p_adjusted"] is None


def test_trends_and_counts(profiles):
    found, _ = tables(profiles)
    assert found.trends.select("value", "trend", "roles").rows() == [
        ("Joy", "rising", 8),
        ("Order", "none", 8),
    ]
    up = found.sign_counts.row(
        by_predicate=(pl.col("condition") == "f7:+1") & (pl.col("value") == "Joy"), named=True
    )
    assert (up["train_raised"], up["test_raised"], up["similarity"]) == (2, 8, pytest.approx(1.0))
    assert found.limits.select("side", "holds_to", "breaks_from").rows() == [
        ("+", 2.0, None),
        ("-", -1.0, None),
    ]


def test_all_roles_count_on_request(profiles):
    found, _ = tables(profiles, roles="all")
    assert set(found.trends["roles"]) == {10}


def test_a_missing_score_is_not_a_zero(profiles):
    gone = (pl.col("condition") == "f7:+2") & (pl.col("value_role"))
    marked = profiles.with_columns(value_role=pl.col("role") == "r0")
    holed = marked.with_columns(Joy=pl.when(gone).then(None).otherwise("Joy")).drop("value_role")
    found, _ = tables(holed)
    row = found.dose_response.row(
        by_predicate=(pl.col("condition") == "f7:+2") & (pl.col("value") == "Joy"), named=True
    )
    kept = holed.filter((pl.col("condition") == "f7:+2") & (pl.col("split") == "test"))["Joy"].drop_nulls()
    assert row["pairs"] == 7 and row["mean"] == pytest.approx(kept.mean())
    assert row["difference"] == pytest.approx(0.5)


def test_conditions_that_were_not_asked_are_left_out(profiles):
    asked = profiles.filter(pl.col("condition") != "f7:+2")
    found, _ = tables(asked)
    assert found.dose_response["strength"].unique().sort().to_list() == [-1, 0, 1]
    assert found.trends["strengths"].to_list() == [3, 3]

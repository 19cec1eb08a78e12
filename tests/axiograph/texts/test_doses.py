"""Sweep results as text, and from the files of a run."""

from __future__ import annotations

from dataclasses import fields, replace

import polars as pl
import pytest

from axiograph.cluster.stages.doses import read_doses
from axiograph.discovery.effects.doses import DoseTables
from axiograph.engine.errors import RunError
from axiograph.engine.runs.run_dir import RunDir
from axiograph.texts.effects import doses_text

KEYS = {"sweep": "f7", "feature": 7, "unit": "raw"}


@pytest.fixture
def found():
    joy = {"value": "Joy", "tau": 0.9, "low": 0.8, "high": 1.0, "p_adjusted": 0.01, "trend": "rising"}
    order = {"value": "Order", "tau": 0.1, "low": -0.2, "high": 0.3, "p_adjusted": 0.7, "trend": "none"}
    trends = [{**KEYS, "strengths": 3, **own} for own in (joy, order)]
    counts = {
        f"{part}_{state}": 4 for part in ("train", "test") for state in ("raised", "lowered", "unchanged")
    }
    doses = {**KEYS, "strength": [-2.0, 0.0, 2.0], "condition": ["f7:-2", "baseline", "f7:+2"]}
    return DoseTables(
        doses=pl.DataFrame(doses),
        dose_response=pl.DataFrame(),
        trends=pl.DataFrame(trends),
        sign_counts=pl.DataFrame([{"condition": "f7:+2", "value": v, **counts} for v in ("Joy", "Order")]),
        sign_similarity=pl.DataFrame({"condition": ["f7:+2"], "values": 2, "mean_similarity": 0.95}),
        unreadable=pl.DataFrame(),
        limits=pl.DataFrame(
            {**KEYS, "side": ["+", "-"], "holds_to": [None, -2.0], "breaks_from": [2.0, None], "margin": 0.1}
        ),
    )


def test_text(found):
    text = doses_text(found)
    assert "1 of 2 sweep × value curves rise or fall" in text
    assert "f7: Joy" in text and "f7: Order" not in text
    # Summed over the values.
    assert "8/8/8" in text and "0.95" in text
    # The side that holds to its end is no news.
    broken = [line.split() for line in text.splitlines() if line.startswith("f7 ")]
    assert broken == [["f7", "raw", "+", "-", "2"]]
    assert "10 percentage points" in text


def test_nothing_breaks_and_nothing_is_tested(found):
    whole = found.limits.with_columns(
        holds_to=pl.when(pl.col("side") == "+").then(2.0).otherwise(-2.0), breaks_from=None
    )
    untested = found.trends.with_columns(trend=pl.lit(None, dtype=pl.String))
    text = doses_text(replace(found, limits=whole, trends=untested))
    assert "No strength breaks the model" in text and "no trends to test" in text


def test_without_sweeps_there_is_no_text(found):
    assert doses_text(replace(found, doses=found.doses.clear())) == ""


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(RunError, match=r"doses\.parquet"):
        read_doses(RunDir(tmp_path))


def test_tables_come_back_as_they_were_written(found, tmp_path):
    (tmp_path / "effects").mkdir()
    for field in fields(DoseTables):
        getattr(found, field.name).write_parquet(tmp_path / "effects" / f"{field.name}.parquet")
    read = read_doses(RunDir(tmp_path))
    assert all(getattr(read, f.name).equals(getattr(found, f.name)) for f in fields(DoseTables))

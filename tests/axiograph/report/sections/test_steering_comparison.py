"""Steering beside hints: chosen on training roles, counted on test roles."""

import json
from dataclasses import replace

import polars as pl
import pytest

from axiograph.discovery.effects.contrast import counted_table
from axiograph.discovery.effects.hints import net_share, steering_against_hints
from axiograph.engine.study.split import TEST, TRAIN
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.section import Note
from axiograph.report.blocks.table import Table
from axiograph.report.sections import steering_comparison

HINT = "hint inclined:Openness 1"
NAMES = ["Openness 1", "Security 2"]


@pytest.fixture
def found(run):
    return Artefacts.find(run)


def counts(train, test):
    return counted_table([HINT, "d0:+1", "d0:+2", "d1:+1"], NAMES, {TRAIN: train, TEST: test})


def hint_blocks(found, counts):
    chosen = steering_against_hints(found.run.inputs().conditions, counts)
    return steering_comparison.hint_blocks(found, counts, chosen)


def table_in(blocks):
    return next(block for block in blocks if isinstance(block, Table))


def test_the_choice_is_made_on_training_roles_and_counted_on_test_roles(found):
    train = {("d0:+1", NAMES[0]): (5, 1, 4), ("d0:+2", NAMES[0]): (6, 0, 4), ("d1:+1", NAMES[0]): (9, 9, 2)}
    # On the test roles d0:+1 would look best: it must not be taken. The hint's other value is not its aim.
    test = {
        ("d0:+1", NAMES[0]): (8, 0, 0),
        ("d0:+2", NAMES[0]): (3, 1, 4),
        ("d1:+1", NAMES[0]): (0, 0, 8),
        (HINT, NAMES[0]): (5, 0, 3),
        (HINT, NAMES[1]): (0, 8, 0),
    }
    blocks = hint_blocks(found, counts(train, test))
    assert table_in(blocks).rows == [["to raise", "steering", 3, 1, 4, 8], ["to raise", "hint", 5, 0, 3, 8]]
    assert any("Openness 1 to raise: d0:+2" in getattr(block, "text", "") for block in blocks)


def test_a_hint_against_a_value_asks_for_what_lowers_it(found, monkeypatch):
    inputs = found.run.inputs()
    conditions = [
        replace(c, hint=replace(c.hint, inclination="disinclined")) if c.hint else c
        for c in inputs.conditions
    ]
    monkeypatch.setattr(type(found.run), "inputs", lambda self: replace(inputs, conditions=conditions))
    train = {("d0:+1", NAMES[0]): (5, 1, 4), ("d0:+2", NAMES[0]): (1, 5, 4)}
    test = {("d0:+1", NAMES[0]): (8, 0, 0), ("d0:+2", NAMES[0]): (1, 3, 4), (HINT, NAMES[0]): (0, 5, 3)}
    assert table_in(hint_blocks(found, counts(train, test))).rows[0] == ["to lower", "steering", 1, 3, 4, 8]


def test_without_training_roles_nothing_is_chosen(found):
    test = {("d0:+1", NAMES[0]): (8, 0, 0), (HINT, NAMES[0]): (5, 0, 3)}
    blocks = hint_blocks(found, counts({}, test))
    assert isinstance(blocks[-1], Note) and "steer_roles: all" in blocks[-1].text


def test_the_numbers_on_the_page_are_those_of_the_artefacts(found, run, written):
    stored = pl.read_parquet(run.effects / "sign_counts.parquet")
    chosen = pl.read_parquet(run.effects / "steering_against_hints.parquet")
    rows = table_in(steering_comparison.hint_blocks(found, stored, chosen)).rows
    hint = stored.filter((pl.col("condition") == HINT) & (pl.col("value") == NAMES[0])).row(0, named=True)
    assert rows[1][2:5] == [hint["test_raised"], hint["test_lowered"], hint["test_unchanged"]]
    text = written.page.read_text().split('id="report-data">')[1].split("</script>")[0]
    shown = {table["key"]: table for table in json.loads(text)["tables"]}["steering-comparison"]
    assert shown["rows"] == [list(row) for row in rows]
    assert net_share((6, 2, 2)) == pytest.approx(0.4)

"""Sweeps of a study: which condition is which point of which curve."""

from __future__ import annotations

import polars as pl
import pytest

from axiograph.cluster.stages.doses import dose_table
from axiograph.engine.study.conditions import BASELINE, expand_conditions
from axiograph.engine.study.loading import parse_study
from tests import studies


def table(tmp_path, steering, hints=()):
    data = studies.bare(steering=steering, hints=list(hints))
    return dose_table(expand_conditions(parse_study(data, "study", tmp_path)))


def operation(**fields):
    return {"sae": {"path": "sae"}, "features": [3], "strengths": [2, -1], **fields}


def points(found, sweep):
    rows = found.filter(pl.col("sweep") == sweep)
    return list(zip(rows["strength"], rows["condition"], strict=True))


def test_the_baseline_is_strength_0_of_what_is_added(tmp_path):
    found = table(tmp_path, [{"operations": [operation(features=[3, 5])]}])
    assert found["sweep"].unique(maintain_order=True).to_list() == ["f3", "f5"]
    assert points(found, "f3") == [(-1, "f3:-1"), (0, BASELINE), (2, "f3:+2")]
    row = found.row(0, named=True)
    assert (row["feature"], row["kind"], row["unit"], row["span"]) == (3, "add", "raw", "prompt_span")


@pytest.mark.parametrize("asked", [False, True])
def test_strength_0_is_the_baseline_also_beside_a_negative_control(tmp_path, asked):
    found = table(tmp_path, [{"operations": [operation(strengths=[0, 2])], "negative_control": asked}])
    assert points(found, "f3") == [(0, "baseline"), (2, "f3:+2")]


def test_beside_another_addition_of_0_the_baseline_is_strength_0(tmp_path):
    both = [operation(features=[3], strengths=[0, 2]), operation(features=[5], strengths=[0, 4])]
    found = table(tmp_path, [{"operations": both}])
    assert points(found, "f3 with f5:+0") == [(0, "baseline"), (2, "f3:+2 & f5:+0")]
    assert points(found, "f3 with f5:+4") == [(0, "f3:+0 & f5:+4"), (2, "f3:+2 & f5:+4")]


def test_a_clamp_has_no_baseline(tmp_path):
    found = table(tmp_path, [{"operations": [operation(kind="clamp")]}])
    assert points(found, "f3") == [(-1, "f3:=-1"), (2, "f3:=2")]


def test_entries_of_one_operation_are_one_sweep(tmp_path):
    found = table(
        tmp_path, [{"operations": [operation()]}, {"name": "more", "operations": [operation(strengths=[8])]}]
    )
    assert [s for s, _ in points(found, "f3")] == [-1, 0, 2, 8]


def test_other_units_are_other_sweeps_of_other_names(tmp_path):
    found = table(
        tmp_path,
        [{"operations": [operation()]}, {"name": "u", "operations": [operation(unit="unit_norm")]}],
    )
    assert found["sweep"].unique(maintain_order=True).to_list() == ["f3 (1)", "f3 (2)"]


def test_operations_together_are_swept_one_at_a_time(tmp_path):
    out = {"kind": "project_out", "sae": {"path": "sae"}, "features": [9]}
    other = operation(features=[5], strengths=[1, 4])
    found = table(tmp_path, [{"operations": [operation(strengths=[2]), other, out]}])
    # Without the other operations nothing is unsteered: no baseline.
    assert points(found, "f5 with f3:+2 & f9:out") == [
        (1, "f3:+2 & f5:+1 & f9:out"),
        (4, "f3:+2 & f5:+4 & f9:out"),
    ]
    assert points(found, "f3 with f5:+1 & f9:out") == [(2, "f3:+2 & f5:+1 & f9:out")]


def test_hints_and_projections_are_no_doses(tmp_path):
    hint = {"value": "asked", "inclination": "inclined"}
    out = {"kind": "project_out", "sae": {"path": "sae"}, "features": [9]}
    assert table(tmp_path, [{"operations": [out]}], [hint]).is_empty()

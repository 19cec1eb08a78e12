"""Scores beside norms, by hand."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import yaml
from scipy.stats import t

from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.plan.snapshot import load_inputs_snapshot, save_inputs
from axiograph.engine.scoring.norms import norm_table
from axiograph.engine.study.loading import load_study
from axiograph.engine.study.scales import Scale
from tests import studies

ORDER = [
    {"group": "Students", "mean": 3.5, "sd": 0.5, "n": 200},
    {"group": "Clerks", "mean": 6, "sd": 2, "of": "sum"},
    {"group": "Guests", "mean": 3},
]


def inputs_of(folder, **changes):
    items = [
        {"id": "o1", "value": "Order", "agreement": 1, "statement": "Keeps the desk tidy"},
        {"id": "o2", "value": "Order", "agreement": -1, "statement": "Loses things"},
        {"id": "j1", "value": "Joy", "agreement": 1, "statement": "Laughs", "scale": "uneven"},
    ]
    labels = ["Not at all", "A little", "Partly", "Mostly", "Completely"]
    scales = {"fit5": {"labels": labels}, "uneven": {"labels": ["a", "b", "c"], "weights": [0, 1, 4]}}
    norms = {"Order": ORDER, "Joy": [{"group": "All", "mean": 2, "sd": 1}]}
    about = {"questionnaire": "Own", "source": "Example, 2026", "notes": ["One.", "Two."]}
    document = about | {"scales": scales, "scale": "fit5", "norms": norms, "items": items}
    (folder / "own.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "fields.yaml").write_text("Age: [young, grown, old]\n")
    study = {"questionnaires": ["own.yaml"], "roles": {"generate": [{"fields": "fields.yaml", "n": 3}]}}
    (folder / "study.yaml").write_text(yaml.safe_dump(studies.bare() | study | changes))
    return load_inputs(load_study(folder / "study.yaml"))


def plain(value, scores):
    return pl.DataFrame(
        {"role": list("abcd"), "condition": ["baseline"] * 3 + ["hint"], value: [*scores, 1.0], "Joy": 0.5}
    )


def test_norms_are_on_the_scale_of_scores_and_differences_in_their_sd(tmp_path):
    """3.5 of 1 to 5 is .25, an SD of .5 is .25; a sum of 6 over two items is 3 an item: 0, its SD .5.
    The roles' mean .5 lies 1 and 1 SD above; under hints nothing counts."""
    table = norm_table(inputs_of(tmp_path), plain("Order", [0.25, 0.5, 0.75]))
    students, clerks, guests, joy = table.iter_rows(named=True)
    assert (students["norm_mean"], students["norm_sd"], students["norm_n"]) == (0.25, 0.25, 200)
    assert (students["file_mean"], students["file_sd"], students["of"]) == (3.5, 0.5, "mean")
    assert (students["roles"], students["mean"], students["sd"]) == (3, 0.5, 0.25)
    assert students["difference"] == pytest.approx(1) and students["remark"] is None
    wide = t.ppf(0.975, 2) * 0.25 / 3**0.5 / 0.25
    assert [students["low"], students["high"]] == pytest.approx([1 - wide, 1 + wide])
    assert (clerks["norm_mean"], clerks["norm_sd"], clerks["difference"]) == (0.0, 0.5, 1.0)
    assert (guests["norm_mean"], guests["difference"], guests["remark"]) == (0.0, None, "the norm has no SD")
    assert joy["norm_mean"] is joy["difference"] is None
    assert "no linear function of the score: codes of the scale 'uneven'" in joy["remark"]


def test_what_a_norm_is_not_of_is_not_compared(tmp_path):
    scores = plain("Order", [0.25, 0.5, 0.75])
    table = norm_table(inputs_of(tmp_path, answers={"midpoint": "missing"}), scores)
    assert table["difference"].null_count() == table["norm_mean"].null_count() == 4
    assert "midpoint: missing" in table["remark"][0]
    inputs = inputs_of(tmp_path)
    items = (*inputs.items, replace(inputs.items[0], item_id="x", questionnaire="Other"))
    table = norm_table(replace(inputs, items=items), scores)
    assert table["norm_mean"][0] is None and "items of Other" in table["remark"][0]
    apart = inputs_of(tmp_path, group_by="scale")
    table = norm_table(apart, plain("Own: Order", [0.25, 0.5, 0.75]))
    assert table["value"][0] == "Own: Order" and table["difference"][0] == pytest.approx(1)
    table = norm_table(inputs_of(tmp_path, split={"items": 0.5}), scores)
    assert table["difference"][0] == pytest.approx(1) and "some of its items" in table["remark"][0]


def test_roles_that_do_not_differ_and_roles_without_scores(tmp_path):
    inputs = inputs_of(tmp_path)
    first = norm_table(inputs, plain("Order", [0.5] * 3)).row(0, named=True)
    assert first["low"] == first["high"] == pytest.approx(1)
    one = norm_table(inputs, plain("Order", [0.5, None, None])).row(0, named=True)
    assert (one["roles"], one["difference"], one["low"]) == (1, pytest.approx(1), None)
    none = norm_table(inputs, plain("Order", [None] * 3)).row(0, named=True)
    assert (none["roles"], none["mean"], none["remark"]) == (0, None, "no scored answer")


def test_norms_and_origins_are_kept_with_the_run(tmp_path):
    inputs = inputs_of(tmp_path)
    assert inputs.norms[("Own", "Order")][1].of == "sum" and inputs.origins[0].notes == ("One.", "Two.")
    save_inputs(inputs, tmp_path / "inputs.json")
    assert load_inputs_snapshot(tmp_path / "inputs.json") == inputs
    assert inputs.items[0].scale == Scale.of(
        "fit5", ["Not at all", "A little", "Partly", "Mostly", "Completely"]
    )


def test_a_study_without_norms_has_an_empty_table(tmp_path):
    table = norm_table(replace(inputs_of(tmp_path), norms={}), plain("Order", [0.25, 0.5, 0.75]))
    assert table.is_empty() and table.columns[:2] == ["questionnaire", "name"]

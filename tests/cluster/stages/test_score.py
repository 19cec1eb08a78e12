"""Scoring and discovery of a run that is still sampling: parts of it, and only numbers that will stay."""

import polars as pl
import pytest

from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.cluster.stages.score import covered, is_partial
from axiograph.engine.runs.run_dir import RunDir, create_run
from axiograph.engine.study.loading import load_study
from tests import studies


class Stops:
    """The executor of this process, stopped from the keyboard behind `tables` tables of 64 answers."""

    def __init__(self, make_worker, tables):
        self._inner, self._left = InProcessExecutor(make_worker), tables

    def run(self, requests):
        for table in self._inner.run(requests):
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            yield table


def sampled(study, tables):
    loaded = load_study(study)
    run = create_run(loaded.out)
    prepared = prepare(loaded, run)
    with pytest.raises(KeyboardInterrupt):
        sample(prepared, run, Stops(prepared.make_worker, tables))
    return run


def test_what_is_complete_is_scored_as_it_will_be_at_the_end(axiograph, study_assets, tmp_path):
    study = studies.write(tmp_path, study_assets)
    run = sampled(study, 10)  # 640 of 840 answers
    code, out, err = axiograph("score", run.path)
    assert code == 0, err
    assert "640 of 840 requests are answered" in out
    part = pl.read_parquet(run.scores / "profiles.parquet")
    assert is_partial(run)
    cells = covered(run).select("role", "condition").unique().collect()
    assert 0 < cells.height == part.height < 70 and f"{cells.height} of 70 pairs" in out
    # Some role is broken off in the middle, and in none of the tables.
    stored = run.store().scan().select("role", "condition").unique().collect()
    assert stored.height > cells.height
    code, out, err = axiograph("discover", run.path, "--jobs", 1)
    assert code == 0, err
    assert "640 of 840 requests are answered" in out
    code, _, err = axiograph("run", study, "--jobs", 1)
    assert code == 0, err
    assert not is_partial(run)
    whole = pl.read_parquet(run.scores / "profiles.parquet")
    assert whole.height == 70
    both = part.join(whole, on=["role", "condition"], suffix="_whole", validate="1:1")
    assert both.height == part.height
    for value in studies.VALUES:
        assert (both[value] - both[f"{value}_whole"]).abs().max() < 1e-12


def test_a_run_without_a_complete_role_says_so(axiograph, study_assets, tmp_path):
    study = studies.write(tmp_path, study_assets, sampling={"max_tokens": 6, "batch_size": 1})
    run = sampled(study, 1)  # four answers; a role is asked twelve
    code, _, err = axiograph("score", run.path)
    assert code == 1 and "none yet (4 of 840 requests are answered)" in err
    assert not is_partial(RunDir(run.path))

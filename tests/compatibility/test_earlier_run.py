"""A run directory that an earlier version left (README.md) is opened, resumed and reported by this one."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from axiograph.discovery.stored import GraphChoice, StoredDiscovery

HERE = Path(__file__).parent
RESPONDENT = HERE.parents[1] / "engine" / "assets" / "respondent"
MADE_WITH = "/tmp/axiograph-a3ab9e2/engine/assets/respondent"  # where RESPONDENT was then
ANSWERS = 2240


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study file, with the run that the earlier version made of it in `run` beside it."""
    monkeypatch.setenv("RESPONDENT", str(RESPONDENT))
    for name in ("study.yaml", "items.csv"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    file = tmp_path / "study.yaml"  # which names neither: the defaults were these
    defaults = "algorithm: pc, threshold: 0.5, "
    file.write_text(file.read_text().replace("discovery: {", "discovery: {" + defaults))
    return unpacked(tmp_path) / "study.yaml"


def unpacked(folder: Path) -> Path:
    with tarfile.open(HERE / "run-a3ab9e2.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The run as the earlier version left it."""
    return unpacked(tmp_path_factory.mktemp("stored")) / "run"


def parts(run: Path) -> dict[str, bytes]:
    """The stored answers, by file."""
    return {path.name: path.read_bytes() for path in (run / "responses").glob("*.parquet")}


def assert_same_tables(folder: Path, stored: Path) -> None:
    """Every table, graph and replicate of the earlier version; floats but for rounding. A later version may
    have added columns."""
    for pattern, read in (("*.parquet", pl.read_parquet), ("*.csv", pl.read_csv)):
        for path in stored.glob(pattern):
            now, then = (anywhere(read(table)) for table in (folder / path.name, path))
            assert_frame_equal(now.select(then.columns), then, rel_tol=1e-9, abs_tol=1e-12)


# Of the tables that rest on a test or on the graph, what does not. The test of the earlier version was a
# bootstrap, which finds false changes with few roles, and its intervals were the bootstrap's.
UNTESTED = {
    "changes": ("condition", "value", "pairs", "mean_difference"),
    "dose_response": ("sweep", "strength", "condition", "value", "pairs", "mean", "difference"),
    "trends": ("sweep", "feature", "unit", "value", "strengths", "roles", "tau"),
    "unreadable": ("condition", "roles", "answers", "refused", "unparsed", "share", "rise", "state"),
    # Against the graph of the version: it was that of all roles, and is the consensus since.
    "relations": ("value", "other"),
    "between_roles": ("value", "relation", "roles"),
    "responses": (),
    "pooled": (),
    "contrasts": (),
}


def assert_same_effects(folder: Path, stored: Path) -> None:
    """Every table of effects, without what the test of changes decides."""
    for path in [*stored.glob("*.parquet"), *stored.glob("*.csv")]:
        read = pl.read_parquet if path.suffix == ".parquet" else pl.read_csv
        now, then = (anywhere(read(table)) for table in (folder / path.name, path))
        columns = UNTESTED.get(path.stem, then.columns)
        assert_frame_equal(now.select(columns), then.select(columns), rel_tol=1e-9, abs_tol=1e-12)


def anywhere(table: pl.DataFrame) -> pl.DataFrame:
    """Without the folder in which the respondent was then, or is now."""
    texts = pl.col(pl.String)
    return table.with_columns(texts.str.replace_many([MADE_WITH, str(RESPONDENT)], ["RESPONDENT"] * 2))


def assert_same_graph(folder: Path, stored: Path) -> None:
    """The graphs, which have other names since, their frequencies and every replicate."""
    now_stored, then_stored = StoredDiscovery(folder), StoredDiscovery(stored)
    assert then_stored.is_earlier and not now_stored.is_earlier
    assert not list(folder.glob("consensus.*"))  # it would be read as another graph
    for choice in GraphChoice:
        assert now_stored.graph(choice) == then_stored.graph(choice)
    assert then_stored.strengths() is None and now_stored.strengths() is not None
    now, then = np.load(folder / "replicates.npz"), np.load(stored / "replicates.npz")
    assert set(now.files) >= set(then.files)
    for name in then.files:
        np.testing.assert_array_equal(now[name], then[name])
    for name in ("edges.parquet", "ancestors.parquet"):
        assert_frame_equal(pl.read_parquet(folder / name), pl.read_parquet(stored / name))


def test_it_is_opened(study, axiograph):
    code, out, _ = axiograph("status", study.parent / "run")
    assert code == 0
    assert f"{ANSWERS:,}" in out
    code, out, _ = axiograph("show", study.parent / "run")
    assert code == 0
    assert "benevolence-01" in out


def test_every_answer_is_known_and_every_stage_gives_the_same(study, stored, axiograph):
    run = study.parent / "run"
    code, out, error = axiograph("run", study)
    assert code == 0, error
    assert parts(run) == parts(stored)
    assert_frame_equal(pl.read_parquet(run / "plan.parquet"), pl.read_parquet(stored / "plan.parquet"))
    assert_same_tables(run / "scores", stored / "scores")
    assert_same_graph(run / "graph", stored / "graph")
    assert_same_effects(run / "effects", stored / "effects")
    assert (run / "report" / "report.html").stat().st_size > 100_000
    assert "report.html" in out


def test_stages_run_again_alone(study, stored, axiograph):
    run = study.parent / "run"
    for stage, written in (("score", "scores"), ("discover", "graph"), ("effects", "effects")):
        for path in (run / written).iterdir():
            path.unlink()
        code, _, error = axiograph(stage, run)
        assert code == 0, error
        names, earlier = ({path.name for path in (at / written).iterdir()} for at in (run, stored))
        assert names >= {name for name in earlier if not name.startswith("consensus.")}
    assert_same_tables(run / "scores", stored / "scores")
    assert_same_graph(run / "graph", stored / "graph")
    assert_same_effects(run / "effects", stored / "effects")
    assert axiograph("report", run)[0] == 0


def test_one_role_more_is_asked_alone(study, stored, axiograph):
    run = study.parent / "run"
    study.write_text(study.read_text().replace("no_role: false", "no_role: true"))
    code, _, error = axiograph("run", study)
    assert code == 0, error
    answers, earlier = (pl.read_parquet(folder / "responses" / "*.parquet") for folder in (run, stored))
    new = answers.join(earlier, on="request_id", how="anti")
    assert_frame_equal(
        # Parts of today have the columns of answer scales as well.
        answers.join(earlier.select("request_id"), on="request_id", how="semi")
        .sort("request_id")
        .select(earlier.columns),
        earlier.sort("request_id"),
    )
    assert answers.height == ANSWERS + new.height == answers["request_id"].n_unique()
    assert (new["role"].n_unique(), new["condition"].n_unique(), new["item_id"].n_unique()) == (1, 1, 16)
    assert new.height == 16

"""A run in an object store, through the command line: everything that works on a directory works there."""

from __future__ import annotations

import polars as pl
import pytest
import yaml

from axiograph.engine.runs.run_dir import open_run
from axiograph.engine.storage.remote import RemoteFolder
from tests import studies


@pytest.fixture
def study(study_assets, tmp_path):
    """A small study whose own `out` is an address, from an environment variable."""
    path = studies.write(tmp_path, study_assets, out="${BUCKET}/run")
    data = yaml.safe_load(path.read_text())
    data["roles"]["generate"][0]["n"] = 12
    path.write_text(yaml.safe_dump(data))
    return path


def fetch(address, folder):
    """The whole run as a directory."""
    for file in RemoteFolder(address).files():
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        file.fetch(path)
    return folder


def test_every_command_works_on_an_address(axiograph, study, bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("BUCKET", bucket)
    out = f"{bucket}/run"
    code, said, error = axiograph("run", study, "--jobs", "1")
    assert code == 0, error
    assert f"Everything is in {out}" in said
    assert "axiograph-run-" not in said  # the local copy is nobody's business
    code, said, _ = axiograph("run", study, "--jobs", "1")
    assert code == 0 and "nothing was asked" in said
    code, said, _ = axiograph("status", out)
    assert code == 0 and "(100.0 %)" in said
    code, said, _ = axiograph("plan", study, "--calibrate", "0")
    assert code == 0 and "0 are left to ask" in said
    row = open_run(out).store().scan().select("request_id", "text").head(1).collect()
    code, said, _ = axiograph("show", out, row["request_id"][0].hex())
    assert code == 0 and row["request_id"][0].hex() in said

    # The same bytes on a disk are a run, with the same numbers.
    copy = fetch(out, tmp_path / "copy")
    before = pl.read_parquet(copy / "scores" / "profiles.parquet")
    for stage in ("score", "discover", "effects"):
        code, there, error = axiograph(stage, out)
        assert code == 0, error
        code, here, _ = axiograph(stage, copy)
        assert code == 0
        assert there == here
    again = fetch(out, tmp_path / "again")
    assert pl.read_parquet(again / "scores" / "profiles.parquet").equals(before)
    for name in ("graph/edges.parquet", "effects/changes.parquet", "effects/between_roles.parquet"):
        assert pl.read_parquet(again / name).equals(pl.read_parquet(copy / name))
    assert not [file.name for file in RemoteFolder(out).files() if file.name.startswith(".lock")]


def test_what_goes_wrong_there_is_said_with_its_address(axiograph, study, bucket, monkeypatch):
    monkeypatch.setenv("BUCKET", bucket)
    for command in ("status", "show", "score", "discover", "effects"):
        code, _, error = axiograph(command, f"{bucket}/nothing")
        assert code == 2
        assert (
            f"run directory {bucket}/nothing: expected a directory that `axiograph run` has written" in error
        )
    code, _, error = axiograph("run", study, "--out", "s3://")
    assert code == 2
    assert "s3://BUCKET" in error

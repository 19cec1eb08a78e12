"""A run directory is made, found again, told from other folders, and written by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.run_dir import RunDir, create_run, open_run

REPOSITORY = Path(__file__).parents[3]


def test_a_new_run_and_an_existing_one(tmp_path):
    run = create_run(tmp_path / "deep" / "run")
    assert run.path.is_dir()
    run.write_manifest({"requests": 3})
    assert open_run(run.path) == run == create_run(run.path)
    assert run.manifest() == {"format": "axiograph-run", "version": 1, "requests": 3}
    (run.path / "notes.txt").write_text("a run may hold other files")
    assert create_run(run.path) == run
    assert run.store().count().rows == 0


def test_an_empty_folder_will_do(tmp_path):
    assert create_run(tmp_path).path == tmp_path


@pytest.mark.parametrize("name", ["thesis.docx", "responses.csv", ".git"])
def test_a_folder_of_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=rf"an empty directory or a run.*other files \({name}\)"):
        create_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_a_run_writes_before_its_manifest_does_not_stop_it_from_going_on(tmp_path):
    """A run that was killed in its first second left some of these and no manifest."""
    run = RunDir(tmp_path)
    run.store()
    files = [run.inputs_file, run.plan_file, run.scales_file, run.features_file, tmp_path / ".lock"]
    temporary = [".plan.new.parquet", "..plan.new.parquet.77.tmp", ".manifest.json.77.tmp"]
    for path in (*files, *(tmp_path / name for name in temporary)):
        path.write_text("")
        assert create_run(tmp_path) == run


def test_files_and_forbidden_places(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a directory, found a file"):
        create_run(tmp_path / "file")
    with pytest.raises(InputError, match="a directory that can be made"):
        create_run(tmp_path / "file" / "run")


@pytest.mark.parametrize(("make", "found"), [(False, "no such directory"), (True, "no manifest.json")])
def test_what_is_no_run_cannot_be_opened(tmp_path, make, found):
    path = tmp_path / "run"
    if make:
        path.mkdir()
    with pytest.raises(InputError, match=f"axiograph run.*found {found}") as caught:
        open_run(path)
    assert str(path) in str(caught.value)
    assert path.exists() is make


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"format": "axio',
        "[]",
        "{}",
        '{"format": "other", "version": 1}',
        '{"format": "axiograph-run", "version": 9}',
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=r"manifest\.json: expected an axiograph-run manifest of version 1"):
        open_run(tmp_path)


HOLD = """
import sys, time
from pathlib import Path
from axiograph.engine.runs.run_dir import create_run
with create_run(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_and_death_frees_the_lock(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with (
                pytest.raises(
                    RunError, match=r"no other process writing to it, found one that holds its lock"
                ),
                create_run(tmp_path).locked(),
            ):
                raise AssertionError("two writers")
        finally:
            other.send_signal(signal.SIGKILL)
    with create_run(tmp_path).locked():
        pass


def test_the_lock_goes_when_the_work_fails(tmp_path):
    run = create_run(tmp_path)
    with pytest.raises(ZeroDivisionError), run.locked():
        raise ZeroDivisionError
    with run.locked(), pytest.raises(RunError), run.locked():
        pass


def test_a_directory_that_may_not_be_written(tmp_path):
    (tmp_path / ".lock").mkdir()  # what even the superuser cannot open for writing
    with pytest.raises(InputError, match="a directory that may be written"), RunDir(tmp_path).locked():
        pass

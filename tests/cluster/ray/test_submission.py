"""Submission: what is packed, what never is, and jobs on a real cluster that wants a token."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import axiograph
from axiograph.cluster.ray import submission as bundle_module
from axiograph.cluster.ray.submission import check_variables, entrypoint, pack, submit
from axiograph.engine.errors import InputError, RunError
from axiograph.engine.plan.inputs import load_inputs
from axiograph.engine.runs.run_dir import open_run
from axiograph.engine.study.loading import load_study
from tests import studies
from tests.object_store import ENVIRONMENT


@pytest.fixture
def study(study_assets, tmp_path):
    return studies.write(tmp_path, study_assets)


def test_a_bundle_holds_the_study_its_files_and_the_code_and_nothing_else(study, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "responses.parquet").write_text("data of the run stay where they are")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret-of-anybody")
    folder = tmp_path / "bundle"
    folder.mkdir()
    made = pack(study, folder, "s3://bucket/run")
    assert made.out == "s3://bucket/run"
    assert made.left == []
    assert sorted(path.name for path in folder.iterdir()) == ["axiograph", "files", "study.yaml"]
    packages = {path.name for path in (folder / "axiograph").iterdir() if path.is_dir()}
    assert packages >= {"cluster", "discovery", "engine", "steering"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    here, there = load_study(study), load_study(folder / "study.yaml")
    assert there.out == "s3://bucket/run"
    assert load_inputs(there).items == load_inputs(here).items
    assert load_inputs(there).roles == load_inputs(here).roles
    assert (there.model.path / "config.json").is_file()
    assert there.model.path.is_relative_to(folder)
    texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not any(b"not-a-secret" in text or b"stay where they are" in text for text in texts)
    assert not list(folder.rglob("__pycache__"))
    assert made.size < 20_000_000


def test_a_bundle_holds_the_whole_package_and_runs_from_there(study, tmp_path):
    """Every file that git holds for the package, behind links too: code, assets, templates; no tests."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    pack(study, folder)
    package = folder / "axiograph"
    packed = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert packed == set(package_files())
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    code = "import axiograph.cli, axiograph.engine; print(axiograph.engine.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean(), capture_output=True, text=True
    )
    assert done.stdout.strip() == str(package / "engine" / "__init__.py"), done.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "axiograph.cli", "run", "--help"], cwd=folder, env=clean(), capture_output=True
    )
    assert shown.returncode == 0 and b"--retry-failed" in shown.stdout


def package_files():
    """Of the clone, by their path inside the package; folders that are links count with what is in them."""
    root = Path(axiograph.__file__).parent
    for path in root.iterdir():
        folder = path.resolve()
        for file in [folder] if path.is_file() else folder.rglob("*"):
            inside = Path(path.name) / file.relative_to(folder)
            hidden = any(part == "__pycache__" or part.startswith(".") for part in inside.parts)
            if file.is_file() and not hidden:
                yield inside.as_posix()


def clean():
    """The environment without what makes another copy of the package importable first."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_what_is_too_large_stays_and_is_named(study, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "LARGE", 100_000)
    folder = tmp_path / "bundle"
    folder.mkdir()
    made = pack(study, folder)
    model = load_study(study).model.path
    assert made.left == [model]
    assert load_study(folder / "study.yaml").model.path == model
    assert made.out == str(tmp_path / "run")


def test_a_study_with_a_missing_file_is_refused_before_anything_travels(study, tmp_path):
    data = yaml.safe_load(study.read_text())
    data["questionnaires"] = ["nowhere.csv"]
    study.write_text(yaml.safe_dump(data))
    (tmp_path / "bundle").mkdir()
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        pack(study, tmp_path / "bundle")


def test_the_entry_point_is_a_command_of_ours():
    from typer.main import get_command

    from axiograph.cli import app

    words = shlex.split(entrypoint("s3://bucket/a run", ["--jobs", "4"]))
    assert words[:4] == ["python", "-m", "axiograph.cli", "run"]
    parsed = get_command(app).commands["run"].make_context("run", words[4:])
    assert parsed.params["out"] == "s3://bucket/a run"
    assert parsed.params["ray"] == "auto"


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MY_PASSWORD", "GOOGLE_APPLICATION_CREDENTIALS"]
)
def test_credentials_are_not_given_to_a_job(name):
    check_variables({"AWS_ENDPOINT_URL": "http://store", "AWS_REGION": "x"})
    with pytest.raises(InputError, match=rf"--env {name}.*the name of a credential") as caught:
        check_variables({name: "not-a-secret-of-anybody"})
    assert "not-a-secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["localhost:8265", "ray://head:10001", "http://"])
def test_an_address_that_is_none_of_a_dashboard(study, address):
    with pytest.raises(InputError, match=r"--address: expected http://HOST:8265"):
        submit(study, address)


def test_a_cluster_that_does_not_answer(study):
    with pytest.raises(RunError, match=r"a Ray dashboard that answers.*ssh -L 8265"):
        submit(study, "http://127.0.0.1:9")


@pytest.mark.parametrize("arguments", [[], ["study.yaml", "--stop", "job"], ["--attach", "a", "--stop", "b"]])
def test_one_thing_at_a_time(axiograph, arguments):
    code, _, error = axiograph("submit", *arguments)
    assert code == 2
    assert "one of STUDY, --attach JOB, --stop JOB" in error


@pytest.fixture(scope="module")
def head(object_store):
    from tests.cluster.ray.ray_head import ray_head

    with ray_head(ENVIRONMENT | {"AWS_ENDPOINT_URL": object_store.url}) as running:
        yield running


def job_of(output: str) -> str:
    return output.split("Job ", 1)[1].split()[0]


@pytest.mark.slow
def test_a_study_runs_on_a_cluster_that_wants_a_token(head, study, bucket):
    """From the command to the answers in the object store: status and scores are read from here."""
    out = f"{bucket}/run"
    refused = head.axiograph(
        "submit", study, "--address", head.address, "--out", out, RAY_AUTH_MODE="disabled"
    )
    assert refused.returncode == 1
    assert "RAY_AUTH_MODE=token" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = head.axiograph(
        "submit", study, "--address", head.address, "--out", out, "--env", "AXIOGRAPH_TEST=1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Everything is in {out}" in done.stdout
    assert "answers in" in done.stdout
    run = open_run(out)
    assert run.store().count().rows == 840
    assert (run.graph / "graph.json").is_file()
    attached = head.axiograph("submit", "--address", head.address, "--attach", job_of(done.stdout))
    assert attached.returncode == 0
    assert f"Everything is in {out}" in attached.stdout
    texts = [done.stdout, done.stderr, run.manifest_file.read_text(), attached.stdout]
    assert not any(head.token in text or "not-a-secret" in text for text in texts)


@pytest.mark.slow
def test_a_job_is_stopped_and_continues_when_it_is_submitted_again(head, study, bucket):
    data = yaml.safe_load(study.read_text())
    data["roles"]["generate"][0]["n"] = 36
    data["sampling"] |= {"max_tokens": 40}
    data["scoring"] = {"mode": "generate"}
    study.write_text(yaml.safe_dump(data))
    out = f"{bucket}/run"
    arguments = ("submit", study, "--address", head.address, "--out", out)
    job = job_of(head.axiograph(*arguments, "--no-follow").stdout)
    while True:
        time.sleep(0.5)
        try:
            if open_run(out).store().count().rows:
                break
        except InputError:
            continue
    stopped = head.axiograph("submit", "--address", head.address, "--stop", job)
    assert stopped.stdout.strip() in (f"Job {job}: STOPPED", f"Job {job}: SUCCEEDED")
    before = set(open_run(out).store().ids().to_pylist())
    again = head.axiograph(*arguments)
    # The random model's answers cannot be read, which ends the job after sampling.
    assert f"{len(before)} were there" in again.stdout, again.stdout + again.stderr
    ids = open_run(out).store().ids().to_pylist()
    assert before <= set(ids)
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_a_job_that_fails_is_an_error_with_its_log(head, study, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("")
    done = head.axiograph("submit", study, "--address", head.address, "--out", tmp_path / "photos")
    assert done.returncode == 1
    assert "other files (me.jpg)" in done.stdout
    assert "expected to succeed, found FAILED" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_stopping_what_is_not_there(head):
    done = head.axiograph("submit", "--address", head.address, "--stop", "no-such-job")
    assert done.returncode == 1
    assert "no-such-job" in done.stderr
    assert "Traceback" not in done.stderr

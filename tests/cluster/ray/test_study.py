"""Studies on Ray with real models: the answers of an undisturbed run in this process, whatever dies."""

import importlib.util
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
import yaml

from axiograph import engine
from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.heartbeat import read_heartbeat
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.engine.runs.pending import pending
from axiograph.engine.runs.run_dir import RunDir, create_run
from axiograph.engine.study.loading import load_study
from tests import studies
from tests.cluster.ray import ray_nodes

ASSETS = Path(engine.__file__).parent / "assets" / "respondent"
ROUNDS = 8


def stored(run):
    """All rows, from the files, duplicates included."""
    columns = ["role", "condition", "item_id", "state", "text", "finish", "backend", "device"]
    files = sorted((run / "responses").glob("part-*.parquet"))
    tables = [pl.read_parquet(file).with_columns(pl.col(columns).cast(pl.String)) for file in files]
    return pl.concat(tables) if tables else pl.DataFrame({"request_id": []}, schema={"request_id": pl.Binary})


def same_answers(run, expected):
    """Whether the run has exactly the rows of `expected`, each once, with the same labels and answers."""
    rows, wanted = stored(run).sort("request_id"), expected.sort("request_id")
    labels = ["request_id", "role", "condition", "item_id", "state", "text", "backend", "device"]
    assert rows.select(labels).equals(wanted.select(labels))
    if rows["log_odds"].null_count() < rows.height:
        assert (rows["log_odds"] - wanted["log_odds"]).abs().max() < 1e-4
    assert pending(RunDir(run)).left == 0


@pytest.fixture(scope="module")
def undisturbed(study_assets, tmp_path_factory):
    """The tiny study's 840 answers, sampled in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    loaded = load_study(studies.write(folder, study_assets))
    run = create_run(loaded.out)
    prepared = prepare(loaded, run)
    sample(prepared, run, InProcessExecutor(prepared.make_worker))
    return stored(run.path)


def workers():
    """The processes of workers on this machine that descend from this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_study_on_ray_whose_worker_is_killed(axiograph, study_assets, undisturbed, ray_here, tmp_path):
    study = studies.write(tmp_path, study_assets, discovery={"replicates": 30})
    run, killed, done = tmp_path / "run", [], threading.Event()

    def kill():
        while not done.wait(0.2) and not killed:
            if stored(run).height and (alive := workers()):
                alive[0].send_signal(signal.SIGKILL)
                killed.append(alive[0].pid)

    thread = threading.Thread(target=kill)
    thread.start()
    code, out, err = axiograph("run", study, "--ray", "auto", "--workers", "2", "--jobs", "1")
    done.set()
    thread.join()
    assert code == 0, err
    assert "Ray: up to 2 workers (hf, 1 GPU each)" in out and "840 answers" in out
    same_answers(run, undisturbed)
    assert (run / "graph" / "graph.json").is_file()
    beat = read_heartbeat(RunDir(run))
    assert (beat.state, beat.executor, beat.reading.done) == ("done", "RayExecutor", 840)
    assert sum(worker.rows for worker in beat.reading.workers) == 840
    code, out, _ = axiograph("status", run)
    assert code == 0 and "done" in out


def sample_on_ray(study, address, seed):
    """What `axiograph run --ray ADDRESS` does up to the last answer; its process will be killed."""
    from axiograph.cluster.ray import executor as ray_executor
    from axiograph.cluster.ray.connection import joined, nodes
    from axiograph.cluster.ray.executor import RayExecutor, RayOptions
    from axiograph.cluster.ray.tasks import near_workers
    from axiograph.cluster.sampling.loop import sample
    from axiograph.cluster.sampling.meter import Meter
    from axiograph.cluster.sampling.preparation import prepare

    ray_executor.STORE_S = 0.1  # so few answers are stored at once otherwise, and faults would miss them
    loaded = load_study(study)
    run = create_run(loaded.out)
    with run.locked(), joined(address):
        prepared = prepare(loaded, run, near=near_workers({}, nodes()), mixed=True)
        meter = Meter()
        options = RayOptions(stall_s=8.0, lost_s=4.0)
        sample(prepared, run, RayExecutor(prepared.kinds(), meter, options), meter)


def drive(study, address, seed=0):
    process = multiprocessing.get_context("spawn").Process(
        target=sample_on_ray, args=(str(study), address, seed), daemon=False
    )
    process.start()
    return process


def wait_for_answers(run, process, count):
    while process.is_alive() and stored(run).height < count:
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_faults_at_random_moments_lose_nothing(study_assets, undisturbed, tmp_path):
    """Killed and stopped workers, killed nodes, killed drivers."""
    generator, hit = random.Random(11), []
    with ray_nodes.head(cpus=1, gpus=0) as cluster:
        others = [ray_nodes.add(cluster, cpus=1, gpus=1) for _ in range(2)]
        for number in range(ROUNDS):
            folder = tmp_path / f"round {number}"
            folder.mkdir()
            study, run = (
                studies.write(folder, study_assets, sampling={"max_tokens": 6, "batch_size": 4}),
                folder / "run",
            )
            fault = ("driver", "worker", "node", "stopped worker")[number % 4]
            process = drive(study, cluster.address)
            wait_for_answers(run, process, generator.randint(0, 400))
            time.sleep(generator.uniform(0, 0.3))
            at = stored(run).height
            if fault == "driver":
                process.kill()
            elif fault == "node":
                cluster.remove_node(others.pop(0), allow_graceful=False)
            elif alive := workers():
                alive[0].send_signal(signal.SIGKILL if fault == "worker" else signal.SIGSTOP)
            process.join(900)
            if fault == "driver":
                process = drive(study, cluster.address)
                process.join(900)
            assert process.exitcode == 0, fault
            same_answers(run, undisturbed)
            hit.append((fault, at))
            if fault == "node":
                others.append(ray_nodes.add(cluster, cpus=1, gpus=1))
    print(hit)
    assert sum(0 < at < 840 for _, at in hit) >= ROUNDS // 2, "the faults came before or behind the work"


def respondent_study(folder, backend):
    data = {
        "schema": 1,
        "name": "respondent",
        "model": {"path": str(ASSETS / "model"), "dtype": "float32", "device": "cpu", "backend": backend},
        "questionnaires": [str(ASSETS / "questionnaire.csv")],
        "values": ["Security"],
        "roles": {"generate": [{"fields": str(ASSETS / "role_fields.yaml"), "n": 4}]},
        "steering": [
            {"operations": [{"sae": {"path": str(ASSETS / "sae")}, "features": [396], "strengths": [0, 2]}]}
        ],
        "sampling": {"max_tokens": 40, "batch_size": 16},
        "out": "run",
    }
    folder.mkdir()
    (folder / "study.yaml").write_text(yaml.safe_dump(data))
    return folder / "study.yaml"


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_in_the_actors_gives_the_answers_of_vllm_in_this_process(tmp_path):
    for name, more in (("here", []), ("ray", ["--ray", "local", "--workers", "1"])):
        study = respondent_study(tmp_path / name, "vllm")
        command = [sys.executable, "-m", "axiograph.cli", "run", str(study), "--jobs", "1", *more]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        # So few roles make no graph: discovery ends the command, behind the last answer.
        assert "answers in" in done.stdout, done.stderr
    here, there = stored(tmp_path / "here" / "run"), stored(tmp_path / "ray" / "run")
    assert set(there["backend"]) == {"vllm"} and there.height == 5 * 12 * 3
    labels = ["request_id", "role", "condition", "text"]
    assert there.sort("request_id").select(labels).equals(here.sort("request_id").select(labels))


def test_local_mode_and_the_package_leave_ray_alone(study_assets, tmp_path):
    study = studies.write(tmp_path, study_assets, steering=[], values=["Order"])  # too few for a graph
    program = (
        "import sys, axiograph.cli, axiograph.cluster.site, axiograph.cluster.sampling.loop\n"
        "import axiograph.cluster.ray.executor, axiograph.cluster.ray.connection\n"
        "import axiograph.cluster.ray.worker\n"
        f"sys.argv = ['axiograph', 'run', {str(study)!r}, '--jobs', '1']\n"
        "try:\n    axiograph.cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'ray' not in sys.modules, 'ray was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    beat = json.loads((tmp_path / "run" / "heartbeat.json").read_text())
    assert beat["executor"] == "InTurn" and beat["state"] == "done"

"""SIGKILL at any moment loses nothing that was stored and asks nothing twice (DESIGN 4)."""

import multiprocessing
import random
import shutil
import signal
import time
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests import studies

KILLS = 14


class RecordingExecutor:
    """The in-process executor, writing down every id it is asked, before it is answered."""

    def __init__(self, make_worker, log: Path):
        from axiograph.cluster.sampling.executors import InProcessExecutor

        self._inner, self._log = InProcessExecutor(make_worker), log

    def run(self, requests):
        return self._inner.run(self._recorded(requests))

    def _recorded(self, requests):
        for table in requests:
            with self._log.open("a") as stream:
                stream.writelines(f"{i.hex()}\n" for i in table["request_id"].to_pylist())
            yield table


def sample_run(study: str, log: str) -> None:
    """What `axiograph run` does up to the last answer; runs in a process that will be killed."""
    from axiograph.cluster.sampling.loop import sample
    from axiograph.cluster.sampling.preparation import prepare
    from axiograph.engine.runs.run_dir import create_run
    from axiograph.engine.study.loading import load_study

    loaded = load_study(study)
    run = create_run(loaded.out)
    with run.locked():
        prepared = prepare(loaded, run)
        sample(prepared, run, RecordingExecutor(prepared.make_worker, Path(log)))


def start(study: Path, log: Path):
    context = multiprocessing.get_context("forkserver")
    # Imported once in the server: a child is then up in a moment, and can be killed at work.
    context.set_forkserver_preload(
        ["torch", "transformers", "axiograph.cluster.sampling.loop", "axiograph.cluster.sampling.preparation"]
    )
    process = context.Process(target=sample_run, args=(str(study), str(log)))
    process.start()
    return process


def wait_for_batches(process, log: Path, count: int) -> None:
    """Until `count` tables of requests were handed to the worker, or the process is done."""
    while process.is_alive():
        if log.exists() and len(log.read_text().split()) >= count * 64:
            return
        time.sleep(0.01)


def parts(run: Path) -> pl.DataFrame:
    """All stored rows, duplicates included, straight from the files."""
    files = sorted((run / "responses").glob("part-*.parquet"))
    if not files:
        return pl.DataFrame(schema={"request_id": pl.Binary, "text": pl.String, "log_odds": pl.Float64})
    tables = [pq.read_table(file, columns=["request_id", "text", "log_odds"]) for file in files]
    return pl.concat([pl.DataFrame(pl.from_arrow(table)) for table in tables])


@pytest.fixture
def whole(study_assets, tmp_path):
    """The same study, never interrupted; and how long that took."""
    seconds = 0.0
    for name in ("warm-up", "whole"):  # the first one also pays for starting the server of processes
        folder = tmp_path / name
        folder.mkdir()
        started = time.monotonic()
        process = start(studies.write(folder, study_assets), folder / "log")
        process.join()
        assert process.exitcode == 0
        seconds = time.monotonic() - started
    return parts(folder / "run"), seconds


@pytest.mark.slow
def test_killed_runs_continue_where_they_were(study_assets, tmp_path, whole):
    expected, seconds = whole
    study = studies.write(tmp_path, study_assets)
    run, generator = tmp_path / "run", random.Random(7)
    killed = partial = 0
    for attempt in range(200):
        before = set(parts(run)["request_id"])
        log = tmp_path / f"asked-{attempt}"
        process = start(study, log)
        if killed >= KILLS:
            process.join()
        elif attempt % 2:
            process.join(generator.uniform(0.1, 0.9) * seconds)
        else:
            wait_for_batches(process, log, generator.randint(1, 4))
            process.join(generator.uniform(0, 0.3))
        if process.is_alive():
            process.kill()
            process.join()
            # It may have come to its end between the question and the signal.
            assert process.exitcode in (-signal.SIGKILL, 0)
            killed += process.exitcode == -signal.SIGKILL
        asked = log.read_text().split() if log.exists() else []
        # Nothing that was stored is asked again, nothing is asked twice in one run, nothing is lost.
        assert not {bytes.fromhex(i) for i in asked} & before
        assert len(set(asked)) == len(asked)
        now = set(parts(run)["request_id"])
        assert before <= now
        partial += 0 < len(now) < 840
        if process.exitcode == 0:
            if killed >= 5 and partial >= 2:
                break
            shutil.rmtree(run)  # it was done before it could be killed often enough: once more
    assert killed >= 5 and partial >= 2, "the run was too fast to be killed at work"
    from axiograph.engine.runs.store import ResponseStore

    assert process.exitcode == 0
    final = ResponseStore(run / "responses").scan().select("request_id", "text", "log_odds").collect()
    joined = final.cast({"request_id": pl.Binary}).join(expected, on="request_id", suffix="_whole")
    assert joined.height == final.height == expected["request_id"].n_unique() == 840
    assert (
        joined["text"].equals(joined["text_whole"], null_equal=True)
        or (joined["text"] == joined["text_whole"]).all()
    )
    assert (joined["log_odds"] - joined["log_odds_whole"]).abs().max() < 1e-4
    twice = len(parts(run)) - final.height
    print(f"{killed} kills, {partial} with a part of the answers stored; {twice} stored twice, read once")

"""Ray Data as executor: every row once, whatever happens to the workers."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter

import pytest

from axiograph.cluster.ray import monitor as ray_monitor
from axiograph.cluster.ray.executor import RayOptions
from axiograph.cluster.sampling.executors import Kind
from axiograph.cluster.sampling.meter import Meter
from axiograph.engine.errors import RunError
from tests.cluster.ray.ray_cheap import CheapExecutor, CheapRecipe, ask, plan

pytestmark = pytest.mark.usefixtures("ray_here")
ROLES = [f"role {i}" for i in range(8)]


def executor(tmp_path, kinds=None, seconds=0.0, **options):
    kinds = kinds or [Kind("plain", CheapRecipe("cheap", tmp_path, seconds))]
    return CheapExecutor(kinds, Meter(), RayOptions(**{"workers": 2, "stall_s": 3.0} | options))


def once(rows, batches):
    """Whether there is one answer for each planned row, with the labels of that row."""
    wanted = {row["request_id"]: row for batch in batches for row in batch.to_pylist()}
    assert Counter(row["request_id"] for row in rows) == Counter(wanted.keys())
    for row in rows:
        asked = wanted[row["request_id"]]
        assert [row[name] for name in ("role", "condition", "item_id")] == [
            asked[name] for name in ("role", "condition", "item_id")
        ]
        assert row["finish"] == "failed" or row["text"] == f"about {asked['item_id']}"
    return {row["item_id"]: row["reason"] for row in rows if row["finish"] == "failed"}


def test_every_row_comes_once_from_the_kind_of_worker_of_its_role(tmp_path):
    few = frozenset(ROLES[:3])
    kinds = [
        Kind("steered", CheapRecipe("first", tmp_path), few),
        Kind("plain", CheapRecipe("second", tmp_path), frozenset(ROLES) - few),
    ]
    batches = plan([f"item {i}" for i in range(60)], ROLES)
    made = executor(tmp_path, kinds, workers=1, wave_rows=400)
    rows = ask(made, batches)
    assert once(rows, batches) == {}
    assert all((row["role"] in few) == (row["device"] == "first") for row in rows)
    shares = made.meter.read().workers
    assert sum(share.rows for share in shares) == len(rows)
    assert all(0 <= share.busy <= 1 for share in shares)


@pytest.mark.slow
def test_a_request_that_ends_its_worker_is_stored_as_failed_and_the_rest_is_answered(tmp_path):
    items = [f"item {i}" for i in range(40)]
    items[7], items[31] = "kills 7", "raises 31"
    batches = plan(items, ROLES[:1])
    failed = once(ask(executor(tmp_path), batches), batches)
    assert set(failed) == {"kills 7", "raises 31"}
    assert failed["raises 31"] == "failed: ValueError: no answer to raises 31"
    assert failed["kills 7"] == "failed: its worker died or stood still 3 times"


def test_a_worker_that_stands_still_is_replaced(tmp_path):
    batches = plan(
        ["item 0", "hangs 1", "item 2", "stops 3", *(f"item {i}" for i in range(4, 40))], ROLES[:1]
    )
    assert once(ask(executor(tmp_path), batches), batches) == {}
    assert {path.name for path in tmp_path.iterdir()} == {"hangs 1", "stops 3"}


def test_an_error_that_a_person_has_to_mend_ends_the_run(tmp_path):
    batches = plan([f"item {i}" for i in range(200)] + ["ends 200"], ROLES[:1])
    with pytest.raises(RunError, match="proof of steering: expected a proof"):
        ask(executor(tmp_path), batches)


@pytest.mark.slow
def test_workers_that_do_nothing_but_die_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_monitor, "DEATHS", 5)
    batches = plan([f"raises {i}" for i in range(64)], ROLES[:1])
    with pytest.raises(RunError, match="no answer to raises"):
        ask(executor(tmp_path), batches)


def kill_some_worker(seed):
    import psutil

    workers = [
        process
        for process in psutil.Process().children(recursive=True)
        if "MapWorker" in " ".join(process.cmdline())
    ]
    if workers:
        random.Random(seed).choice(workers).send_signal(signal.SIGKILL)
    return len(workers)


@pytest.mark.slow
def test_killed_workers_lose_nothing(tmp_path):
    batches = plan([f"item {i}" for i in range(150)], ROLES[:2])
    killed, done = [], threading.Event()

    def kill():
        while not done.wait(1.0) and len(killed) < 4:
            killed.extend([1] * min(1, kill_some_worker(len(killed))))

    thread = threading.Thread(target=kill)
    thread.start()
    rows = ask(executor(tmp_path, seconds=0.3), batches, rows_per_table=8)
    done.set()
    thread.join()
    assert once(rows, batches) == {}
    assert killed and os.getpid()

"""The store in an object store: whole parts whatever happens, damage named, one writer at a time."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from axiograph.engine.errors import InputError, RunError
from axiograph.engine.runs.id_set import IdSet
from axiograph.engine.runs.run_dir import create_run, open_run, run_at
from axiograph.engine.runs.store import ResponseStore
from axiograph.engine.storage import lock as lock_module
from axiograph.engine.storage import remote as remote_module
from axiograph.engine.storage.remote import ConflictError, RemoteFolder, is_remote
from tests.engine.runs.test_store import noise, request_id, responses, stored

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def store(bucket):
    return ResponseStore(RemoteFolder(f"{bucket}/run/responses"))


def names(object_store, bucket):
    found = object_store.client().list_objects_v2(Bucket=bucket.removeprefix("s3://"))
    return sorted(item["Key"] for item in found.get("Contents", []))


def uploads(object_store, bucket):
    return (
        object_store.client().list_multipart_uploads(Bucket=bucket.removeprefix("s3://")).get("Uploads", [])
    )


@pytest.mark.parametrize(
    ("place", "remote"),
    [("s3://b/run", True), ("gs://b/run", True), ("runs/s3", False), ("s3", False), (Path("s3://b"), False)],
)
def test_addresses_are_told_from_paths(place, remote):
    assert is_remote(place) is remote


def test_an_address_without_a_bucket_is_refused():
    with pytest.raises(InputError, match=r"s3://BUCKET"):
        RemoteFolder("s3:///")


def test_it_does_what_the_store_on_a_disk_does(store, tmp_path):
    disk = ResponseStore(tmp_path)
    for one in (store, disk):
        assert one.append(responses()) is None
        for group in ((1, 2), (2, 3), (4,), (4,)):
            one.append(responses(*group, text=f"{group}"))
    assert [part.name for part in store.parts()] == [part.name for part in disk.parts()]
    assert stored(store) == stored(disk)
    assert store.count() == disk.count()
    assert store.ids().to_pylist() == disk.ids().to_pylist()
    assert store.scan().collect().equals(disk.scan().collect())
    assert store.compact() == disk.compact() == 3
    assert stored(store) == stored(disk)
    assert [part.name for part in store.parts()] == [part.name for part in disk.parts()]


def test_many_parts_come_in_their_order(store):
    for number in range(25):
        store.append(responses(number))
    by_part = [pa.concat_arrays(ids.chunks).to_pylist()[0] for ids in _ids_by_part(store)]
    assert store.ids().to_pylist() == by_part
    assert len(IdSet(store.ids())) == 25


def _ids_by_part(store):
    from axiograph.engine.runs.parts import read_part

    return [read_part(part, ["request_id"])["request_id"] for part in store.parts()]


def test_a_store_travels_without_its_connection_or_credentials(store):
    store.append(responses(1))
    raw = pickle.dumps(store)
    assert b"not-a-secret" not in raw
    assert stored(pickle.loads(raw)) == {1: "Answer: yes"}


@pytest.mark.parametrize("reader", ["check", "ids", "scan", "count", "compact"])
def test_a_damaged_part_is_named(store, reader):
    store.append(responses(1, 2))
    part = store.append(responses(3))
    part.put(part.read_bytes()[:-1])
    with pytest.raises(RunError) as caught:
        getattr(store, reader)()
    assert f"response part {part}: expected a complete Parquet file" in str(caught.value)
    assert str(part).startswith("s3://")


def _is_piece(environ):
    return environ["REQUEST_METHOD"] == "PUT" and "partNumber=" in environ["QUERY_STRING"]


def test_an_upload_that_fails_in_the_middle_leaves_nothing(store, object_store, bucket, monkeypatch):
    """The second piece of a part is refused: no object is seen, and the pieces are taken back."""
    store.append(responses(1))
    before = names(object_store, bucket)
    monkeypatch.setattr(remote_module, "PIECE", 5 * 2**20)
    seen = []

    def refuse(environ):
        if _is_piece(environ):
            seen.append(environ["QUERY_STRING"])
        return _is_piece(environ) and "partNumber=2" in environ["QUERY_STRING"]

    object_store.refuse = refuse
    with pytest.raises(RunError, match=r"an object store that answers.*necessary privileges"):
        (store.folder / "part-00.parquet").put(os.urandom(11 * 2**20))
    assert len(seen) >= 2
    assert names(object_store, bucket) == before
    assert uploads(object_store, bucket) == []
    object_store.refuse = lambda _: False
    (store.folder / "part-00.parquet").put(bytes(11 * 2**20))
    assert (store.folder / "part-00.parquet").size() == 11 * 2**20


UPLOAD = """
import os, sys
from axiograph.engine.storage import remote
from axiograph.engine.storage.remote import RemoteFolder
remote.PIECE = 5 * 2**20
(RemoteFolder(sys.argv[1]) / "part-00.parquet").put(os.urandom(11 * 2**20))
print("done")
"""


def test_a_process_that_is_killed_while_it_uploads_leaves_no_part(store, object_store, bucket):
    store.append(responses(1))
    arrived, go_on = threading.Event(), threading.Event()

    def hold(environ):
        if _is_piece(environ) and "partNumber=2" in environ["QUERY_STRING"]:
            arrived.set()
            go_on.wait(30)
        return False

    object_store.refuse = hold
    process = subprocess.Popen([sys.executable, "-c", UPLOAD, str(store.folder)], cwd=REPOSITORY, text=True)
    assert arrived.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    go_on.set()
    assert stored(store) == {1: "Answer: yes"}
    assert len(store.parts()) == 1
    store.append(responses(2))
    assert set(stored(store)) == {1, 2}


def test_refused_credentials_and_missing_buckets_are_explained(store, object_store, bucket):
    object_store.refuse = lambda environ: True
    with pytest.raises(RunError, match=r"credentials in the environment") as caught:
        store.append(responses(1))
    assert "not-a-secret" not in str(caught.value)
    object_store.refuse = lambda environ: False
    nowhere = ResponseStore(RemoteFolder("s3://there-is-no-such-bucket/run"))
    with pytest.raises((InputError, RunError), match="there-is-no-such-bucket"):
        nowhere.append(responses(1))


def test_objects_are_made_and_replaced_on_condition(bucket):
    file = RemoteFolder(bucket) / "x"
    assert not file.exists()
    with pytest.raises(FileNotFoundError):
        file.read_bytes()
    tag = file.create(b"one")
    with pytest.raises(ConflictError):
        file.create(b"two")
    newer = file.replace(b"three", tag)
    with pytest.raises(ConflictError):
        file.replace(b"four", tag)
    assert file.read_tagged() == (b"three", newer)
    file.unlink()
    assert not file.exists()


def test_a_run_is_written_by_one_process_at_a_time(bucket):
    run, other = create_run(f"{bucket}/run"), create_run(f"{bucket}/run")
    with run.locked():
        wanted = rf"run {bucket}/run: expected no other process.*process {os.getpid()}"
        with pytest.raises(RunError, match=wanted):
            other.locked().__enter__()
    with other.locked():
        pass
    assert not (RemoteFolder(f"{bucket}/run") / ".lock").exists()


HOLD = """
import sys, time
from axiograph.engine.runs.run_dir import create_run
with create_run(sys.argv[1]).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_process_that_died_on_this_machine_is_taken_over(bucket):
    command = [sys.executable, "-c", HOLD, f"{bucket}/run"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    run = create_run(f"{bucket}/run")
    with pytest.raises(RunError, match=f"process {process.pid} on"):
        run.locked().__enter__()
    process.kill()
    process.wait()
    with run.locked():
        pass


def test_a_lock_without_a_sign_of_life_is_taken_over_and_its_holder_is_told(bucket, monkeypatch):
    run, other = create_run(f"{bucket}/run"), create_run(f"{bucket}/run")
    monkeypatch.setattr(lock_module, "BEAT_S", 3600.0)
    slow = run.locked()
    slow.__enter__()
    with pytest.raises(RunError, match="no other process"):
        other.locked().__enter__()
    monkeypatch.setattr(lock_module, "STALE_S", -1.0)
    with other.locked(), pytest.raises(RunError, match="hold its lock to the end"):
        slow.__exit__(None, None, None)
    assert not (RemoteFolder(f"{bucket}/run") / ".lock").exists()


def test_signs_of_life_keep_the_lock(bucket, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_S", 0.02)
    run = create_run(f"{bucket}/run")
    lock = RemoteFolder(f"{bucket}/run") / ".lock"
    with run.locked():
        tags = {lock.read_tagged()[1]}
        while len(tags) < 3:
            tags.add(lock.read_tagged()[1])
    assert not lock.exists()


def test_small_files_are_fetched_and_written_back_in_their_order(bucket, object_store):
    run = create_run(f"{bucket}/run")
    assert run.where == f"{bucket}/run"
    (run.path / "graph").mkdir()
    (run.path / "graph" / "graph.json").write_text("{}")
    run.write_manifest({"requests": 3})
    (run.path / ".hidden.tmp").write_text("")
    order = []
    object_store.refuse = lambda environ: bool(
        order.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
    )
    run.publish()
    assert [path.split("/run/")[1] for method, path in order if method == "PUT"] == [
        "graph/graph.json",
        "manifest.json",
    ]
    order.clear()
    run.publish()
    assert order == []
    (run.path / "scores").mkdir()
    (run.path / "scores" / "coverage.parquet").write_text("of a part")
    run.publish()
    (run.path / "scores" / "coverage.parquet").unlink()
    run.publish()
    assert "run/scores/coverage.parquet" not in names(object_store, bucket)
    run.store().append(responses(1))
    again = open_run(f"{bucket}/run")
    assert again.manifest()["requests"] == 3
    assert (again.path / "graph" / "graph.json").read_text() == "{}"
    assert not (again.path / "responses").exists()
    assert again.shown(again.manifest_file) == f"{bucket}/run/manifest.json"
    assert set(stored(again.store())) == {1}


def test_what_is_no_run_is_left_alone(bucket, object_store):
    with pytest.raises(InputError, match=r"axiograph run.*no manifest\.json"):
        open_run(f"{bucket}/nothing")
    (RemoteFolder(f"{bucket}/photos") / "me.jpg").put(b"x")
    for look in (create_run, open_run, run_at):
        with pytest.raises(InputError, match=r"other files \(me\.jpg\)"):
            look(f"{bucket}/photos")
    assert names(object_store, bucket) == ["photos/me.jpg"]


def test_ids_of_all_kinds_are_found():
    numbers = [0, 1, 2**64, 2**64 + 1, 2**127, 2**128 - 1]
    ids = pa.array([request_id(n) for n in [*numbers, 1, 2**64]], pa.binary(16))
    some = IdSet(ids)
    assert len(some) == len(numbers)
    assert some.ids().to_pylist() == [request_id(n) for n in numbers]
    asked = pa.array([request_id(n) for n in [2**64 + 1, 3, 2**127 + 1, 0, 2**128 - 1]], pa.binary(16))
    assert some.has(asked).tolist() == [True, False, False, True, True]
    assert some.has(ids[3:5]).all()
    assert noise().num_rows == 50

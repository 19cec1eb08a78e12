"""The store: parts complete or absent, retries without trace, damage named, nothing ever lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.errors import RunError
from axiograph.engine.runs import parts as parts_module
from axiograph.engine.runs import store as store_module
from axiograph.engine.runs.id_set import IdSet
from axiograph.engine.runs.store import RESPONSE_SCHEMA, ResponseStore


def request_id(number):
    return number.to_bytes(16, "big")


def responses(*numbers, text="Answer: yes", state="yes"):
    rows = [
        {
            "request_id": request_id(number),
            "role": f"role {number % 3}",
            "condition": "baseline",
            "item_id": f"item {number}",
            "repeat": 0,
            "mode": "generate",
            "state": state,
            "text": text,
            "answer_ids": [number, 7],
            "fallback": False,
        }
        for number in numbers
    ]
    return pa.Table.from_pylist(rows, schema=RESPONSE_SCHEMA)


def stored(store):
    """id → text as readers see it."""
    frame = store.scan().select("request_id", "text").collect()
    return {int.from_bytes(i, "big"): text for i, text in frame.iter_rows()}


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def store(tmp_path):
    return ResponseStore(tmp_path / "responses")


def test_empty(store):
    assert (store.count().rows, store.count().duplicates, store.count().parts) == (0, 0, 0)
    assert store.scan().collect().is_empty()
    assert store.scan().collect().columns == RESPONSE_SCHEMA.names
    assert len(store.ids()) == 0
    assert store.append(responses()) is None
    assert store.compact() == 0
    store.check()


def test_rows_come_back_as_they_went_in(store):
    table = responses(1, 2, 300)
    store.append(table)
    back = store.scan().collect()
    assert back.height == 3
    for column in table.column_names:
        wanted = table[column].to_pylist()
        assert back[column].to_list() == wanted, column
    strings = pa.table(
        {
            name: table[name].cast(pa.string()) if pa.types.is_dictionary(table[name].type) else table[name]
            for name in table.column_names
        }
    )
    assert store.append(strings) is not None  # a worker may send plain strings
    assert store.count().rows == 3


def test_a_table_of_other_columns_is_a_programming_error(store):
    with pytest.raises(ValueError, match="columns"):
        store.append(responses(1).drop_columns(["text"]))
    assert store.parts() == []


def test_a_retry_overwrites_itself_in_whatever_order(store):
    first = store.append(responses(1, 2, 3, text="first"))
    second = store.append(responses(3, 1, 2, text="second"))
    assert first == second
    assert stored(store) == dict.fromkeys((1, 2, 3), "second")
    assert store.count().duplicates == 0


def test_of_equal_ids_the_first_counts_and_the_rest_are_counted(store):
    parts = [store.append(responses(1, 2, text="a")), store.append(responses(2, 3, text="b"))]
    first = "a" if parts[0] < parts[1] else "b"
    count = store.count()
    assert (count.rows, count.duplicates, count.parts) == (4, 1, 2)
    assert stored(store) == {1: "a", 2: first, 3: "b"}
    assert store.scan().collect().height == len(IdSet(store.ids())) == 3


def failing(*numbers):
    """Rows whose answer could not be had."""
    rows = responses(*numbers, text="", state="unparsed").to_pylist()
    return pa.Table.from_pylist([row | {"finish": "failed"} for row in rows], schema=RESPONSE_SCHEMA)


def test_failed_rows_are_counted_and_can_be_forgotten(store):
    store.append(pa.concat_tables([responses(1, 2), failing(3)]))
    store.append(failing(4, 5))
    whole = store.append(responses(6))
    assert (store.failed(), store.rows()) == (3, 6)
    assert store.forget_failed() == 3
    assert stored(store) == dict.fromkeys((1, 2, 6), "Answer: yes")
    assert (store.failed(), len(store.parts())) == (0, 2) and whole in store.parts()
    # Asked again they are rows like any other.
    store.append(responses(3, 4, 5, text="at last"))
    assert {number for number, text in stored(store).items() if text == "at last"} == {3, 4, 5}
    assert store.count().duplicates == store.forget_failed() == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sets(st.integers(0, 20), min_size=1), max_size=6))
def test_ids_scan_and_count_agree_and_compaction_keeps_every_row(tmp_path_factory, groups):
    store = ResponseStore(tmp_path_factory.mktemp("store"))
    for group in groups:
        store.append(responses(*group, text=f"{sorted(group)}"))
    every = set().union(*groups)
    different = {frozenset(group) for group in groups}
    rows = sum(map(len, different))

    def check():
        count = store.count()
        assert (count.rows, count.duplicates) == (rows, rows - len(every))
        assert set(stored(store)) == every
        assert [int.from_bytes(i, "big") for i in IdSet(store.ids()).ids().to_pylist()] == sorted(every)
        assert len(store.ids()) == rows

    check()
    before = stored(store)
    removed = store.compact()
    check()
    assert stored(store) == before
    assert len(store.parts()) == min(1, len(different))
    assert removed == (len(different) if len(different) > 1 else 0)
    assert store.compact() == 0


def test_compaction_leaves_large_parts_and_keeps_to_its_target(store, monkeypatch):
    monkeypatch.setattr(store_module, "COMPACT_BELOW_ROWS", 4)
    monkeypatch.setattr(store_module, "COMPACT_TARGET_ROWS", 5)
    large = store.append(responses(*range(100, 105)))
    for number in range(12):
        store.append(responses(2 * number, 2 * number + 1))
    before = stored(store)
    store.compact()
    assert large in store.parts()
    assert stored(store) == before
    sizes = [pq.read_metadata(path).num_rows for path in store.parts()]
    assert max(sizes) <= 8
    assert len(sizes) < 13


@pytest.mark.parametrize("after", range(4))
def test_compaction_killed_between_merging_and_deleting_loses_nothing(store, monkeypatch, after):
    for number in range(4):
        store.append(responses(2 * number, 2 * number + 1, text=f"part {number}"))
    before, small = stored(store), store.parts()
    unlink, calls = Path.unlink, []

    def stop(path, missing_ok=False):
        if path.name.startswith("part-"):
            if len(calls) == after:
                raise KeyboardInterrupt
            calls.append(path)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stop)
        with pytest.raises(KeyboardInterrupt):
            store.compact()
    assert len(set(store.parts()) & set(small)) == 4 - after
    assert stored(store) == before
    assert store.count().duplicates == 2 * (4 - after)
    store.compact()
    assert stored(store) == before
    assert len(store.parts()) == 1


class Broken(Exception):
    pass


@pytest.mark.parametrize("error", [Broken(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("action", ["append", "compact"])
def test_a_fault_in_the_middle_of_writing_leaves_the_store_as_it_was(store, monkeypatch, error, action):
    store.append(responses(1, 2))
    store.append(responses(3))
    before, parts = stored(store), {path: path.read_bytes() for path in store.parts()}

    def half(table, path, **_):
        Path(path).write_bytes(b"PAR1 and no more")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(parts_module.pq, "write_table", half)
        with pytest.raises(RunError if isinstance(error, OSError) else Broken) as caught:
            store.append(responses(4, 5)) if action == "append" else store.compact()
    if isinstance(error, OSError):
        assert "No space left" in str(caught.value)
        assert "give the same command again" in str(caught.value)
    assert {path: path.read_bytes() for path in store.folder.iterdir()} == parts
    assert stored(store) == before


def test_what_a_killed_writer_left_is_no_part(store):
    store.append(responses(1))
    (store.folder / ".part-00ff.parquet.12345.tmp").write_bytes(b"PAR1 half")
    assert stored(store) == {1: "Answer: yes"}
    assert len(store.parts()) == 1


DAMAGE = {
    "cut in half": lambda raw: raw[: len(raw) // 2],
    "its end cut off": lambda raw: raw[:-1],
    "empty": lambda raw: b"",
    "zeros": lambda raw: bytes(len(raw)),
    "text": lambda raw: b"request_id,state\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("reader", ["check", "ids", "batches", "rows", "count", "scan", "compact"])
def test_a_damaged_part_is_named_by_every_reader(store, damage, reader):
    store.append(responses(1, 2))
    part = store.append(responses(3, 4))
    store.append(responses(5))
    part.write_bytes(DAMAGE[damage](part.read_bytes()))
    with pytest.raises(RunError) as caught:
        list(store.batches(["state"])) if reader == "batches" else getattr(store, reader)()
    text = str(caught.value)
    assert f"response part {part}: expected a complete Parquet file, found a damaged one" in text
    assert f"({part.stat().st_size} bytes" in text
    assert "Move this file away and give the run command again" in text
    assert len(store.parts()) == 3
    part.rename(part.with_suffix(".away"))
    assert set(stored(store)) == {1, 2, 5}


def test_a_part_that_is_compacted_away_while_it_is_read_is_no_damage(store, monkeypatch):
    store.append(responses(1, 2))
    store.append(responses(3))
    old, parts = store.parts(), store.parts
    store.compact()
    listed = [[*old, *parts()]]  # as listed before the small parts went
    monkeypatch.setattr(ResponseStore, "parts", lambda self: listed.pop() if listed else parts())
    store.check()
    listed = [old, old]
    assert sorted(i.as_py()[-1] for i in store.ids()) == [1, 2, 3]


def test_damage_before_the_footer_is_named_when_ids_are_read(store):
    part = store.append(responses(*range(100)))
    raw = bytearray(part.read_bytes())
    raw[4:200] = bytes(196)
    part.write_bytes(raw)
    with pytest.raises(RunError, match="damaged one"):
        store.ids()


def pages(part):
    """(column, first byte, number of bytes) of what the footer says of the column's pages."""
    group = pq.read_metadata(part).row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        start = column.data_page_offset
        if column.has_dictionary_page:
            start = min(start, column.dictionary_page_offset)
        yield column.path_in_schema, start, column.total_compressed_size


def test_a_flipped_bit_in_any_page_is_never_read_as_another_answer(store):
    """zstd pages without checksums would let many of them through, as other ids, states and texts. Where the
    flip is in what no reader needs, what is read is what was stored."""
    store.append(responses(1000, 1001))
    part = store.append(responses(*range(200), text="Answer: no"))
    raw, whole, found = part.read_bytes(), store.scan().collect(), 0
    for name, start, size in pages(part):
        column = name.split(".")[0]
        for place in (start + size - 1, start + size // 2 + 12, start + size - size // 4 - 1):
            damaged = bytearray(raw)
            damaged[min(place, start + size - 1)] ^= 1
            part.write_bytes(damaged)
            for read in (store.scan, lambda column=column: _scan_without_count(store).select(column)):
                try:
                    rows = read().collect(engine="streaming")
                except RunError as error:
                    assert f"response part {part}: expected a complete Parquet file, found a damaged" in str(
                        error
                    )
                    assert "Move this file away and give the run command again" in str(error)
                    found += 1
                else:
                    assert rows.equals(whole.select(rows.columns))
    assert found >= 5 * len(RESPONSE_SCHEMA)  # of 6: nearly every one is noticed
    part.write_bytes(raw)
    assert store.scan().collect().equals(whole)


def _scan_without_count(store):
    """Only the columns that are asked for are read: damage elsewhere is met where it is read."""
    import polars.io.plugins

    schema = store_module._scan_schema()
    return polars.io.plugins.register_io_source(store._frames, schema=schema)


def test_filters_and_heads_of_a_scan_are_those_of_a_frame(store):
    for start in range(0, 60, 10):
        store.append(responses(*range(start, start + 10), text=f"{start}"))
    whole = store.scan().collect()
    assert whole.height == 60
    assert store.scan().head(13).collect().equals(whole.head(13))
    wanted = pl.col("text") == "30"
    assert store.scan().filter(wanted).collect().equals(whole.filter(wanted))
    assert store.scan().filter(wanted).head(3).collect().equals(whole.filter(wanted).head(3))
    assert store.scan().head(35).filter(wanted).collect().equals(whole.head(35).filter(wanted))
    assert store.scan().select("state", "repeat").collect().equals(whole.select("state", "repeat"))
    assert store.scan().select(pl.len()).collect().item() == 60
    assert store.rows() == 60


def test_parts_of_another_version_are_refused(store):
    part = store.append(responses(1))
    table = pq.read_table(part)
    for metadata, named in (({b"axiograph.responses": b"99"}, "version 99"), (None, "version none")):
        pq.write_table(table.replace_schema_metadata(metadata), part)
        with pytest.raises(RunError, match=f"expected schema version 2, found {named}") as caught:
            store.check()
        assert part.name in str(caught.value)
    fewer = table.drop_columns(["seconds"]).replace_schema_metadata(RESPONSE_SCHEMA.metadata)
    pq.write_table(fewer, part)
    with pytest.raises(RunError, match="schema version 2"):
        store.scan()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from axiograph.engine.errors import RunError
from axiograph.engine.runs.id_set import IdSet
from axiograph.engine.runs.store import ResponseStore
from tests.engine.runs.test_store import noise, responses
store = ResponseStore(Path(sys.argv[1]))
store.append(responses(1, 2))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.append(noise())
except RunError as error:
    print(error)
"""


def noise():
    """A part of a megabyte that no compression makes smaller."""
    return pa.concat_tables([responses(number, text=os.urandom(20_000).hex()) for number in range(50)])


def test_a_limit_of_the_operating_system_is_met_without_loss(tmp_path):
    """A real refusal of the system, in the middle of the file: it may not grow beyond 20,000 bytes."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "expected room on the disk" in done.stdout
    assert "File too large" in done.stdout
    store = ResponseStore(tmp_path)
    assert set(stored(store)) == {1, 2}
    assert visible(tmp_path) == [path.name for path in store.parts()]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small tmpfs can be mounted by the superuser only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(small_disk):
    store = ResponseStore(small_disk / "responses")
    store.append(responses(1, 2))
    with pytest.raises(RunError, match="No space left on device"):
        store.append(noise())
    assert [path.name for path in store.folder.iterdir()] == [path.name for path in store.parts()]
    assert set(stored(store)) == {1, 2}
    store.append(responses(3))
    assert set(stored(store)) == {1, 2, 3}
    with pytest.raises(RunError, match="No space left on device"):
        parts_module.write_atomic(small_disk / "t.parquet", pl.DataFrame(noise()).write_parquet)
    assert visible(small_disk) == ["responses"]

"""Requests come in tables of the stated size, which grow where they may and while they are quick."""

from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiograph.cluster.sampling import requests as requests_module
from axiograph.cluster.sampling.loop import rows_per_table
from axiograph.cluster.sampling.requests import MOST_ROWS, QUICK_S, SLOW_S, Requests
from axiograph.engine.study.schema import SamplingSpec
from axiograph.engine.workers.machine import GPU_ROWS


def plan(*sizes):
    """Batches of consecutive numbers."""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [
        pa.RecordBatch.from_pydict({"n": range(start, start + size)})
        for start, size in zip(starts, sizes, strict=True)
    ]


@pytest.fixture
def sizes_of(monkeypatch):
    """sizes_of(requests, seconds): rows of each table, where table i takes `seconds[i]`, or the last."""
    clock = [0.0]
    monkeypatch.setattr(requests_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def sizes(requests, seconds):
        found, rows = [], []
        for i, table in enumerate(requests):
            found.append(table.num_rows)
            rows += table["n"].to_pylist()
            clock[0] += seconds[min(i, len(seconds) - 1)]
        assert rows == list(range(len(rows)))
        return found

    return sizes


def test_tables_have_the_stated_size_unless_they_may_grow(sizes_of):
    assert sizes_of(Requests(lambda block: block, plan(100, 50), 40), [0.0]) == [40, 40, 20, 40, 10]


def test_quick_tables_double_and_slow_ones_are_halved_down_to_the_first_size(sizes_of):
    requests = Requests(lambda block: block, plan(10_000), 100, growing=True)
    quick, fair, slow = QUICK_S - 1, QUICK_S + 1, SLOW_S + 1
    found = sizes_of(requests, [quick, quick, fair, slow, fair, slow, slow, slow, quick, fair])
    assert found[:11] == [100, 200, 400, 400, 200, 200, 100, 100, 100, 200, 200]


def test_no_table_outgrows_the_most(sizes_of):
    found = sizes_of(Requests(lambda block: block, plan(65_536), 1000, growing=True), [0.0])
    assert found[:5] == [1000, 2000, 4000, 8000, MOST_ROWS]
    assert max(found) == MOST_ROWS
    assert sizes_of(Requests(lambda block: block, plan(30_000), 10_000, growing=True), [0.0]) == [10_000] * 3


@given(st.lists(st.integers(1, 300), max_size=5), st.integers(1, 50), st.booleans())
def test_every_request_comes_once(sizes, rows, growing):
    tables = list(Requests(lambda block: block, plan(*sizes), rows, growing))
    assert [n for table in tables for n in table["n"].to_pylist()] == list(range(sum(sizes)))


@pytest.mark.parametrize(
    ("device", "sampling", "rows"),
    [
        ("cpu", {}, 256),
        ("cpu", {"batch_size": 10}, 40),
        ("cuda", {}, GPU_ROWS),
        ("cuda:1", {"batch_size": 10}, 40),
    ],
)
def test_the_first_table_fills_a_gpu_unless_the_study_says_how_many(device, sampling, rows):
    study = SimpleNamespace(sampling=SamplingSpec(**sampling))
    assert rows_per_table(SimpleNamespace(device=device, study=study)) == rows

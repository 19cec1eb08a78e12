"""What is left to ask: each id once, nothing that is stored, in plan order, whatever the batches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axiograph.engine.plan.rows import PLAN_SCHEMA
from axiograph.engine.runs import pending as pending_module
from axiograph.engine.runs.id_set import IdSet, sorted_ids
from axiograph.engine.runs.pending import left_to_ask

# Texts that two items of a cell share, also far from each other; 0 to 9 in every cell.
CELLS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=30), min_size=1, max_size=6)


def request_id(*parts):
    return sum(part * 31**place for place, part in enumerate(parts)).to_bytes(16, "big")


def write(path, cells, group):
    rows = [
        {
            "request_id": request_id(text, number),
            "role": f"role {number // 2}",
            "condition": ("baseline", "hot")[number % 2],
            "item_id": f"item {item}",
            "repeat": 0,
            "split": "train",
        }
        for number, texts in enumerate(cells)
        for item, text in enumerate(texts)
    ]
    pq.write_table(pa.Table.from_pylist(rows, PLAN_SCHEMA), path, row_group_size=group)
    return rows


@settings(max_examples=60, deadline=None)
@given(CELLS, st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 100))
def test_each_id_that_is_not_stored_once(tmp_path_factory, cells, group, batch, share, seed):
    path = tmp_path_factory.mktemp("plan") / "plan.parquet"
    rows = write(path, cells, group)
    every = list(dict.fromkeys(row["request_id"] for row in rows))
    random = np.random.default_rng(seed)
    stored = {i for i in every if random.random() < share}
    foreign = [request_id(99, 99)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending_module, "PLAN_BATCH_ROWS", batch)
        found = left_to_ask(path, IdSet(pa.array([*stored, *foreign], pa.binary(16))))
        asked = [i for part in found.batches() for i in part["request_id"].to_pylist()]
    assert asked == [i for i in every if i not in stored]
    assert (found.planned, found.already, found.left) == (len(every), len(stored), len(asked))
    assert found.roles == {row["role"] for row in rows if row["request_id"] not in stored}
    wanted = {}
    for row in {row["request_id"]: row for row in rows}.values():
        planned, left = wanted.get(row["condition"], (0, 0))
        wanted[row["condition"]] = planned + 1, left + (row["request_id"] not in stored)
    assert found.conditions == wanted


def test_row_groups_without_anything_to_ask_are_not_read(tmp_path):
    cells = [list(range(10))] * 6
    rows = write(tmp_path / "plan.parquet", cells, 10)
    stored = [row["request_id"] for row in rows[:50]]
    found = left_to_ask(tmp_path / "plan.parquet", IdSet(pa.array(stored, pa.binary(16))))
    assert found.groups == (5,)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**128 - 1) | st.integers(0, 9) | st.integers(2**64, 2**64 + 9), max_size=60))
def test_id_sets_are_sets(numbers):
    raw = [number.to_bytes(16, "big") for number in numbers]
    half = IdSet(pa.array(raw[::2], pa.binary(16)))
    assert len(half) == len(set(raw[::2]))
    assert half.ids().to_pylist() == sorted(set(raw[::2]))
    assert half.has(pa.array(raw, pa.binary(16))).tolist() == [i in set(raw[::2]) for i in raw]
    assert sorted_ids(pa.array(raw, pa.binary(16))) == b"".join(sorted(raw))

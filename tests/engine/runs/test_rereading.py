"""Answers that an earlier version stored are read by the rules of today; the files stay as they are."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from axiograph.engine.runs.rereading import READING
from axiograph.engine.runs.store import RESPONSE_SCHEMA, ResponseStore

OLD = RESPONSE_SCHEMA.with_metadata({k: v for k, v in RESPONSE_SCHEMA.metadata.items() if k != READING})
TEXTS = ("No, you can't.", "Answer: yes", "No, you can't.", "No, you can't.")


def row(number):
    """As the first version stored it: `No, you can't.` as a refusal."""
    values = dict.fromkeys(RESPONSE_SCHEMA.names)
    mode = "logprob" if number == 2 else "generate"
    finish = "failed" if number == 3 else "eos"
    judged = {"state": "refused", "reason": "refusal", "mode": mode, "finish": finish}
    return values | judged | {"request_id": bytes([number]) * 16, "repeat": 0, "text": TEXTS[number]}


@pytest.fixture
def store(tmp_path):
    table = pa.Table.from_pylist([row(number) for number in range(4)], schema=OLD)
    pq.write_table(table, tmp_path / "part-0.parquet", write_page_checksum=True)
    return ResponseStore(tmp_path)


def test_texts_are_judged_again_and_nothing_else_is(store):
    before = (store.folder / "part-0.parquet").read_bytes()
    frame = store.scan().select("state", "reason").collect()
    assert frame["state"].to_list() == ["no", "yes", "refused", "refused"]
    assert frame["reason"].to_list() == ["sentence", "answer-line", "refusal", "refusal"]
    assert store.scan().collect()["state"].to_list() == frame["state"].to_list()  # also with all columns
    assert (store.folder / "part-0.parquet").read_bytes() == before


def test_columns_come_as_they_were_asked_for(store):
    (batch,) = store.batches(["reason", "request_id"])
    assert batch.schema.names == ["reason", "request_id"]
    assert batch["reason"].to_pylist()[0] == "sentence"
    (batch,) = store.batches(["text"])
    assert batch.schema.names == ["text"]


def test_merged_and_rewritten_parts_keep_the_new_reading(store):
    read_today = row(0) | {"request_id": bytes([9]) * 16, "state": "unsure"}  # which is left as it is
    store.append(pa.Table.from_pylist([read_today], RESPONSE_SCHEMA))
    assert store.compact() == 2
    expected = ["no", "yes", "refused", "refused", "unsure"]
    assert store.scan().sort("request_id").collect()["state"].to_list() == expected
    assert store.forget_failed() == 1
    assert store.scan().sort("request_id").collect()["state"].to_list() == ["no", "yes", "refused", "unsure"]

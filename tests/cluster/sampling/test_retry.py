"""Rows that could not be had: announced at every start, and asked again on request."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from axiograph.cluster.sampling.executors import InProcessExecutor
from axiograph.cluster.sampling.loop import sample
from axiograph.cluster.sampling.preparation import prepare
from axiograph.engine.runs.run_dir import create_run
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.study.loading import load_study
from axiograph.engine.workers.worker import failed_columns
from axiograph.texts.run import sampled_text
from tests import studies


def test_failed_rows_are_announced_and_asked_again(axiograph, study_assets, tmp_path):
    path = studies.write(tmp_path, study_assets)
    study = load_study(path)
    run = create_run(study.out)
    prepared = prepare(study, run)
    worker, answered = prepared.make_worker(), {}

    def unable(requests):
        rows = worker(requests).to_pylist()
        for row in [row for row in rows if row["role"] == prepared.inputs.roles[2].name]:
            answered[row["request_id"]] = row["text"]
            row |= failed_columns("longer than 9 tokens")
        return pa.Table.from_pylist(rows, schema=RESPONSE_SCHEMA)

    first = sample(prepared, run, InProcessExecutor(lambda: unable))
    assert first.failed == len(answered) > 0
    note = f"Note: {len(answered):,} stored rows are no answers"
    assert note in sampled_text(first) and "--retry-failed" in sampled_text(first)
    again = sample(prepared, run, InProcessExecutor(lambda: unable))
    assert again.answered == 0 and note in sampled_text(again)
    code, out, err = axiograph("run", path, "--jobs", "1", "--retry-failed")
    assert code == 0, err
    assert f"{len(answered)} answers in" in out and "are no answers" not in out
    rows = run.store().scan().select("request_id", "text", pl.col("finish").cast(pl.String)).collect()
    assert rows.height == first.planned and "failed" not in set(rows["finish"])
    texts = dict(zip(rows["request_id"], rows["text"], strict=True))
    assert {name: texts[name] for name in answered} == answered

"""Rows/s and peak memory of scoring a large store; seconds until a plan that is 90 % done goes on.

    python benchmarks/store_scale.py make RUN --no-hashed    # the generated run, 10^8 responses
    python benchmarks/store_scale.py score RUN        # the stage score, as `axiograph score` runs it
    python benchmarks/store_scale.py pandas RUN       # the same profiles by pandas, all in memory
    python benchmarks/store_scale.py resume RUN --share 0.9 --roles 100      # to the first new request

The answers are drawn, not asked; everything else (plan, ids, parts, manifest) is what a run writes. Each
command prints hardware, versions and what it measured, its own process alone.
"""

from __future__ import annotations

import itertools
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from axiograph.cluster.sampling.loop import library_versions, write_plan
from axiograph.engine.plan.inputs import Inputs, load_inputs
from axiograph.engine.plan.rows import PLAN_BATCH_ROWS, PLAN_SCHEMA, Plan, PlanIdentity
from axiograph.engine.plan.snapshot import save_inputs
from axiograph.engine.runs.run_dir import RunDir, create_run, open_run
from axiograph.engine.runs.store import RESPONSE_SCHEMA
from axiograph.engine.study.loading import parse_study

PART_ROWS = 524_288
STATES = ("yes", "no", "unsure", "refused", "unparsed")
SHARES = (0.48, 0.40, 0.08, 0.02, 0.02)
app = typer.Typer()


@app.command()
def make(
    run: Path,
    roles: int = 1000,
    conditions: int = 100,
    items: int = 1000,
    share: float = 1.0,
    hashed: Annotated[
        bool, typer.Option(help="Ids as a plan hashes them, or drawn, which is faster.")
    ] = True,
) -> None:
    """A run of roles × conditions × items requests, `share` of them answered, from the plan's beginning."""
    directory = create_run(run)
    plan = make_plan(run, roles, conditions, items)
    with measured(len(plan), "plan rows written"):
        write_plan(plan if hashed else DrawnPlan(plan), directory.plan_file)  # type: ignore[arg-type]
    save_inputs(plan.inputs, directory.inputs_file)
    directory.write_manifest({"requests": len(plan), "identity": {"base": ""}})
    wanted, generator = int(len(plan) * share), np.random.default_rng(0)
    with measured(wanted, "responses stored"):
        for table in drawn(directory, wanted, generator):
            directory.store().append(table)
    size = sum(part.stat().st_size for part in (run / "responses").iterdir())
    print(f"{size / 1e9:.2f} GB in {len(directory.store().parts())} parts")


@app.command()
def score(run: Path) -> None:
    """The stage score."""
    from axiograph.cluster.stages.score import score as stage

    directory = open_run(run)
    rows = directory.store().rows()
    with measured(rows, "responses scored"):
        stage(directory)


@app.command(name="pandas")
def by_pandas(run: Path) -> None:
    """Profiles over values by pandas with everything in memory: what a notebook would do."""
    import pandas as pd

    directory = open_run(run)
    rows = directory.store().rows()
    with measured(rows, "responses scored by pandas"):
        plan = pd.read_parquet(directory.plan_file, columns=["request_id", "role", "condition", "item_id"])
        answers = pd.read_parquet(run / "responses", columns=["request_id", "state"])
        items = directory.inputs().items_frame().to_pandas()[["item_id", "value", "agreement", "shared"]]
        joined = plan.merge(answers, on="request_id").merge(items, on="item_id")
        sign = joined["state"].astype(str).map({"yes": 1.0, "no": -1.0, "unsure": 0.0})
        joined["score"] = sign * joined["agreement"]
        kept = joined[~joined["shared"]]
        table = kept.groupby(["condition", "role", "value"], observed=True)["score"].mean().unstack()
    print(f"{table.shape[0]:,} profiles of {table.shape[1]} values")
    compare_with_ours(directory, table)


def compare_with_ours(directory: RunDir, table: object) -> None:
    """The largest difference to the profiles that the stage has written, if it has."""
    path = directory.scores / "profiles.parquet"
    if path.is_file():
        ours = pl.read_parquet(path).to_pandas().set_index(["condition", "role"]).sort_index()
        theirs = table.sort_index()  # type: ignore[attr-defined]
        difference = (ours[list(theirs.columns)] - theirs).abs().max().max()
        print(f"largest difference to the profiles of the stage: {difference:.1e}")


@app.command()
def resume(
    run: Path,
    share: Annotated[float, typer.Option(help="Of the plan that is stored.")] = 0.9,
    roles: int = 100,
    conditions: int = 100,
    items: int = 1000,
) -> None:
    """From a prepared study to the first request that is handed to a worker, over a store made by `make`."""
    from axiograph.engine.runs.id_set import IdSet
    from axiograph.engine.runs.pending import left_to_ask

    directory = open_run(run)
    plan = make_plan(run, roles, conditions, items)
    with measured(len(plan), f"requests, {share:.0%} of them stored, to the first new one"):
        started = time.perf_counter()
        directory.store().check()
        new = directory.path / ".plan.new.parquet"
        write_plan(plan, new)
        print(f"  plan written           {time.perf_counter() - started:.1f} s")
        stored = IdSet(directory.store().ids())
        print(f"  stored ids read        {time.perf_counter() - started:.1f} s")
        todo = left_to_ask(new, stored)
        print(f"  what is left is known  {time.perf_counter() - started:.1f} s: {todo.left:,}")
        first = next(todo.batches())["request_id"][0].as_py().hex()
        print(f"  first new request      {time.perf_counter() - started:.1f} s: {first}")
    asked = sum(batch.num_rows for batch in todo.batches())
    assert (asked, todo.already) == (todo.left, len(stored))
    new.unlink()


def make_plan(folder: Path, roles: int, conditions: int, items: int) -> Plan:
    """roles × conditions × items, 20 values."""
    source = folder / ".source"
    source.mkdir(parents=True, exist_ok=True)
    rows = ["item_id,questionnaire,value,agreement,question"]
    rows += [f"i{i},Own,Value {i % 20},{1 if i // 20 % 2 else -1},Is number {i} good?" for i in range(items)]
    (source / "items.csv").write_text("\n".join(rows) + "\n")
    options = ", ".join(f"o{i}" for i in range(40))
    (source / "fields.yaml").write_text(f"A: [{options}]\nB: [{options}]\n")
    operation = {"sae": {"path": "sae"}, "features": list(range(conditions - 1)), "strengths": [1]}
    study = parse_study(
        {
            "schema": 1, "name": "scale", "model": {"path": "none"}, "questionnaires": ["items.csv"],
            "roles": {"generate": [{"fields": "fields.yaml", "n": roles}], "no_role": False},
            "steering": [{"operations": [operation]}] if conditions > 1 else [], "out": "run",
        },
        where="benchmark",
        base=source,
    )  # fmt: skip
    inputs: Inputs = load_inputs(study)
    steering = {c.name: c.name.encode().ljust(16) for c in inputs.conditions if c.is_steered}
    return Plan(inputs, PlanIdentity(bytes(16), "float32", bytes(16), steering))


class DrawnPlan:
    """The rows of a plan with random ids."""

    def __init__(self, plan: Plan) -> None:
        self._inputs, self._rows = plan.inputs, len(plan)

    def batches(self) -> Iterator[pa.RecordBatch]:
        inputs, generator = self._inputs, np.random.default_rng(1)
        sizes = (len(inputs.roles), len(inputs.conditions), len(inputs.items))
        names = [r.name for r in inputs.roles], [c.name for c in inputs.conditions]
        names += ([i.item_id for i in inputs.items],)
        dictionaries = [pa.array(column) for column in names]
        test = np.array([inputs.role_split[name] == "test" for name in names[0]], np.int8)
        for start in range(0, self._rows, PLAN_BATCH_ROWS):
            codes = np.unravel_index(np.arange(start, min(start + PLAN_BATCH_ROWS, self._rows)), sizes)
            count = len(codes[0])
            ids = [None, pa.py_buffer(generator.bytes(16 * count))]
            columns = [pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, ids)]
            columns += [
                pa.DictionaryArray.from_arrays(code.astype(np.int32), dictionary)
                for code, dictionary in zip(codes, dictionaries, strict=True)
            ]
            columns += [pa.array(np.zeros(count, np.int32))]
            columns += [pa.DictionaryArray.from_arrays(test[codes[0]], pa.array(["train", "test"]))]
            yield pa.RecordBatch.from_arrays(columns, schema=PLAN_SCHEMA)


def drawn(run: RunDir, wanted: int, generator: np.random.Generator) -> Iterator[pa.Table]:
    """Tables of at most PART_ROWS drawn responses to the first `wanted` rows of the plan."""
    with pq.ParquetFile(run.plan_file, read_dictionary=PLAN_SCHEMA.names[1:4]) as file:
        batches = file.iter_batches(PLAN_BATCH_ROWS)
        while wanted and (group := list(itertools.islice(batches, PART_ROWS // PLAN_BATCH_ROWS))):
            rows = pa.concat_batches(group)
            rows = rows.slice(0, min(rows.num_rows, wanted))
            wanted -= rows.num_rows
            yield answers_to(rows, generator)


def answers_to(rows: pa.RecordBatch, generator: np.random.Generator) -> pa.Table:
    """Drawn responses of generate mode, with a text and six tokens each."""
    count = rows.num_rows

    def word(text: str) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([text]))

    codes = generator.choice(len(STATES), count, p=SHARES).astype(np.int32)
    texts = pa.array([f" Answer: {state}, I think so.\n" for state in STATES])
    tokens = pa.array(np.tile(np.arange(6, dtype=np.int32), count))
    columns = {
        "request_id": rows["request_id"], "role": rows["role"], "condition": rows["condition"],
        "item_id": rows["item_id"], "repeat": rows["repeat"], "mode": word("generate"),
        "state": pa.DictionaryArray.from_arrays(codes, pa.array(STATES)), "reason": word("answer"),
        "text": texts.take(pa.array(codes)),
        "answer_ids": pa.ListArray.from_arrays(np.arange(0, 6 * count + 1, 6, dtype=np.int32), tokens),
        "finish": word("complete"), "log_odds": pa.nulls(count, pa.float64()),
        "mass": pa.nulls(count, pa.float64()), "fallback": pa.array(np.zeros(count, bool)),
        "prompt_tokens": pa.array(np.full(count, 170, np.int32)),
        "new_tokens": pa.array(np.full(count, 6, np.int32)), "steered_tokens": pa.nulls(count, pa.int32()),
        "proof_error": pa.nulls(count, pa.float32()), "backend": word("hf"), "device": word("drawn"),
        "dtype": word("float32"), "versions": word("none"),
        "seconds": pa.array(np.full(count, 0.01, np.float32)),
    }  # fmt: skip
    return pa.table(columns, schema=RESPONSE_SCHEMA)


class measured:
    """Prints wall and CPU seconds, rows/s and the peak memory of this process so far."""

    def __init__(self, rows: int, what: str) -> None:
        self._rows, self._what = rows, what

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, kind: object, *_: object) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        if kind is None:
            print(
                f"{self._rows:,} {self._what}: {wall:.1f} s, {self._rows / wall:,.0f} rows/s; "
                f"CPU {cpu:.1f} s, {self._rows / cpu:,.0f} rows per CPU second; peak memory {peak:.2f} GB",
                flush=True,
            )


if __name__ == "__main__":
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {library_versions()}"
    )
    print("$ " + " ".join(["python", *sys.argv]))
    app()

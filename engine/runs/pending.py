"""What a run still has to ask: the rows of its plan whose id is not stored, each id once (DESIGN 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from axiograph.engine.plan.rows import PLAN_BATCH_ROWS, PLAN_SCHEMA
from axiograph.engine.runs.id_set import IdSet
from axiograph.engine.runs.run_dir import RunDir


@dataclass(frozen=True)
class Pending:
    """`already`: planned requests that are stored, `left`: those that are not, equal ones once; `groups`: the
    row groups of the plan file in which there are any; `roles`: who is still asked something; `conditions`:
    of every condition how many requests are planned, and how many left."""

    plan_file: Path
    stored: IdSet
    already: int
    left: int
    groups: tuple[int, ...]
    roles: frozenset[str]
    conditions: Mapping[str, tuple[int, int]]

    @property
    def planned(self) -> int:
        """Different requests of the plan."""
        return self.already + self.left

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows to ask, in plan order (PLAN_SCHEMA). Row groups whose every id is stored are not read."""
        firsts = FirstRows()
        with _plan_file(self.plan_file) as file:
            for group in self.groups:
                for batch in file.iter_batches(PLAN_BATCH_ROWS, [group]):
                    chosen = batch.filter(pa.array(firsts.of(batch) & ~self.stored.has(batch["request_id"])))
                    if chosen.num_rows:
                        yield chosen


def pending(run: RunDir) -> Pending:
    """What the plan of `run` asks for and its store does not hold: one pass over the plan."""
    run.plan()  # says what is wrong with the file, if anything is
    return left_to_ask(run.plan_file, IdSet(run.store().ids()))


def left_to_ask(plan_file: Path, stored: IdSet) -> Pending:
    """What the plan in `plan_file` asks for beyond `stored`."""
    firsts = FirstRows()
    groups: list[int] = []
    roles: set[str] = set()
    planned: Counter[str] = Counter()
    left: Counter[str] = Counter()
    with _plan_file(plan_file) as file:
        for group in range(file.num_row_groups):
            before = left.total()
            for batch in file.iter_batches(PLAN_BATCH_ROWS, [group], ["request_id", "role", "condition"]):
                first = firsts.of(batch)
                asked = first & ~stored.has(batch["request_id"])
                planned.update(_counts(batch["condition"], first))
                left.update(_counts(batch["condition"], asked))
                roles.update(batch["role"].filter(pa.array(asked)).unique().to_pylist())
            if left.total() > before:
                groups.append(group)
    return Pending(
        plan_file,
        stored,
        already=planned.total() - left.total(),
        left=left.total(),
        groups=tuple(groups),
        roles=frozenset(roles),
        conditions={name: (count, left[name]) for name, count in planned.items()},
    )


def _counts(names: pa.DictionaryArray, chosen: np.ndarray) -> dict[str, int]:
    """How often each name stands where `chosen`."""
    numbers = np.bincount(names.indices.to_numpy()[chosen], minlength=len(names.dictionary))
    return dict(zip(names.dictionary.to_pylist(), numbers.tolist(), strict=True))


def _plan_file(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, read_dictionary=PLAN_SCHEMA.names[1:4])


class FirstRows:
    """Of plan rows that share an id the first. They stand in one role × condition, so that the ids of the one
    that the last batch broke off in are all there is to remember."""

    def __init__(self) -> None:
        self._cell: tuple[str, str] | None = None
        self._ids = IdSet(pa.array([], PLAN_SCHEMA.field("request_id").type))

    def of(self, batch: pa.RecordBatch) -> np.ndarray:
        """bool [rows]"""
        ids = batch["request_id"]
        first = pl.Series(ids.cast(pa.binary()), dtype=pl.Binary).is_first_distinct().to_numpy()
        if len(self._ids):
            first = first & ~self._ids.has(ids)
        self._remember(batch)
        return first

    def _remember(self, batch: pa.RecordBatch) -> None:
        last = batch.num_rows - 1
        cell = (batch["role"][last].as_py(), batch["condition"][last].as_py())
        same = np.ones(batch.num_rows, bool)
        for name in ("role", "condition"):
            codes = batch[name].indices.to_numpy()
            same &= codes == codes[last]
        chunks = [batch["request_id"].filter(pa.array(same))]
        # The cell may have begun before this batch, which then holds nothing else.
        if cell == self._cell and same.all():
            chunks.append(self._ids.ids())
        self._cell, self._ids = cell, IdSet(pa.chunked_array(chunks))

"""Tallies: what profiles, rates and reliability are made of, counted in one pass over plan and responses.

The pass joins the two slice by slice (Slices), so that its memory does not grow with the run. Counts and
exact sums (engine.scoring.scores.total) of slices add up, so that neither their number nor their order
matters.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq

from axiograph.engine.answers.parsing import STATES
from axiograph.engine.plan.rows import PLAN_BATCH_ROWS, PLAN_SCHEMA
from axiograph.engine.runs.id_set import halves
from axiograph.engine.runs.store import RESPONSE_SCHEMA, ResponseStore, columns_of
from axiograph.engine.scoring.scores import OF_SCALES, item_scores, total
from axiograph.engine.study.conditions import BASELINE

SLICE_ROWS = 2_000_000
MAX_SLICES = 512  # each is an open file; beyond 10^9 rows slices become larger instead
MERGED_AT_ONCE = 3  # tallies of slices that are held before they are added up
WORKER = ("backend", "dtype", "device")
LENGTH = ("finish", "new_tokens")
ORDER = "order"
_ANSWER = ("request_id", "mode", "state", "log_odds", "fallback", *OF_SCALES, ORDER, *LENGTH, *WORKER)
_ANSWERED = ("answered", *STATES, "fallback", "written", "new_tokens")
_SUMS = ("scored", "total", "expected")  # of cells
_PLANNED = [name for name in PLAN_SCHEMA.names if name != "repeat"]


@dataclass(frozen=True)
class Tally:
    """`values`: of the items, in their order. Frames:

    - cells: role, condition, split, value, agreement, shared → scored (answers with a score), total, and,
      where the items have means, expected (the sum of the means of the items that these answers are to);
    - items, of the baseline only: value, item_id, role → scored, total, low, high (smallest, largest score);
    - answers: role, condition → planned (plan rows), answered, one column per state, fallback, written
      (answers that were generated) and new_tokens (theirs);
    - workers: role, condition, backend, dtype, device, different rows; - orders, of answers to scales: role,
    condition, descending (whether the highest option was shown first, not
      the lowest) → scored, total (of answers × agreement: how high they are on the scale);
    - given, of the baseline only: item_id, state, chosen → rows.

    modes: how the answers were scored; requests, stored: different ids of the plan, and of these the stored;
    rows, duplicates: stored rows, and of these the ones that repeat an id."""

    values: tuple[str, ...]
    cells: pl.DataFrame
    items: pl.DataFrame
    answers: pl.DataFrame
    workers: pl.DataFrame
    orders: pl.DataFrame
    given: pl.DataFrame
    modes: frozenset[str]
    requests: int
    stored: int
    rows: int
    duplicates: int

    def of(self, chosen: pl.DataFrame) -> Tally:
        """Only the pairs of role and condition in `chosen` (columns role, condition); counts of ids stay."""
        pairs = chosen.select(pl.col("role", "condition").cast(pl.String))
        baseline = pairs.filter(pl.col("condition") == BASELINE)

        def only(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.join(pairs, on=["role", "condition"], how="semi")

        return replace(
            self,
            cells=only(self.cells),
            items=self.items.join(baseline, on="role", how="semi"),
            answers=only(self.answers),
            workers=only(self.workers),
            orders=only(self.orders),
        )


def tally(plan_file: Path, store: ResponseStore, items: pl.DataFrame) -> Tally:
    """Tally all stored answers of the plan in `plan_file`; items as in engine.scoring.scores.

    RunError for a damaged part, and for items, states and modes that are not known."""
    with pq.ParquetFile(plan_file, read_dictionary=[n for n in _PLANNED if n != "request_id"]) as file:
        count = slices_for(max(file.metadata.num_rows, store.rows()))
        planned_schema = columns_of(PLAN_SCHEMA, _PLANNED)
        with (
            Slices(count, planned_schema) as planned,
            Slices(count, columns_of(RESPONSE_SCHEMA, _ANSWER)) as answered,
        ):
            # Group by group: a reader of the whole file keeps all that it has read.
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(PLAN_BATCH_ROWS, [group], _PLANNED):
                    planned.add(batch)
            for batch in store.batches(_ANSWER):
                answered.add(batch)
            tallies = (
                _of_slice(plan, responses, items)
                for plan, responses in zip(planned.frames(), answered.frames(), strict=True)
            )
            return _named(_merged(tallies))


def tally_frames(plan: pl.DataFrame, responses: pl.DataFrame, items: pl.DataFrame) -> Tally:
    """Tally the responses to a plan that fits into memory; of those with equal ids the first counts."""
    return _named(_of_slice(plan, responses, items))


def _of_slice(plan: pl.DataFrame, responses: pl.DataFrame, items: pl.DataFrame) -> Tally:
    """As tally_frames, with names as the frames have them."""
    requests = plan["request_id"].n_unique()
    duplicates = responses.height - responses["request_id"].n_unique()
    first = responses.unique("request_id", keep="first", maintain_order=True) if duplicates else responses
    plan = plan.with_columns(repeat=pl.lit(0)) if "repeat" not in plan.columns else plan
    more = [name for name in WORKER if name in responses.columns]
    length = [name for name in (*LENGTH, ORDER) if name in responses.columns]
    scored = item_scores(plan.lazy(), first.lazy(), items, [*more, *length]).collect()
    scored = scored.with_columns(pl.col("state").cast(pl.Enum(STATES)))
    return Tally(
        values=tuple(items["value"].unique(maintain_order=True)),
        cells=_cells(scored),
        items=_baseline_items(scored),
        answers=_answers(plan, scored),
        workers=scored.select("role", "condition", *more).unique(),
        orders=_orders(scored),
        given=_given(scored),
        modes=frozenset(scored["mode"].unique().cast(pl.String)),
        requests=requests,
        stored=scored.height if requests == plan.height else scored["request_id"].n_unique(),
        rows=responses.height,
        duplicates=duplicates,
    )


def _merged(tallies: Iterable[Tally]) -> Tally:
    """One tally of the slices of a run; at least one."""
    slices = iter(tallies)
    sums = [next(slices)]
    while group := list(itertools.islice(slices, MERGED_AT_ONCE)):
        sums = [_sum([*sums, *group])]
    return sums[0]


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        values=tallies[0].values,
        cells=_added([t.cells for t in tallies], [n for n in _SUMS if n in tallies[0].cells.columns]),
        items=_added([t.items for t in tallies], ["scored", "total", "low", "high"]),
        answers=_added([t.answers for t in tallies], ["planned", *_ANSWERED]),
        workers=pl.concat([t.workers for t in tallies]).unique(),
        orders=_added([t.orders for t in tallies], ["scored", "total"]),
        given=_added([t.given for t in tallies], ["rows"]),
        modes=frozenset().union(*(t.modes for t in tallies)),
        requests=sum(t.requests for t in tallies),
        stored=sum(t.stored for t in tallies),
        rows=sum(t.rows for t in tallies),
        duplicates=sum(t.duplicates for t in tallies),
    )


def _cells(scored: pl.DataFrame) -> pl.DataFrame:
    keys = ["role", "condition", "split", "value", "agreement", "shared"]
    score = pl.col("score")
    sums = {"scored": score.count().cast(pl.Int64), "total": total(score)}
    if "item_mean" in scored.columns:
        sums["expected"] = total(pl.when(score.is_not_null()).then(pl.col("item_mean")))
    return scored.group_by(keys).agg(**sums)


def _baseline_items(scored: pl.DataFrame) -> pl.DataFrame:
    score = pl.col("score")
    baseline = scored.filter(pl.col("condition").cast(pl.String) == BASELINE)
    return baseline.group_by("value", "item_id", "role").agg(
        scored=score.count().cast(pl.Int64), total=total(score), low=score.min(), high=score.max()
    )


def _orders(scored: pl.DataFrame) -> pl.DataFrame:
    if "order" not in scored.columns:
        scored = scored.with_columns(order=pl.lit(None, pl.List(pl.Int16)))
    order, height = pl.col("order"), pl.col("score") * pl.col("agreement")
    shown = scored.filter(order.is_not_null() & pl.col("score").is_not_null())
    return shown.group_by("role", "condition", descending=order.list.first() > order.list.last()).agg(
        scored=height.count().cast(pl.Int64), total=total(height)
    )


def _given(scored: pl.DataFrame) -> pl.DataFrame:
    if "chosen" not in scored.columns:
        scored = scored.with_columns(chosen=pl.lit(None, pl.Int16))
    baseline = scored.filter(pl.col("condition").cast(pl.String) == BASELINE)
    keys = pl.col("state").cast(pl.String), pl.col("chosen").cast(pl.Int16)
    return (
        baseline.with_columns(keys).group_by("item_id", "state", "chosen").agg(rows=pl.len().cast(pl.Int64))
    )


def _answers(plan: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    pairs = ["role", "condition"]
    planned = plan.group_by(pairs).agg(planned=pl.len().cast(pl.Int64))
    states = {name: (pl.col("state") == name).sum().cast(pl.Int64) for name in STATES}
    tokens = pl.col("new_tokens").filter(pl.col("finish").cast(pl.String) != "scored").cast(pl.Int64)
    has_length = set(LENGTH) <= set(scored.columns)
    answered = scored.group_by(pairs).agg(
        answered=pl.len().cast(pl.Int64),
        **states,
        fallback=pl.col("fallback").fill_null(False).sum().cast(pl.Int64),
        written=tokens.count().cast(pl.Int64) if has_length else pl.lit(0, pl.Int64),
        new_tokens=tokens.sum() if has_length else pl.lit(0, pl.Int64),
    )
    return planned.join(answered, on=pairs, how="left").with_columns(pl.col(_ANSWERED).fill_null(0))


def _named(tally: Tally) -> Tally:
    """Names as text, once the slices, where they are numbers, have been added up. `value` keeps its order."""
    names = cs.by_name("role", "condition", "split", "item_id", *WORKER, require_all=False)
    return replace(
        tally,
        cells=tally.cells.with_columns(names.cast(pl.String)),
        items=tally.items.with_columns(names.cast(pl.String)),
        answers=tally.answers.with_columns(names.cast(pl.String)),
        workers=tally.workers.with_columns(names.cast(pl.String)),
        orders=tally.orders.with_columns(names.cast(pl.String)),
        given=tally.given.with_columns(names.cast(pl.String)),
    )


def _added(frames: Sequence[pl.DataFrame], counts: Sequence[str]) -> pl.DataFrame:
    columns = frames[0].columns
    keys = [name for name in columns if name not in counts]
    how = {"low": pl.col("low").min(), "high": pl.col("high").max()} if "low" in counts else {}
    sums = [pl.col(name).sum() for name in counts if name not in how]
    return pl.concat(frames).group_by(keys).agg(*sums, **how).select(columns)


def slices_for(rows: int) -> int:
    """How many slices keep each near SLICE_ROWS rows."""
    return min(MAX_SLICES, max(1, -(-rows // SLICE_ROWS)))


class Slices:
    """Rows of batches with a column request_id, in `count` slices; equal ids come into the same slice, and
    rows keep their order within one. Dictionary columns become pl.Enum.

    Ids are hashes, so that equal ranges of ids hold about equal numbers of rows. One slice stays in memory;
    more are kept in temporary files (TMPDIR), one for each, without a name: they go with the process, however
    it ends."""

    def __init__(self, count: int, schema: pa.Schema) -> None:
        """`schema`: of the batches that will come."""
        self._count, self._schema = count, schema
        self._names: dict[str, dict[str, int]] = {}
        self._kept: list[pa.RecordBatch] = []
        self._files: dict[int, tuple[IO[bytes], pa.ipc.RecordBatchStreamWriter]] = {}

    def __enter__(self) -> Slices:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file, _ in self._files.values():
            file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Put the rows of `batch` into their slices."""
        plain = self._coded(batch)
        if self._count == 1:
            self._kept.append(plain)
            return
        # The first 16 bits of an id, scaled: an order-preserving cut into equal ranges.
        slice_of = ((halves(plain["request_id"])[0] >> np.uint64(48)) * np.uint64(self._count)) >> np.uint64(
            16
        )
        numbers = slice_of.astype(np.uint16)
        order = np.argsort(numbers, kind="stable")
        sorted_batch = plain.take(pa.array(order))
        edges = np.searchsorted(numbers[order], np.arange(self._count + 1))
        for number in range(self._count):
            if edges[number] < edges[number + 1]:
                rows = sorted_batch.slice(edges[number], edges[number + 1] - edges[number])
                self._writer(number, rows.schema).write_batch(rows)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The slices, one after the other; nothing can be added any more."""
        for number in range(self._count):
            batches, self._kept = self._kept or self._read(number), []
            yield self._decoded(batches)

    def _writer(self, number: int, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
        if number not in self._files:
            file = tempfile.TemporaryFile(prefix="axiograph-")  # noqa: SIM115 - closed when it has been read
            self._files[number] = file, pa.ipc.new_stream(file, schema)
        return self._files[number][1]

    def _read(self, number: int) -> list[pa.RecordBatch]:
        """The slice from its file, which then goes."""
        if number not in self._files:
            return []
        file, writer = self._files.pop(number)
        with file:
            writer.close()
            file.seek(0)
            with pa.ipc.open_stream(file) as reader:
                return list(reader)

    def _coded(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Dictionary columns as numbers that mean the same in every batch."""
        columns = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_dictionary(column.type):
                codes_of = self._names.setdefault(name, {})
                entries = [codes_of.setdefault(text, len(codes_of)) for text in column.dictionary.to_pylist()]
                codes = pa.array(entries, pa.uint32())
                column = codes.take(column.indices) if entries else pa.nulls(len(column), pa.uint32())
            columns[name] = column
        return pa.RecordBatch.from_pydict({name: columns[name] for name in self._schema.names})

    def _decoded(self, batches: list[pa.RecordBatch]) -> pl.DataFrame:
        batches = batches or [self._coded(pa.RecordBatch.from_pylist([], self._schema))]
        frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches)))
        kinds = {name: pl.Enum(list(codes)) for name, codes in self._names.items()}
        return frame.with_columns(pl.col(name).cat.to(kind) for name, kind in kinds.items())

"""Tables of any size cut into slices by request id, so that a join needs the memory of one slice.

Ids are hashes, so that equal ranges of ids hold about equal numbers of rows. One slice stays in memory; more
are kept in temporary files (TMPDIR), one for each, without a name: they go with the process, however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa

from engine.idset import halves

SLICE_ROWS = 2_000_000
MAX_SLICES = 512  # each is an open file; beyond 10^9 rows slices become larger instead


def slices_for(rows: int) -> int:
    """How many slices keep each near SLICE_ROWS rows."""
    return min(MAX_SLICES, max(1, -(-rows // SLICE_ROWS)))


class Slices:
    """Rows of batches with a column request_id, in `count` slices; equal ids come into the same slice, and
    rows keep their order within one. Dictionary columns become pl.Enum."""

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
                known = self._names.setdefault(name, {})
                entries = [known.setdefault(text, len(known)) for text in column.dictionary.to_pylist()]
                codes = pa.array(entries, pa.uint32())
                column = codes.take(column.indices) if entries else pa.nulls(len(column), pa.uint32())
            columns[name] = column
        return pa.RecordBatch.from_pydict({name: columns[name] for name in self._schema.names})

    def _decoded(self, batches: list[pa.RecordBatch]) -> pl.DataFrame:
        batches = batches or [self._coded(pa.RecordBatch.from_pylist([], self._schema))]
        frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches)))
        kinds = {name: pl.Enum(list(known)) for name, known in self._names.items()}
        return frame.with_columns(pl.col(name).cat.to(kind) for name, kind in kinds.items())

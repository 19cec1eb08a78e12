"""Waves and feeds: what goes into the cluster at one time, and what comes out of it.

A wave is the part of a plan that is in the cluster, with which of its rows are answered. A feed takes Ray
Data's results in a thread of its own, so that waiting for them can be given up.
"""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from axiograph.cluster.ray.worker import POSITION
from axiograph.cluster.sampling.executors import Kind
from axiograph.engine.workers.worker import REQUEST_SCHEMA

# Rows of the plan that are sent at once: some 100 bytes each in the object store.
WAVE_ROWS = 10_000_000
CHUNK_ROWS = 65_536
_COLUMNS = pa.schema([*list(REQUEST_SCHEMA)[:5], pa.field(POSITION, pa.uint32())])


@dataclass(frozen=True)
class Chunk:
    """Plan rows for one kind of worker, with their positions."""

    kind: Kind
    rows: pa.Table


class Wave:
    """Plan rows in chunks, each with its position in the wave; `answered` bool [rows]."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = list(chunks)
        self.answered = np.zeros(sum(chunk.rows.num_rows for chunk in chunks), bool)

    def __len__(self) -> int:
        return len(self.answered)

    @property
    def is_done(self) -> bool:
        return bool(self.answered.all())

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Note that these rows came; bool [rows], which of them had not come before."""
        new: np.ndarray = ~self.answered[positions]
        self.answered[positions] = True
        return new

    def missing(self) -> list[Chunk]:
        """The chunks, with the rows that are not answered yet."""
        chunks = []
        for chunk in self.chunks:
            left = ~self.answered[chunk.rows[POSITION].to_numpy()]
            if left.any():
                chunks.append(Chunk(chunk.kind, chunk.rows.filter(pa.array(left))))
        return chunks


def waves(plan: Iterable[pa.RecordBatch], kinds: Sequence[Kind], rows: int = WAVE_ROWS) -> Iterator[Wave]:
    """The plan rows (PLAN_SCHEMA) in waves of about `rows`; a chunk is for one kind of worker, with the rows
    of one condition and role together, which share the beginning of their prompts."""
    chunks: list[Chunk] = []
    count = 0
    for batch in plan:
        for start in range(0, batch.num_rows, CHUNK_ROWS):
            table = _plain(batch.slice(start, CHUNK_ROWS))
            for kind in kinds:
                asked = _of(table, kind)
                if asked.num_rows:
                    chunks.append(Chunk(kind, _numbered(asked, count)))
                    count += asked.num_rows
        if count >= rows:
            yield Wave(chunks)
            chunks, count = [], 0
    if chunks:
        yield Wave(chunks)


def _plain(batch: pa.RecordBatch) -> pa.Table:
    """Without dictionaries: every block that is cut from it would carry them whole."""
    table = pa.Table.from_batches([batch]).select(_COLUMNS.names[:5])
    table = table.cast(pa.schema(list(_COLUMNS)[:5]))
    return table.take(pc.sort_indices(table, [("condition", "ascending"), ("role", "ascending")]))


def _of(table: pa.Table, kind: Kind) -> pa.Table:
    if kind.roles is None:
        return table
    return table.filter(pc.is_in(table["role"], value_set=pa.array(sorted(kind.roles), pa.string())))


def _numbered(table: pa.Table, first: int) -> pa.Table:
    positions = np.arange(first, first + table.num_rows, dtype=np.uint32)
    return table.append_column(_COLUMNS.field(POSITION), pa.array(positions)).combine_chunks()


HELD = 16  # blocks that wait for the driver; behind them Ray Data holds its workers back
LOOK_S = 0.5
PATIENCE_S = 60.0


class _Stopped(Exception):
    """Raised inside the thread, which Ray Data takes as the wish to end the execution."""


class Feed:
    """Object references of blocks, from the bundles of a running dataset. Used as a context manager.

    Ray Data offers no way to end an execution from outside while its consumer waits for the next result; it
    does end it when the consumer is interrupted."""

    def __init__(self, bundles: Callable[[], Iterator[Any]]) -> None:
        self._bundles = bundles
        self._queue: queue.Queue[Any] = queue.Queue(HELD)
        self._closed = False
        self._thread = threading.Thread(target=self._take, name="axiograph-feed", daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        ident, told = ctypes.c_ulong(self._thread.ident or 0), -PATIENCE_S
        while self._thread.is_alive():
            # Once: the execution ends inside the thread, and takes a moment for it.
            if time.monotonic() - told > PATIENCE_S:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_Stopped))
                told = time.monotonic()
            self._drain()
            self._thread.join(LOOK_S)

    def blocks(self, is_over: Callable[[], bool]) -> Iterator[Any]:
        """References as they come, until all came or `is_over`. Raises what Ray Data raised."""
        while not is_over():
            try:
                block = self._queue.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if block is None:
                return
            if isinstance(block, BaseException):
                raise block
            yield block

    def _take(self) -> None:
        try:
            for bundle in self._bundles():
                for block in bundle.block_refs:
                    self._queue.put(block)
            self._queue.put(None)
        except _Stopped:
            return
        except BaseException as error:
            if not self._closed:
                self._queue.put(error)

    def _drain(self) -> None:
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                return

"""The response store: Parquet parts, each complete or absent, and the only truth for resume (DESIGN 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from polars.io.plugins import register_io_source

from axiograph.engine.answers.parsing import READING_VERSION
from axiograph.engine.errors import RunError
from axiograph.engine.identity import DIGEST_SIZE
from axiograph.engine.runs.id_set import IdSet, sorted_ids
from axiograph.engine.runs.parts import (
    Part,
    damaged,
    each,
    list_parts,
    opened,
    read_part,
    stream_part,
    write_part,
)
from axiograph.engine.runs.rereading import (
    JUDGED,
    OF_SCALES,
    READING,
    VERSION,
    columns_to_reread,
    of_version_1,
    read_by_older_rules,
    reread,
    with_columns,
    without_scales,
)
from axiograph.engine.storage.remote import RemoteFolder

SCHEMA_VERSION = 2
COMPACT_BELOW_ROWS = 50_000
COMPACT_TARGET_ROWS = 500_000
READ_ATTEMPTS = 5
FAILED = "failed"  # how a row ends whose answer could not be had
READ_ROWS = 131_072  # rows that a reader holds at a time
_name = pa.dictionary(pa.int32(), pa.string())
RESPONSE_SCHEMA = pa.schema(
    [
        ("request_id", pa.binary(DIGEST_SIZE)),
        ("role", _name),
        ("condition", _name),
        ("item_id", _name),
        ("repeat", pa.int32()),
        ("mode", _name),  # generate | logprob
        ("state", _name),  # yes | no | chosen | unsure | refused | unparsed | unfinished
        ("reason", _name),  # the rule that decided the state
        ("text", pa.string()),  # raw text, exactly as generated
        ("answer_ids", pa.list_(pa.int32())),  # generated token ids
        ("finish", _name),  # complete | eos | limit | scored | failed
        ("log_odds", pa.float64()),  # logprob mode: log P(yes) − log P(no)
        ("mass", pa.float64()),  # logprob mode: P(yes) + P(no)
        ("fallback", pa.bool_()),  # logprob mode: read after a generated thought
        ("prompt_tokens", pa.int32()),
        ("new_tokens", pa.int32()),
        ("steered_tokens", pa.int32()),  # prompt tokens at which the stream was changed
        ("proof_error", pa.float32()),  # largest |observed − expected change|; null: unsteered
        ("backend", _name),
        ("device", _name),
        ("dtype", _name),
        ("versions", _name),
        ("seconds", pa.float32()),  # wall time of the batch / its rows
        # Of answer scales; null where the answer is yes or no.
        ("chosen", pa.int16()),  # the chosen option's position in the file's order
        ("probabilities", pa.list_(pa.float64())),  # of the options in that order, where they were read
        ("entropy", pa.float64()),  # of these as shares of their mass, in nats
        ("order", pa.list_(pa.int16())),  # the option at every place that was shown
    ],
    metadata={VERSION: str(SCHEMA_VERSION).encode(), READING: str(READING_VERSION).encode()},
)


@dataclass(frozen=True)
class StoreCount:
    """Stored rows, how many of them repeat an id, and the files that they lie in."""

    rows: int
    duplicates: int
    parts: int


class ResponseStore:
    """Parts in `folder`, named by the hash of their ids, so that a retried task overwrites itself.

    It holds no connection and travels to other processes."""

    def __init__(self, folder: Path | RemoteFolder) -> None:
        self.folder = folder
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True)

    def parts(self) -> list[Part]:
        """All parts, in the fixed order in which readers go through them."""
        return list_parts(self.folder)

    def append(self, responses: pa.Table) -> Part | None:
        """Store `responses` (RESPONSE_SCHEMA) as one part; RunError when the disk is full."""
        if responses.num_rows == 0:
            return None
        if responses.schema.names != RESPONSE_SCHEMA.names:
            raise ValueError(f"a response table has the columns {RESPONSE_SCHEMA.names}")
        table = responses.cast(RESPONSE_SCHEMA).replace_schema_metadata(RESPONSE_SCHEMA.metadata)
        return write_part(self.folder, _part_name(table), table)

    def check(self) -> None:
        """Read the footer and the schema of every part; RunError names the first that is damaged."""
        for _ in each(self.parts(), _rows_checked):
            pass

    def rows(self) -> int:
        """How many rows the parts hold, duplicates included, by their footers."""
        return sum(each(self.parts(), _rows_checked))

    def ids(self) -> pa.ChunkedArray:
        """The ids of all stored rows, duplicates included."""
        for _ in range(READ_ATTEMPTS):
            # Another process may be compacting: then a part that was listed is gone when it is read.
            with suppress(FileNotFoundError):
                return self._read_ids()
        return self._read_ids()

    def _read_ids(self) -> pa.ChunkedArray:
        self.check()
        chunks = [chunk for ids in each(self.parts(), _ids) for chunk in ids.chunks]
        return pa.chunked_array(chunks, type=pa.binary(DIGEST_SIZE))

    def count(self) -> StoreCount:
        """One pass over the ids; RunError names a damaged part."""
        ids = self.ids()
        return StoreCount(len(ids), len(ids) - len(IdSet(ids)), len(self.parts()))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns of all rows, duplicates included, in part order, at most READ_ROWS at a time, their
        pages checked. RunError names a damaged part, and says so where another process changed the parts."""
        self.check()
        try:
            for batches in each(self.parts(), partial(_batches, columns=columns)):
                yield from batches
        except FileNotFoundError as error:
            raise RunError(
                f"responses {self.folder}",
                "parts that stay while they are read",
                "one that another process has just merged with others",
                "Nothing is lost: give the same command again.",
            ) from error

    def scan(self) -> pl.LazyFrame:
        """All responses, lazily; of rows with equal ids only the first (in part order) counts."""
        frame = register_io_source(self._frames, schema=_scan_schema())
        if self.count().duplicates:  # reads every part's footer, so that a damaged one is named here
            frame = frame.unique("request_id", keep="first", maintain_order=True)
        return frame

    def _frames(
        self, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        """What Polars asks of a source: batches with the columns, rows and number of rows that it needs."""
        wanted = RESPONSE_SCHEMA.names if with_columns is None else with_columns
        read = list(wanted)
        if predicate is not None:
            read += [name for name in predicate.meta.root_names() if name not in read]
        left = n_rows
        for batch in self.batches(read):
            # With our own schema: what stands in that of the file besides the types is not checked.
            plain = pa.RecordBatch.from_arrays(batch.columns, schema=columns_of(RESPONSE_SCHEMA, read))
            frame = pl.DataFrame(pl.from_arrow(plain))
            if left is not None:  # counted before the predicate
                frame = frame.head(left)
                left -= frame.height
            if predicate is not None:
                frame = frame.filter(predicate)
            yield frame.select(wanted)
            if left == 0:
                return

    def failed(self) -> int:
        """How many stored rows are none but the reason why their answer could not be had."""
        return sum(int(_failed(batch["finish"]).sum()) for batch in self.batches(["finish"]))

    def forget_failed(self) -> int:
        """Take those rows out, so that their requests count as not asked; returns how many.

        A part is written anew before the old one is deleted: after a crash in between its rows are there
        twice, the failed ones still once.
        """
        forgotten = 0
        for part in self.parts():
            bad = _failed(read_part(part, ["finish"])["finish"])
            if bad.any():
                self.append(_as_read_today(part).filter(pa.array(~bad)))
                part.unlink()
                forgotten += int(bad.sum())
        return forgotten

    def compact(self) -> int:
        """Merge small parts into larger ones; returns how many files went away.

        The merged part is complete before the small ones are deleted: a crash in between leaves the
        same rows twice, of which readers keep the first.
        """
        parts = self.parts()
        rows = dict(zip(parts, each(parts, _rows_checked), strict=True))
        small = [part for part in parts if rows[part] < COMPACT_BELOW_ROWS]
        removed = 0
        while len(small) > 1:
            group, total = [small.pop(0)], 0
            while small and total < COMPACT_TARGET_ROWS:
                group.append(small.pop(0))
                total += rows[group[-1]]
            table = pa.concat_tables(each(group, _as_read_today)).unify_dictionaries()
            merged = self.append(table.combine_chunks())
            for part in group:
                if part != merged:
                    part.unlink()
                    removed += 1
        return removed


def columns_of(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """The part of `schema` with these columns, in this order."""
    return pa.schema([schema.field(name) for name in names])


@cache
def _scan_schema() -> pl.Schema:
    """RESPONSE_SCHEMA in Polars' words. Not at import: making an Arrow array loads pandas, half a second."""
    return pl.DataFrame(pl.from_arrow(RESPONSE_SCHEMA.empty_table())).schema


def _part_name(table: pa.Table) -> str:
    digest = hashlib.blake2b(sorted_ids(table["request_id"]), digest_size=DIGEST_SIZE)
    return f"part-{digest.hexdigest()}.parquet"


def _failed(finish: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """bool [rows]"""
    return np.asarray(pc.fill_null(pc.equal(finish.cast(pa.string()), FAILED), False))


def _ids(part: Part) -> pa.ChunkedArray:
    return read_part(part, ["request_id"])["request_id"]


def _batches(part: Part, columns: Sequence[str]) -> Iterable[pa.RecordBatch]:
    """Batch by batch from a disk; whole from an object store, where every read of a page is a round trip.
    Answers that an earlier version read are judged again."""
    old = not set(JUDGED).isdisjoint(columns) and read_by_older_rules(part)
    wanted = columns_to_reread(columns) if old else list(columns)
    lacking = not set(OF_SCALES).isdisjoint(columns) and of_version_1(part)
    if lacking:
        wanted = without_scales(wanted)
    batches: Iterable[pa.RecordBatch]
    if isinstance(part, Path):
        batches = stream_part(part, wanted, READ_ROWS)
    else:
        batches = read_part(part, wanted).to_batches(max_chunksize=READ_ROWS)
    if old:
        batches = (reread(batch) for batch in batches)
    if old or lacking:
        return (with_columns(batch, columns_of(RESPONSE_SCHEMA, columns)) for batch in batches)
    return batches


def _as_read_today(part: Part) -> pa.Table:
    table = read_part(part)
    if read_by_older_rules(part):
        table = reread(table)
    return with_columns(table, RESPONSE_SCHEMA) if of_version_1(part) else table


def _rows_checked(part: Part) -> int:
    """The number of rows of a part whose footer and schema are those of this version; 0 where it is gone:
    another process may be compacting, and what it deleted is in a part that is complete already."""
    try:
        with opened(part) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except FileNotFoundError:
        return 0
    version = (schema.metadata or {}).get(VERSION)
    names = without_scales(RESPONSE_SCHEMA.names) if version == b"1" else RESPONSE_SCHEMA.names
    if version not in (b"1", str(SCHEMA_VERSION).encode()) or schema.names != names:
        raise RunError(
            f"response part {part}",
            f"schema version {SCHEMA_VERSION}",
            f"version {version.decode() if version else 'none'}",
            "It was written by another version of axiograph: use that one, or another output directory.",
        )
    if not schema.equals(columns_of(RESPONSE_SCHEMA, names)):
        raise damaged(part, ValueError("columns of other types"))
    return int(rows)

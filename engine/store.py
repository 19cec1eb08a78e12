"""The response store: Parquet parts, each complete or absent, and the only truth for resume (DESIGN 4)."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.errors import RunError
from engine.files import write_atomic
from engine.identity import DIGEST_SIZE

SCHEMA_VERSION = 1
COMPACT_BELOW_ROWS = 50_000
COMPACT_TARGET_ROWS = 500_000
READ_ATTEMPTS = 5

_name = pa.dictionary(pa.int32(), pa.string())

RESPONSE_SCHEMA = pa.schema(
    [
        ("request_id", pa.binary(DIGEST_SIZE)),
        ("role", _name),
        ("condition", _name),
        ("item_id", _name),
        ("repeat", pa.int32()),
        ("mode", _name),  # generate | logprob
        ("state", _name),  # yes | no | unsure | refused | unparsed
        ("reason", _name),  # the rule that decided the state
        ("text", pa.string()),  # raw text, exactly as generated
        ("answer_ids", pa.list_(pa.int32())),  # generated token ids
        ("finish", _name),  # complete | eos | limit | scored
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
    ],
    metadata={b"axiograph.responses": str(SCHEMA_VERSION).encode()},
)


@dataclass(frozen=True)
class StoreCount:
    rows: int
    duplicates: int
    parts: int


class ResponseStore:
    """Parts in `folder`, named by the hash of their ids, so that a retried task overwrites itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def parts(self) -> list[Path]:
        """All parts, in the fixed order in which readers go through them."""
        return sorted(self.folder.glob("part-*.parquet"))

    def append(self, responses: pa.Table) -> Path | None:
        """Store `responses` (RESPONSE_SCHEMA) as one part; RunError when the disk is full."""
        if responses.num_rows == 0:
            return None
        if responses.schema.names != RESPONSE_SCHEMA.names:
            raise ValueError(f"a response table has the columns {RESPONSE_SCHEMA.names}")
        table = responses.cast(RESPONSE_SCHEMA).replace_schema_metadata(RESPONSE_SCHEMA.metadata)
        path = self.folder / _part_name(table)
        write_atomic(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
        return path

    def check(self) -> None:
        """Read the footer and the schema of every part; RunError names the first that is damaged."""
        for path in self.parts():
            # Another process may be compacting: what it deleted is in a part that is complete already.
            with suppress(FileNotFoundError):
                _check_part(path)

    def ids(self) -> pa.ChunkedArray:
        """The ids of all stored rows, duplicates included."""
        for _ in range(READ_ATTEMPTS):
            # Another process may be compacting: then a part that was listed is gone when it is read.
            with suppress(FileNotFoundError):
                return self._read_ids()
        return self._read_ids()

    def _read_ids(self) -> pa.ChunkedArray:
        chunks = [chunk for path in self._checked() for chunk in _ids(path).chunks]
        return pa.chunked_array(chunks, type=pa.binary(DIGEST_SIZE))

    def ids_frame(self) -> pl.DataFrame:
        """The distinct stored ids: one column `request_id` (binary)."""
        return pl.DataFrame({"request_id": pl.Series(self.ids().cast(pa.binary()), dtype=pl.Binary)}).unique()

    def count(self) -> StoreCount:
        ids = self.ids()
        return StoreCount(len(ids), len(ids) - len(pc.unique(ids)), len(self.parts()))

    def scan(self) -> pl.LazyFrame:
        """All responses, lazily; of rows with equal ids only the first (in part order) counts."""
        parts = self._checked()
        if not parts:
            return pl.from_arrow(RESPONSE_SCHEMA.empty_table()).lazy()  # type: ignore[union-attr]
        frame = pl.scan_parquet(parts)
        if self.count().duplicates:
            frame = frame.unique("request_id", keep="first", maintain_order=True)
        return frame

    def compact(self) -> int:
        """Merge small parts into larger ones; returns how many files went away.

        The merged part is complete before the small ones are deleted: a crash in between leaves the
        same rows twice, of which readers keep the first.
        """
        small = [path for path in self._checked() if pq.read_metadata(path).num_rows < COMPACT_BELOW_ROWS]
        removed = 0
        while len(small) > 1:
            group, rows = [small.pop(0)], 0
            while small and rows < COMPACT_TARGET_ROWS:
                group.append(small.pop(0))
                rows += pq.read_metadata(group[-1]).num_rows
            table = pa.concat_tables([pq.read_table(path) for path in group]).unify_dictionaries()
            merged = self.append(table.combine_chunks())
            for path in group:
                if path != merged:
                    path.unlink()
                    removed += 1
        return removed

    def _checked(self) -> list[Path]:
        self.check()
        return self.parts()


def _part_name(table: pa.Table) -> str:
    state = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for request_id in sorted(table["request_id"].to_pylist()):
        state.update(request_id)
    return f"part-{state.hexdigest()}.parquet"


def _ids(path: Path) -> pa.ChunkedArray:
    try:
        return pq.read_table(path, columns=["request_id"])["request_id"]
    except FileNotFoundError:
        raise  # compacted away by another process: see ids()
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RunError:
    size = f"{path.stat().st_size} bytes; " if path.exists() else ""
    return RunError(
        f"response part {path}",
        "a complete Parquet file",
        f"a damaged one ({size}{str(error).splitlines()[0]})",
        "Every other part is intact. Move this file away and give the run command again: "
        "only its requests are asked again.",
    )


def _check_part(path: Path) -> None:
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error
    version = (schema.metadata or {}).get(b"axiograph.responses")
    if version != str(SCHEMA_VERSION).encode() or schema.names != RESPONSE_SCHEMA.names:
        raise RunError(
            f"response part {path}",
            f"schema version {SCHEMA_VERSION}",
            f"version {version.decode() if version else 'none'}",
            "It was written by another version of axiograph: use that one, or another output directory.",
        )

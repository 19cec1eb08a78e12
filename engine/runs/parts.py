"""The files of a response store, on a disk or in an object store: whole or absent, their pages checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from axiograph.engine.errors import RunError
from axiograph.engine.storage.files import write_atomic
from axiograph.engine.storage.remote import RemoteFile, RemoteFolder

Part = Path | RemoteFile
READERS = 8  # parts of an object store that are read at once: every one costs round trips
T = TypeVar("T")


def list_parts(folder: Path | RemoteFolder) -> list[Part]:
    """All parts, in the fixed order in which readers go through them."""
    if isinstance(folder, Path):
        return sorted(folder.glob("part-*.parquet"))
    names = [file for file in folder.files() if file.name.startswith("part-") and "/" not in file.name]
    return sorted(file for file in names if file.name.endswith(".parquet"))


def write_part(folder: Path | RemoteFolder, name: str, table: pa.Table) -> Part:
    """`table` as the part `name`, at once or not at all, over one of the same name."""
    # Pages carry checksums: zstd as Parquet has it lets a flipped bit through, as another answer.
    settings = {"compression": "zstd", "write_page_checksum": True}
    part: Part
    if isinstance(folder, Path):
        part = folder / name
        write_atomic(part, lambda temporary: pq.write_table(table, temporary, **settings))
        return part
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **settings)
    part = folder / name
    part.put(sink.getvalue().to_pybytes())
    return part


@contextmanager
def opened(part: Part) -> Iterator[pq.ParquetFile]:
    """The part for reading, its pages checked. FileNotFoundError where it is gone (compacted away by another
    process); RunError, which names the part, where anything in it is damaged, also while it is being read."""
    try:
        source = part if isinstance(part, Path) else part.open()
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise damaged(part, error) from error


def read_part(part: Part, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of one part (all by default), as `opened`."""
    with opened(part) as file:
        table = file.read(columns=columns)
        table.validate(full=True)
        check_rows(part, file, table.num_rows)
        return table


def stream_part(part: Part, columns: Sequence[str], rows_at_once: int) -> Iterator[pa.RecordBatch]:
    """Columns of one part, batch by batch, as `opened`."""
    rows = 0
    with opened(part) as file:
        for batch in file.iter_batches(rows_at_once, columns=list(columns)):
            # Headers of pages have no checksum: what they can turn is validity, and the number of rows.
            batch.validate(full=True)
            rows += batch.num_rows
            yield batch
        check_rows(part, file, rows)


def check_rows(part: Part, file: pq.ParquetFile, rows: int) -> None:
    """RunError unless `rows` is what the footer says: a page whose header is damaged may be passed over."""
    if rows != file.metadata.num_rows:
        raise damaged(part, ValueError(f"{rows} of {file.metadata.num_rows} rows"))


def each(parts: Sequence[Part], read: Callable[[Part], T]) -> Iterator[T]:
    """read(part) of every part in order; of those in an object store READERS at once, never more ahead."""
    if not parts or isinstance(parts[0], Path):
        yield from map(read, parts)
        return
    with ThreadPoolExecutor(READERS) as pool:
        waiting = [pool.submit(read, part) for part in parts[:READERS]]
        for following in range(READERS, len(parts) + READERS):
            if not waiting:
                return
            yield waiting.pop(0).result()
            if following < len(parts):
                waiting.append(pool.submit(read, parts[following]))


def _size(part: Part) -> int | None:
    if isinstance(part, RemoteFile):
        return part.size()
    return part.stat().st_size if part.exists() else None


def damaged(part: Part, error: Exception) -> RunError:
    """The error that names the part, and what to do."""
    size = _size(part)
    shown = "" if size is None else f"{size} bytes; "
    return RunError(
        f"response part {part}",
        "a complete Parquet file",
        f"a damaged one ({shown}{str(error).splitlines()[0]})",
        "Every other part is intact. Move this file away and give the run command again: "
        "only its requests are asked again.",
    )

"""Atomic files: a file is complete or absent, also after a crash or on a full disk."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axiograph.engine.errors import RunError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of processes that were killed; call it only while nobody else writes there."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; on success it is flushed to disk and takes the name of `path`.

    RunError (nothing of the old file is lost) when the disk is full or may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except Exception as error:
        number = _disk_error(error)
        if number is None:
            raise
        raise RunError(
            f"writing {path}",
            "room on the disk" if number in _FULL else "a place that can be written",
            f"'{os.strerror(number)}'",
            f"Everything stored so far is intact: {'make room' if number in _FULL else 'mend this'} and give "
            "the same command again.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _disk_error(error: Exception) -> int | None:
    """The number of an error of the disk; None for any other."""
    if isinstance(error, OSError):
        return error.errno if error.errno in (*_FULL, *_FORBIDDEN) else None
    # Polars reports a full disk as an error of its own, with the system's number in it.
    return next((number for number in (*_FULL, *_FORBIDDEN) if f"(os error {number})" in str(error)), None)


def _sync_folder(folder: Path) -> None:
    """The rename itself is durable only when the folder is flushed too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write` with a temporary path that becomes `path` when it returns."""
    with atomic_path(path) as temporary:
        write(temporary)


def write_text(path: Path, text: str) -> None:
    """`text` as UTF-8, at once or not at all; RunError as `atomic_path`."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """`value` as JSON (UTF-8, no NaN), at once or not at all; RunError as `atomic_path`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

"""Only one process writes to a run at a time: a file lock on a disk, a lock object in an object store."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from axiograph.engine.errors import AxiographError, InputError, RunError
from axiograph.engine.storage.remote import ConflictError, RemoteFile, RemoteFolder

log = logging.getLogger("axiograph.storage")
LOCK = ".lock"
CLOCK = ".clock"  # written only to read the object store's clock
BEAT_S = 20.0
STALE_S = 180.0  # a holder that gave no sign of life for so long is gone


@contextmanager
def file_lock(folder: Path) -> Iterator[None]:
    """The lock goes when the process ends, however. RunError when another process holds it.

    It is an flock: on a network file system it holds between machines where that passes flock on (NFSv4 and
    Lustre mounted with `flock` do)."""
    try:
        stream = (folder / LOCK).open("w")
    except OSError as error:
        raise InputError(
            f"output {folder}",
            "a directory that may be written",
            str(error.strerror),
            "Choose another 'out' or --out.",
        ) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _held(folder, "one that holds its lock", "") from error
        yield


@contextmanager
def object_lock(folder: RemoteFolder) -> Iterator[None]:
    """A lock object that is made only where there is none (If-None-Match: *) and written anew every BEAT_S
    seconds as a sign of life. One that gave none for STALE_S seconds, by the object store's own clock, is
    taken over, on condition that it has not changed since (If-Match).

    RunError when another process holds it, and at the end when it was lost to another, as a process can that
    was stopped for minutes: parts stay whole and are named by their ids, so that what both asked is stored
    once or counted as a duplicate.
    """
    lock = folder / LOCK
    heartbeat = _Heartbeat(lock, _take(lock, folder))
    try:
        yield
    finally:
        lost = heartbeat.release()
    if lost:
        raise RunError(
            f"run {folder}",
            "to hold its lock to the end",
            "another process that took it over while this one gave no sign of life",
            "Let the other one finish; what was answered is stored.",
        )


def _holder() -> bytes:
    about = {"host": platform.node(), "pid": os.getpid(), "key": uuid.uuid4().hex, "at": time.time()}
    return json.dumps(about).encode()


def _take(lock: RemoteFile, folder: RemoteFolder) -> str:
    """Make the lock object, or take over a stale one; its tag."""
    mine = _holder()
    with suppress(ConflictError):
        return lock.create(mine)
    try:
        raw, tag = lock.read_tagged()
        age = _age(lock, folder)
    except FileNotFoundError:  # released this moment
        raw, tag, age = b"{}", "", 0.0
    if raw == mine:  # it was made, and the answer that said so was lost on the way
        return tag
    holder = _read(raw)
    if age > STALE_S or _dead_here(holder):
        with suppress(ConflictError, FileNotFoundError):
            return lock.replace(_holder(), tag)
    raise _held(
        folder,
        f"process {holder.get('pid')} on {holder.get('host')}, with a sign of life {max(age, 0):.0f} s ago",
        f" Without a sign of life for {STALE_S:.0f} s it counts as gone.",
    )


def _age(lock: RemoteFile, folder: RemoteFolder) -> float:
    """Seconds since the last sign of life; both times are the object store's, so that no clock need agree."""
    clock = folder / CLOCK
    clock.put(b"")
    now, beat = clock.written_at(), lock.written_at()
    return 0.0 if now is None or beat is None else now - beat


def _read(raw: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(raw)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _dead_here(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    pid = holder.get("pid")
    if holder.get("host") != platform.node() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class _Heartbeat:
    """Gives the signs of life of a lock object from a thread of its own, until it is released or lost."""

    def __init__(self, lock: RemoteFile, tag: str) -> None:
        self._lock, self._tag = lock, tag
        self._done = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._beat, name="axiograph-lock", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._done.wait(BEAT_S):
            try:
                self._tag = self._lock.replace(_holder(), self._tag)
            except (ConflictError, FileNotFoundError):
                self._lost = True
                log.warning("axiograph: the lock %s was taken over by another process.", self._lock)
                return
            except AxiographError:
                continue  # the object store does not answer: the next sign of life may get through

    def release(self) -> bool:
        """Delete the lock object if it is still ours; returns whether it was lost."""
        self._done.set()
        self._thread.join()
        try:
            # Written once more on condition: what is deleted then was ours a moment ago.
            if not self._lost:
                self._lock.replace(_holder(), self._tag)
                self._lock.unlink()
        except (ConflictError, FileNotFoundError):
            self._lost = True
        except AxiographError:
            pass  # the object store does not answer: without signs of life the lock counts as left
        return self._lost


def _held(where: Path | RemoteFolder, holder: str, more: str) -> RunError:
    what = "run directory" if isinstance(where, Path) else "run"
    return RunError(
        f"{what} {where}",
        "no other process writing to it",
        holder,
        f"Wait for it (axiograph status shows how far it is), or use another --out.{more}",
    )

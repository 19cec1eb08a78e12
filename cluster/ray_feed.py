"""The feed: Ray Data's results, taken in a thread of their own, so that waiting for them can be given up."""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

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
                found = self._queue.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield found

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

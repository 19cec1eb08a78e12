"""A set of request ids that holds tens of millions and finds many at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from axiograph.engine.identity import DIGEST_SIZE


class IdSet:
    """Distinct 16-byte ids as two columns of 64 bits, sorted by the first: 16 bytes an id, no hash table.

    Ids are hashes, so that two of them hardly ever share their first half; where they do, all that share it
    are looked at, so that membership is exact for any ids."""

    def __init__(self, ids: pa.ChunkedArray | pa.Array) -> None:
        first, second = _sorted(*halves(ids))
        fresh = np.ones(len(first), bool)
        fresh[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        whole = bool(fresh.all())
        self._first: np.ndarray = first if whole else first[fresh]
        self._second: np.ndarray = second if whole else second[fresh]

    def __len__(self) -> int:
        return len(self._first)

    def positions(self, ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Of every id its position among the sorted ones, −1 where it is not in the set: int64 [ids]."""
        first, second = halves(ids)
        positions = np.full(len(first), -1, np.int64)
        if not len(self) or not len(first):
            return positions
        # Sorted queries walk through the set in order instead of missing the cache at every step.
        order = np.argsort(first)
        candidate = np.empty(len(first), np.int64)
        candidate[order] = np.searchsorted(self._first, first[order])
        open_rows = np.arange(len(first))
        while len(open_rows):
            at = np.minimum(candidate[open_rows], len(self) - 1)
            same = (candidate[open_rows] < len(self)) & (self._first[at] == first[open_rows])
            hit = same & (self._second[at] == second[open_rows])
            positions[open_rows[hit]] = at[hit]
            open_rows = open_rows[same & ~hit]
            candidate[open_rows] += 1
        return positions

    def ids(self) -> pa.FixedSizeBinaryArray:
        """The ids, sorted."""
        data = pa.py_buffer(_joined(self._first, self._second))
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(DIGEST_SIZE), len(self), [None, data])

    def has(self, ids: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Of every id whether it is in the set: bool [ids]."""
        member: np.ndarray = self.positions(ids) >= 0
        return member


def sorted_ids(ids: pa.ChunkedArray | pa.Array) -> bytes:
    """All ids, repeated ones too, sorted and one behind the other."""
    return _joined(*_sorted(*halves(ids)))


def _joined(first: np.ndarray, second: np.ndarray) -> bytes:
    return np.stack([first, second], axis=1).astype(">u8").tobytes()


def _sorted(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(first)
    if _ties(first[order]):
        order = np.lexsort((second, first))
    return first[order], second[order]


def halves(ids: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The two halves of ids as unsigned numbers that sort as their bytes do: uint64 [ids] each."""
    chunks = ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
    first, second = np.empty(len(ids), np.uint64), np.empty(len(ids), np.uint64)
    start = 0
    for chunk in chunks:
        if len(chunk):
            words = _words(chunk)
            first[start : start + len(chunk)] = words[:, 0]
            second[start : start + len(chunk)] = words[:, 1]
            start += len(chunk)
    return first, second


def _words(chunk: pa.FixedSizeBinaryArray) -> np.ndarray:
    """[ids, 2] big-endian words, no copy."""
    data = chunk.buffers()[1]
    start = chunk.offset * DIGEST_SIZE
    return np.frombuffer(data, ">u8", 2 * len(chunk), start).reshape(-1, 2)


def _ties(ordered: np.ndarray) -> bool:
    """Whether two ids share their first half: hardly ever, unless an id is there twice."""
    return bool((ordered[1:] == ordered[:-1]).any())

"""The ledger of cached keys: who wrote each block of vLLM's cache, so that a hit can be proven, not trusted.

A request that finds its prefix in the cache did not pass its steered tokens through the model. Its steering
is proven if the request that wrote those blocks had the same tokens and the same steering there, and was
proven itself. This also shows poisoned blocks to unsteered requests, whatever salts were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from steering.vllm_rows import Part, Row

NULL_BLOCK = 0  # vLLM's placeholder for blocks that a sliding window left behind


@dataclass(frozen=True)
class _Entry:
    writer: Row
    place: int


class Ledger:
    """`block_sizes`: tokens per block of every group of layers that shares a block table."""

    def __init__(self, block_sizes: Sequence[int]) -> None:
        self._sizes = list(block_sizes)
        self._entries: dict[int, _Entry] = {}

    def crosses(self, start: int, count: int) -> bool:
        """Whether these positions begin a block in any group."""
        return any(count > 1 or start % size == 0 for size in self._sizes)

    def write(self, part: Part) -> None:
        """The pass under way writes the blocks that begin inside `part`."""
        for blocks, size in zip(part.row.state.block_ids, self._sizes, strict=True):
            for place in range(-(-part.start // size), (part.stop - 1) // size + 1):
                self._entries[blocks[place]] = _Entry(part.row, place)

    def check_hits(self, admitted: Iterable[tuple[Row, int]]) -> None:
        """Fail every row of (row, number of its tokens that were cached) whose cached keys are not proven."""
        rows = list(admitted)
        failed = -1
        # A failure may make another row's blocks worthless: until nothing changes.
        while failed != (failed := sum(row.failure is not None for row, _ in rows)):
            for row, cached in rows:
                if row.failure is None and (reason := self._fault(row, cached)):
                    row.fail(reason)

    def _fault(self, row: Row, cached: int) -> str | None:
        compared: dict[Row, int] = {}
        for blocks, size in zip(row.state.block_ids, self._sizes, strict=True):
            if cached % size:
                return f"{cached} cached tokens, which are no whole blocks of {size}"
            for place in range(cached // size):
                if blocks[place] == NULL_BLOCK:
                    continue
                entry = self._entries.get(blocks[place])
                stop = (place + 1) * size
                if entry is None or entry.place != place or entry.writer.proven < stop:
                    return "cached keys of which nobody knows how they were computed"
                compared[entry.writer] = max(compared.get(entry.writer, 0), stop)
        for writer, stop in compared.items():
            if writer.failure is not None:
                return f"cached keys of a request that failed: {writer.failure}"
            if writer.tokens(0, stop) != row.tokens(0, stop) or not row.same_steering(writer, stop):
                return "cached keys that were computed under another steering"
            row.error = max(row.error, writer.error)
        return None

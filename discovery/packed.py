"""The graphs of all replicates, three bits a pair: what is asked later needs no second run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discovery.graph import BoolArray, CausalGraph, Endpoint
from engine.errors import InputError
from engine.files import atomic_path

ByteArray = NDArray[np.uint8]
_CHUNK_CELLS = 8_000_000  # marks unpacked at once


@dataclass(frozen=True, eq=False)
class PackedGraphs:
    """R graphs over n names, in the order of the replicates.

    `edges` [R, bytes]: for the pairs i < j in row order the bits adjacent, arrowhead at j, arrowhead at i,
    each for all pairs, most significant bit first. `present` [R, bytes]: a bit for every name, zero where
    the value was constant in the replicate. `used` [R]: false where PC failed; such a replicate has no
    bits."""

    names: tuple[str, ...]
    edges: ByteArray
    present: ByteArray
    used: BoolArray

    def __len__(self) -> int:
        return len(self.used)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.edges.nbytes + self.present.nbytes + self.used.nbytes

    @classmethod
    def pack(
        cls, names: Sequence[str], marks: ByteArray, present: BoolArray, used: BoolArray
    ) -> PackedGraphs:
        """From marks [R, n, n] of discovery.graph, present [R, n] and used [R]."""
        i, j = np.triu_indices(len(names), k=1)
        to_j, to_i = marks[:, i, j], marks[:, j, i]
        planes = (to_j != Endpoint.NONE, to_j == Endpoint.ARROW, to_i == Endpoint.ARROW)
        return cls(
            tuple(names), np.packbits(np.hstack(planes), axis=1), np.packbits(present, axis=1), used.copy()
        )

    @classmethod
    def join(cls, names: Sequence[str], parts: Sequence[PackedGraphs]) -> PackedGraphs:
        """The replicates of all parts, in order."""
        if not parts:
            n = len(names)
            return cls.pack(names, np.zeros((0, n, n), np.uint8), np.zeros((0, n), bool), np.zeros(0, bool))
        arrays = ((p.edges, p.present, p.used) for p in parts)
        edges, present, used = (np.concatenate(array) for array in zip(*arrays, strict=True))
        return cls(tuple(names), edges, present, used)

    def marks(self, start: int = 0, stop: int | None = None) -> ByteArray:
        """[stop − start, n, n] marks; zero throughout for a replicate that failed."""
        n, pairs = len(self.names), len(self.names) * (len(self.names) - 1) // 2
        bits = np.unpackbits(self.edges[start:stop], axis=1, count=3 * pairs)
        adjacent, to_j, to_i = bits[:, :pairs], bits[:, pairs : 2 * pairs], bits[:, 2 * pairs :]
        marks = np.zeros((len(bits), n, n), np.uint8)
        i, j = np.triu_indices(n, k=1)
        marks[:, i, j] = adjacent + to_j
        marks[:, j, i] = adjacent + to_i
        return marks

    def presence(self, start: int = 0, stop: int | None = None) -> BoolArray:
        """[stop − start, n]: true where the value varied; false throughout for a failed one."""
        bits = np.unpackbits(self.present[start:stop], axis=1, count=len(self.names))
        return bits.astype(bool) & self.used[start:stop, None]

    def chunks(self) -> Iterator[tuple[ByteArray, BoolArray]]:
        """(marks, presence) of all replicates, a bounded number at a time."""
        step = max(1, _CHUNK_CELLS // max(1, len(self.names)) ** 2)
        for start in range(0, len(self), step):
            yield self.marks(start, start + step), self.presence(start, start + step)

    def graph(self, replicate: int) -> CausalGraph | None:
        """The graph of one replicate over the values that varied in it; None where PC failed."""
        if not self.used[replicate]:
            return None
        kept = np.flatnonzero(self.presence(replicate, replicate + 1)[0])
        marks = self.marks(replicate, replicate + 1)[0]
        return CausalGraph(tuple(self.names[k] for k in kept), marks[np.ix_(kept, kept)])

    def save(self, path: Path) -> None:
        """Write a NumPy archive (.npz, no pickle). Raises RunError where the disk is full."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, names=np.array(self.names), edges=self.edges, present=self.present, used=self.used
            )

    @classmethod
    def load(cls, path: Path) -> PackedGraphs:
        """Read what `save` wrote; InputError where the file is not such an archive."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                names = tuple(str(name) for name in archive["names"])
                return cls(names, archive["edges"], archive["present"], archive["used"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(
                str(path), "graphs of replicates (.npz)", f"{error}", "Run the discovery again."
            ) from error

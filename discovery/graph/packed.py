"""The graphs of all replicates, three or four bits a pair: what is asked later needs no second run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import Endpoint, GraphKind
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray
from axiograph.engine.errors import InputError
from axiograph.engine.storage.files import atomic_path

_CHUNK_CELLS = 8_000_000  # marks unpacked at once


@dataclass(frozen=True, eq=False)
class PackedGraphs:
    """R graphs of one kind over n names, in the order of the replicates.

    `edges` [R, bytes]: bits of the pairs i < j in row order, each bit for all pairs, most significant first.
    CPDAGs: adjacent, arrowhead at j, arrowhead at i. PAGs: the mark at j as two bits, low then high, and that
    at i. `present` [R, bytes]: a bit for every name, zero where the value was constant in the
    replicate. `used` [R]: false where the search failed; such a replicate has no bits."""

    names: tuple[str, ...]
    edges: ByteArray
    present: ByteArray
    used: BoolArray
    kind: GraphKind = GraphKind.CPDAG

    def __len__(self) -> int:
        return len(self.used)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.edges.nbytes + self.present.nbytes + self.used.nbytes

    @classmethod
    def pack(
        cls,
        names: Sequence[str],
        marks: ByteArray,
        present: BoolArray,
        used: BoolArray,
        kind: GraphKind = GraphKind.CPDAG,
    ) -> PackedGraphs:
        """From marks [R, n, n] of discovery.graph.causal_graph, present [R, n] and used [R]. InputError for
        circles in a CPDAG."""
        i, j = np.triu_indices(len(names), k=1)
        to_j, to_i = marks[:, i, j], marks[:, j, i]
        planes: tuple[Any, ...]  # arrays [R, pairs] of 0 and 1
        if kind is GraphKind.PAG:
            planes = (to_j & 1, to_j >> 1, to_i & 1, to_i >> 1)
        elif np.any(to_j == Endpoint.CIRCLE) or np.any(to_i == Endpoint.CIRCLE):
            raise InputError("graphs of replicates", "CPDAGs", "circles, as in a PAG", "Say their kind.")
        else:
            planes = (to_j != Endpoint.NONE, to_j == Endpoint.ARROW, to_i == Endpoint.ARROW)
        edges = np.packbits(np.hstack(planes), axis=1)
        return cls(tuple(names), edges, np.packbits(present, axis=1), used.copy(), kind)

    @classmethod
    def join(cls, names: Sequence[str], parts: Sequence[PackedGraphs]) -> PackedGraphs:
        """The replicates of all parts, in order. ValueError where they are of different kinds."""
        if not parts:
            n = len(names)
            return cls.pack(names, np.zeros((0, n, n), np.uint8), np.zeros((0, n), bool), np.zeros(0, bool))
        (kind,) = {part.kind for part in parts}
        arrays = ((p.edges, p.present, p.used) for p in parts)
        edges, present, used = (np.concatenate(array) for array in zip(*arrays, strict=True))
        return cls(tuple(names), edges, present, used, kind)

    def part(self, start: int, stop: int) -> PackedGraphs:
        """The replicates from `start` to before `stop`."""
        cut = slice(start, stop)
        return PackedGraphs(self.names, self.edges[cut], self.present[cut], self.used[cut], self.kind)

    def marks(self, start: int = 0, stop: int | None = None) -> ByteArray:
        """[stop − start, n, n] marks; zero throughout for a replicate that failed."""
        n, pairs = len(self.names), len(self.names) * (len(self.names) - 1) // 2
        planes = _planes(self.kind)
        bits = np.unpackbits(self.edges[start:stop], axis=1, count=planes * pairs)
        plane = [bits[:, k * pairs : (k + 1) * pairs] for k in range(planes)]
        marks = np.zeros((len(bits), n, n), np.uint8)
        i, j = np.triu_indices(n, k=1)
        if self.kind is GraphKind.PAG:
            marks[:, i, j] = plane[0] + 2 * plane[1]
            marks[:, j, i] = plane[2] + 2 * plane[3]
        else:
            marks[:, i, j] = plane[0] + plane[1]
            marks[:, j, i] = plane[0] + plane[2]
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
        varied = np.flatnonzero(self.presence(replicate, replicate + 1)[0])
        marks = self.marks(replicate, replicate + 1)[0]
        return CausalGraph(tuple(self.names[k] for k in varied), marks[np.ix_(varied, varied)], self.kind)

    def save(self, path: Path) -> None:
        """Write a NumPy archive (.npz, no pickle). Raises RunError where the disk is full."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                names=np.array(self.names),
                edges=self.edges,
                present=self.present,
                used=self.used,
                kind=np.array(str(self.kind)),
            )

    @classmethod
    def load(cls, path: Path) -> PackedGraphs:
        """Read what `save` wrote; InputError where the file is not such an archive. Archives from before
        there were PAGs name no kind: they hold CPDAGs."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                names = tuple(str(name) for name in archive["names"])
                kind = GraphKind(str(archive["kind"])) if "kind" in archive else GraphKind.CPDAG
                graphs = cls(names, archive["edges"], archive["present"], archive["used"], kind)
                graphs._check()
                return graphs
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                str(path), "graphs of replicates (.npz)", f"{error}", "Run the discovery again."
            ) from error

    def _check(self) -> None:
        """ValueError where the arrays do not fit the names and the kind."""
        n, replicates = len(self.names), len(self.used)
        expected = (replicates, -(-_planes(self.kind) * n * (n - 1) // 2 // 8)), (replicates, -(-n // 8))
        if (self.edges.shape, self.present.shape) != expected:
            raise ValueError(f"arrays of {expected} expected, {self.edges.shape}, {self.present.shape} found")


def _planes(kind: GraphKind) -> int:
    """Bits a pair."""
    return 4 if kind is GraphKind.PAG else 3

"""In how many replicates a pair of values is joined, and how; and which edges of many replicates to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import Endpoint, GraphKind
from axiograph.discovery.graph.packed import PackedGraphs
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, CountArray, FloatArray, IndexArray
from axiograph.discovery.numerics.intervals import share, wilson
from axiograph.engine.errors import InputError


@dataclass(frozen=True, eq=False)
class EdgeCounts:
    """Counts [n, n] over replicates; `names` are the values, n of them, in column order.

    `adjacent`: any edge, also one with a circle; `forward`: i → j; `undirected`, `bidirected`: symmetric;
    `together`: replicates in which neither value was constant, which is what frequencies are taken over;
    `circles`: None where they are no PAGs. A replicate that failed says nothing about any edge and is in no
    count."""

    names: tuple[str, ...]
    adjacent: CountArray
    forward: CountArray
    undirected: CountArray
    bidirected: CountArray
    together: CountArray
    circles: CircleCounts | None = None

    @classmethod
    def zero(cls, names: Sequence[str], kind: GraphKind) -> EdgeCounts:
        """No replicate yet."""
        a, b, c, d, e = np.zeros((5, len(names), len(names)), np.int64)
        circles = CircleCounts.zero(len(names)) if kind is GraphKind.PAG else None
        return cls(tuple(names), a, b, c, d, e, circles)

    @classmethod
    def of(cls, graphs: PackedGraphs) -> EdgeCounts:
        """Of all replicates that did not fail."""
        counts = cls.zero(graphs.names, graphs.kind)
        for marks, presence in graphs.chunks():
            counts.add(marks, presence)
        return counts

    def add(self, marks: ByteArray, present: BoolArray) -> None:
        """Count R replicates, in place: their marks [R, n, n], and present [R, n], the values that varied."""
        arrow, tail = marks == Endpoint.ARROW, marks == Endpoint.TAIL
        back = (0, 2, 1)
        for total, edges in (
            (self.adjacent, marks != Endpoint.NONE),
            (self.forward, arrow & tail.transpose(back)),
            (self.undirected, tail & tail.transpose(back)),
            (self.bidirected, arrow & arrow.transpose(back)),
        ):
            total += edges.sum(axis=0)
        if self.circles is not None:
            self.circles.add(marks)
        varied = present.astype(np.float64)
        both = np.rint(varied.T @ varied).astype(np.int64)
        np.fill_diagonal(both, 0)
        np.add(self.together, both, out=self.together)

    @property
    def kind(self) -> GraphKind:
        """What the graphs of the replicates are."""
        return GraphKind.CPDAG if self.circles is None else GraphKind.PAG

    def table(self) -> pl.DataFrame:
        """One row a pair a, b (a before b in column order): `replicates` it is counted over, and the
        frequencies of `adjacent`, `forward` (a → b), `backward`, `undirected`, `bidirected`, `absent`; of
        PAGs also `circle_forward` (a o→ b), `circle_backward`, `circle_circle`, `circle_tail` (a o– b) and
        `tail_circle`.

        `*_mc_low`, `*_mc_high`: 95 % Wilson interval of the Monte-Carlo error, that is of what infinitely
        many replicates of this same data would give; no statement about the truth of an edge. Null where
        the pair was never counted."""
        i, j = np.triu_indices(len(self.names), k=1)
        total = self.together[i, j]
        counts = {
            "adjacent": self.adjacent[i, j],
            "forward": self.forward[i, j],
            "backward": self.forward[j, i],
            "undirected": self.undirected[i, j],
            "bidirected": self.bidirected[i, j],
        }
        if self.circles is not None:
            counts |= self.circles.by_mass(i, j)
        counts["absent"] = total - counts["adjacent"]
        columns: dict[str, object] = {
            "a": [self.names[k] for k in i],
            "b": [self.names[k] for k in j],
            "replicates": total,
        }
        for name, count in counts.items():
            low, high = wilson(count, total)
            columns |= {name: share(count, total), f"{name}_mc_low": low, f"{name}_mc_high": high}
        schema = dict.fromkeys(columns, pl.Float64) | {"a": pl.String, "b": pl.String, "replicates": pl.Int64}
        return pl.DataFrame(columns, schema=schema, nan_to_null=True)

    def frequencies(self) -> FloatArray:
        """[n, n], symmetric: the share of its replicates in which a pair is adjacent; NaN without any."""
        return share(self.adjacent, self.together)

    def consensus(self, threshold: float) -> CausalGraph:
        """The graph of the pairs adjacent in at least `threshold` of their replicates.

        Its marks are those of most of the replicates that join it (`majority`). InputError for a threshold
        outside (0, 1]."""
        if not 0 < threshold <= 1:
            raise InputError("threshold", "a share in (0, 1]", f"{threshold}", "Choose one, for example 0.5.")
        return self.majority(self.adjacent >= threshold * self.together)

    def data_driven_threshold(self) -> float:
        """`data_driven_threshold` over the pairs that were counted."""
        frequencies = self.frequencies()[np.triu_indices(len(self.names), k=1)]
        return data_driven_threshold(frequencies[~np.isnan(frequencies)])

    def averaged_network(self) -> CausalGraph:
        """The pairs more frequent than `data_driven_threshold`, directed as those of `consensus`."""
        return self.majority(np.nan_to_num(self.frequencies()) > self.data_driven_threshold())

    def majority(self, pairs: BoolArray) -> CausalGraph:
        """The graph of those `pairs` [n, n] that some replicate joins: a PAG where there are `circles`.

        CPDAGs: a pair is → (or ←, ↔) where more than half of the replicates that join it say so; otherwise
        it is undirected: the data do not settle its direction. PAGs: see `_pag_marks`."""
        joined = pairs & (self.adjacent > 0)
        if self.circles is not None:
            return CausalGraph(self.names, self._pag_marks(joined, self.circles), GraphKind.PAG)
        marks = np.where(joined, Endpoint.TAIL, Endpoint.NONE).astype(np.uint8)
        marks[joined & (2 * self.forward > self.adjacent)] = Endpoint.ARROW
        marks[joined & (2 * self.bidirected > self.adjacent)] = Endpoint.ARROW
        return CausalGraph(self.names, marks)

    def _pag_marks(self, joined: BoolArray, circles: CircleCounts) -> ByteArray:
        """The marks [n, n] of the pairs `joined`: at each end the mark that more than half of the replicates
        that join the pair have at it, else a circle.

        By ends, since each mark of a PAG is a statement of its own (discovery.graph.marks): of a o→ b, a ↔ b
        and a → b all say that b is no cause of a, and disagree on a alone. A circle is what PAGs have for
        "not settled"; a tail, as in the consensus of CPDAGs, would say that there is a cause."""
        arrow_at_j = self.forward + self.bidirected + circles.forward
        tail_at_j = self.forward.T + self.undirected + circles.tail
        marks = np.where(joined, Endpoint.CIRCLE, Endpoint.NONE).astype(np.uint8)
        marks[joined & (2 * arrow_at_j > self.adjacent)] = Endpoint.ARROW
        marks[joined & (2 * tail_at_j > self.adjacent)] = Endpoint.TAIL
        return marks


@dataclass(frozen=True, eq=False)
class CircleCounts:
    """Counts [n, n] over PAGs: `forward` of i o→ j, `circle` of i o–o j (symmetric), `tail` of i o– j."""

    forward: CountArray
    circle: CountArray
    tail: CountArray

    @classmethod
    def zero(cls, n: int) -> CircleCounts:
        """No replicate yet."""
        a, b, c = np.zeros((3, n, n), np.int64)
        return cls(a, b, c)

    def add(self, marks: ByteArray) -> None:
        """Count the graphs of marks [R, n, n], in place."""
        circle_at_i = (marks == Endpoint.CIRCLE).transpose(0, 2, 1)
        for counts, at_j in (
            (self.forward, Endpoint.ARROW),
            (self.circle, Endpoint.CIRCLE),
            (self.tail, Endpoint.TAIL),
        ):
            counts += (circle_at_i & (marks == at_j)).sum(axis=0)

    def by_mass(self, i: IndexArray, j: IndexArray) -> dict[str, CountArray]:
        """For the pairs i, j the counts as the edge table names them."""
        return {
            "circle_forward": self.forward[i, j],
            "circle_backward": self.forward[j, i],
            "circle_circle": self.circle[i, j],
            "circle_tail": self.tail[i, j],
            "tail_circle": self.tail[j, i],
        }


def data_driven_threshold(frequencies: FloatArray) -> float:
    """The threshold of Scutari & Nagarajan (2013, Artificial Intelligence in Medicine 57, section 3), above
    which a pair is kept, as bnlearn's `averaged.network` does.

    frequencies [m]: of every pair, absent ones included. With F their distribution function, t is chosen so
    that the integral of |F(x) − t| over [0, 1] is least: the distance to a configuration in which a share
    t of the pairs has frequency 0 and the rest 1. The threshold is the quantile F⁻¹(t).

    The best t is the median of F(x), x uniform on [0, 1], which is F(½) since F never falls. So the
    threshold is the largest frequency not above ½ (0 where there is none), and what is kept is every pair
    in more than half of its replicates: the method cannot choose a stricter level."""
    low = frequencies[frequencies <= 0.5]
    return float(low.max()) if len(low) else 0.0

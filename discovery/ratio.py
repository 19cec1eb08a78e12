"""A share or a mean over other values, with its intervals over roles, and over roles and graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discovery.draws import mean_of_known, percentile_range
from discovery.pc import FloatArray

Ends = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Ratio:
    """top / bottom [sources, 3 relations, targets], again in every draw of the roles (`drawn_*`
    [sources, 3, targets, B], or 1 for B where a draw changes nothing), and in every draw of the roles
    together with a graph (`graphs_*` [3, targets, B], None without replicates)."""

    top: FloatArray
    bottom: FloatArray
    drawn_top: FloatArray
    drawn_bottom: FloatArray
    graphs_top: FloatArray | None
    graphs_bottom: FloatArray | None

    @classmethod
    def zero(cls, sources: int) -> Ratio:
        """Over nothing: one target, no draws."""
        whole, drawn, graphs = np.zeros((sources, 3, 1)), np.zeros((sources, 3, 1, 1)), np.zeros((3, 1, 1))
        return cls(whole, whole, drawn, drawn, graphs, graphs)

    def __add__(self, other: Ratio) -> Ratio:
        """Both over all their values: draw b of the one goes with draw b of the other, the same roles."""
        graphs = [
            None if a is None or b is None else a + b
            for a, b in (
                (self.graphs_top, other.graphs_top),
                (self.graphs_bottom, other.graphs_bottom),
            )
        ]
        return Ratio(
            self.top + other.top,
            self.bottom + other.bottom,
            self.drawn_top + other.drawn_top,
            self.drawn_bottom + other.drawn_bottom,
            *graphs,
        )

    def pooled(self) -> Ratio:
        """Over all targets together: one target is left."""
        graphs = [
            None if a is None else a.sum(axis=1, keepdims=True) for a in (self.graphs_top, self.graphs_bottom)
        ]
        drawn = [a.sum(axis=2, keepdims=True) for a in (self.drawn_top, self.drawn_bottom)]
        return Ratio(
            self.top.sum(axis=2, keepdims=True), self.bottom.sum(axis=2, keepdims=True), *drawn, *graphs
        )

    def numbers(self) -> Numbers:
        graphs = None
        if self.graphs_top is not None and self.graphs_bottom is not None:
            graphs = _quotient(self.graphs_top, self.graphs_bottom)
        return Numbers(_quotient(self.top, self.bottom), _quotient(self.drawn_top, self.drawn_bottom), graphs)


@dataclass(frozen=True, eq=False)
class Numbers:
    """`estimate` [sources, …], NaN where there is none, and what the draws gave: `drawn` [sources, …, B] and,
    for the last source, `graphs` […, B]."""

    estimate: FloatArray
    drawn: FloatArray
    graphs: FloatArray | None

    def contrast(self) -> Numbers:
        """Expected − unexpected; the relations are the second axis."""
        graphs = None if self.graphs is None else self.graphs[0] - self.graphs[2]
        return Numbers(self.estimate[:, 0] - self.estimate[:, 2], self.drawn[:, 0] - self.drawn[:, 2], graphs)

    def intervals(self, level: float, bounds: tuple[float, float]) -> tuple[Ends, Ends]:
        """Low and high over roles, and over roles and graphs (NaN for every source but the last), each in the
        shape of `estimate`.

        The draws lie off the estimate: a draw adds its own noise to that of the sample, so that values which
        stay seem to move. Their spread is that of the estimate, their place is not. So an interval is the
        percentile range of the draws moved by their mean's distance from the estimate (Efron & Tibshirani
        1993, ch. 10, the bootstrap's estimate of bias), cut at `bounds`. The draws with graphs are moved by
        the same distance: what the graphs add, place and spread, stays. NaN where fewer than half of the
        draws are defined."""
        bias = mean_of_known(self.drawn) - self.estimate
        roles = _cut(percentile_range(self.drawn - bias[..., None], level), bounds)
        missing = np.full(self.estimate.shape, np.nan)
        if self.graphs is None:
            return roles, (missing, missing)
        ends = _cut(percentile_range(self.graphs - bias[-1][..., None], level), bounds)
        both = [np.concatenate([missing[:-1], end[None]]) for end in ends]
        return roles, (both[0], both[1])


def _quotient(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def _cut(ends: Ends, bounds: tuple[float, float]) -> Ends:
    return np.clip(ends[0], *bounds), np.clip(ends[1], *bounds)

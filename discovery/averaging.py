"""Which edges of many replicates to keep, and which way they point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discovery.circle_counts import CircleCounts, pag_majority
from discovery.graph import BoolArray, CausalGraph, Endpoint, GraphKind
from discovery.pc import FloatArray
from discovery.wilson import CountArray


def majority_graph(
    names: Sequence[str],
    kept: BoolArray,
    adjacent: CountArray,
    forward: CountArray,
    bidirected: CountArray,
    circles: CircleCounts | None = None,
) -> CausalGraph:
    """The graph of the pairs `kept` [n, n] that some replicate joins: a PAG where there are `circles`.

    CPDAGs: a pair is → (or ←, ↔) where more than half of the replicates that join it say so; otherwise it is
    undirected: the data do not settle its direction. PAGs: see `pag_majority`. The counts [n, n] are those of
    BootstrapResult."""
    if circles is not None:
        marks = pag_majority(kept, adjacent, forward, bidirected, circles)
        return CausalGraph(tuple(names), marks, GraphKind.PAG)
    kept = kept & (adjacent > 0)
    marks = np.where(kept, Endpoint.TAIL, Endpoint.NONE).astype(np.uint8)
    marks[kept & (2 * forward > adjacent)] = Endpoint.ARROW
    marks[kept & (2 * bidirected > adjacent)] = Endpoint.ARROW
    return CausalGraph(tuple(names), marks)


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

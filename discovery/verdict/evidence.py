"""What a verdict on a graph rests on, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.resampling.bootstrap import BootstrapResult
from axiograph.discovery.resampling.score_table import Strength
from axiograph.discovery.verdict.moments import Moments

FREQUENT = 0.7  # of the replicates: from here on an arrow counts as frequent


@dataclass(frozen=True)
class GraphEvidence:
    """Of a graph over `values` values from `roles` roles: its `edges`, of which `arrows` have a direction;
    `frequent_arrows`: ordered pairs a → b in FREQUENT of the replicates or more.

    `edges_all_roles`: of the search on all roles, against `null_edges` on average (None where nothing was
    permuted), with `p_permuted` = (1 + tables in which as much was found) / (1 + tables), a test of
    permutation (Phipson & Smyth 2010, SAGMB 9; what is as much: discovery.resampling.score_table.Strength).
    `flipped_edges` and `p_flipped`: the same for flipped signs, which keep how extreme each role answers
    (None where correlations were corrected for measurement error). `co_kurtosis`: that of
    discovery.verdict.moments. `gain`: of a search that sees more than scores, compared in place of edges;
    `null_gain`: on average where all is permuted."""

    roles: int
    values: int
    edges: int
    arrows: int
    frequent_arrows: int
    edges_all_roles: int
    null_edges: float | None
    p_permuted: float | None
    flipped_edges: float | None
    p_flipped: float | None
    co_kurtosis: float | None
    gain: float | None = None
    null_gain: float | None = None

    @property
    def p(self) -> float | None:
        """The larger of the two: what neither null explains; None where none was made."""
        known = [p for p in (self.p_permuted, self.p_flipped) if p is not None]
        return max(known) if known else None


def graph_evidence(
    result: BootstrapResult,
    graph: CausalGraph,
    all_roles: CausalGraph,
    roles: int,
    moments: Moments,
    gain: float | None = None,
) -> GraphEvidence:
    """Of a discovery: `graph` made from the replicates of `result`, `all_roles` by one search on scores with
    `moments`; its `gain`, where the search sees more than these."""
    inflation, edges = result.inflation, result.edges
    frequent = edges.forward >= FREQUENT * np.maximum(edges.together, 1)
    observed = Strength(all_roles.n_edges, moments.relatedness, gain)
    return GraphEvidence(
        roles=roles,
        values=len(graph.names),
        edges=graph.n_edges,
        arrows=int(graph.directed_mask().sum()),
        frequent_arrows=int(frequent.sum()),
        edges_all_roles=observed.edges,
        null_edges=_mean(inflation.null),
        p_permuted=p_of(observed, inflation.null),
        flipped_edges=_mean(inflation.flipped),
        p_flipped=p_of(observed, inflation.flipped),
        co_kurtosis=moments.co_kurtosis,
        gain=gain,
        null_gain=_mean_gain(inflation.null),
    )


def p_of(observed: Strength, null: Sequence[Strength]) -> float | None:
    """The share of the null, the observed one among it, that is as strong; None without any."""
    return (1 + sum(one.is_as_much_as(observed) for one in null)) / (1 + len(null)) if null else None


def _mean(null: Sequence[Strength]) -> float | None:
    return float(np.mean([one.edges for one in null])) if null else None


def _mean_gain(null: Sequence[Strength]) -> float | None:
    gains = [one.gain for one in null if one.gain is not None]
    return float(np.mean(gains)) if gains else None

"""Paper mode (DESIGN 15): the procedures of Kang et al. (Findings of ACL 2025), to the digit.

They differ from axiograph's own on purpose: rows of all conditions are pooled, an undirected edge counts
as both directions, any non-zero change is a change. Never the default; see `discovery.paper.replication`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from axiograph.discovery.effects.contrast import response_shares, sign_counts
from axiograph.discovery.graph.causal_graph import CausalGraph, reachability
from axiograph.discovery.numerics.arrays import BoolArray, FloatArray
from axiograph.discovery.paper.answers import PublishedAnswers
from axiograph.discovery.pc.search import pc
from axiograph.engine.errors import InputError

_ANY = 0.0  # the paper counts any difference of two scores, without a tolerance


def directed_edges(graph: CausalGraph) -> list[tuple[int, int]]:
    """The paper's directed graph of a CPDAG: → is kept, — and ↔ become both directions.

    For i < j in column order, as (i, j) before (j, i)."""
    forward = graph.directed_mask()
    both = graph.undirected_mask() | graph.bidirected_mask()
    edges = []
    for i, j in np.argwhere(np.triu(graph.adjacency())).tolist():
        edges += [(i, j)] if forward[i, j] or both[i, j] else []
        edges += [(j, i)] if forward[j, i] or both[i, j] else []
    return edges


def transitive_reduction(edges: Sequence[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """Drop edges that change no reachability, in the paper's order, until none can be dropped.

    With cycles the result depends on the order: an edge that is kept moves to the end of the list."""
    remaining = list(edges)
    whole = closure(remaining, n)
    dropped = True
    while dropped:
        dropped = False
        for edge in list(remaining):
            remaining.remove(edge)
            if np.array_equal(closure(remaining, n), whole):
                dropped = True
            else:
                remaining.append(edge)
    return remaining


def closure(edges: Sequence[tuple[int, int]], n: int) -> BoolArray:
    """[n, n]: where a path leads from i to j."""
    mask = np.zeros((n, n), dtype=bool)
    for i, j in edges:
        mask[i, j] = True
    return reachability(mask)


def pooled_graph(answers: PublishedAnswers, features: Sequence[int], alpha: float = 0.05) -> CausalGraph:
    """PC (that of causal-learn) on unsteered and steered rows pooled. Constant values get no edge.

    Raises as `discovery.pc.search.pc` does."""
    graph = pc(answers.pooled(features), answers.values, alpha).graph
    names = graph.names
    edges = [(names[i], names[j]) for i, j in graph.directed_edges()]
    lines = [(names[i], names[j]) for i, j in graph.undirected_edges()]
    double = [(names[i], names[j]) for i, j in graph.bidirected_edges()]
    return CausalGraph.from_edges(answers.values, edges, lines, double)


def table1(train: PublishedAnswers, test: PublishedAnswers, features: Sequence[int]) -> dict[int, list[str]]:
    """Table 1: per feature and value `up/down/same` over train roles, then over test roles.

    A role counts where it has both an unsteered and a steered row."""
    table = {}
    for feature in features:
        counts = [c for answers in (train, test) for c in sign_counts(steered_change(answers, feature), _ANY)]
        table[feature] = ["/".join(str(c[k]) for c in counts) for k in range(len(train.values))]
    return table


def steering_counts(
    test: PublishedAnswers, steered: PublishedAnswers, targets: Mapping[str, int | None]
) -> dict[str, int]:
    """How many (role, value) pairs went `up`, `down` or stayed the `same`.

    `targets`: value → the feature whose rows of `steered` are compared with the unsteered rows of `test`;
    None for its unsteered rows (the hard prompt's)."""
    totals = dict.fromkeys(("up", "down", "same"), 0)
    for value, feature in targets.items():
        k = test.values.index(value)
        change = paired_change(test.rows(None), steered.rows(feature), len(test.values))
        for name, count in zip(totals, sign_counts(change[:, [k]], _ANY), strict=True):
            totals[name] += int(count[0])
    return totals


def steered_change(answers: PublishedAnswers, feature: int) -> FloatArray:
    """[n_roles, n_values]: scores under the feature − unsteered scores, of the roles that have both."""
    return paired_change(answers.rows(None), answers.rows(feature), len(answers.values))


def paired_change(
    before: dict[str | None, FloatArray], after: dict[str | None, FloatArray], n_values: int
) -> FloatArray:
    """[n_roles, n_values]: after − before for the roles in both."""
    rows = [after[role] - scores for role, scores in before.items() if role in after]
    return np.array(rows).reshape(-1, n_values)


def role_changes(test: PublishedAnswers) -> FloatArray:
    """[n_roles, n_values]: unsteered scores of the rows with a role − those of the first of them."""
    rows = [scores for role, scores in test.rows(None).items() if role is not None]
    if not rows:
        raise InputError(str(test.path), "unsteered rows with a role", "none", "Check the file.")
    return np.array(rows) - rows[0]


def feature_changes(test: PublishedAnswers, role: str, features: Sequence[int]) -> FloatArray | None:
    """[n_features, n_values]: the role's scores under each feature − unsteered; None if it has no
    unsteered row."""
    base = test.rows(None).get(role)
    if base is None:
        return None
    rows = [scores[role] - base for f in features if role in (scores := test.rows(f))]
    return np.array(rows).reshape(-1, len(test.values))


def table2_rows(changes: FloatArray, reach: BoolArray) -> dict[str, list[float | None]]:
    """Two rows of Table 2: how often descendants (expected) and all other values (unexpected) changed.

    None, an empty cell, where the value never changed or there is nothing to average."""
    others = ~np.eye(len(reach), dtype=bool)
    return {
        "expected": response_shares(changes, reach & others, _ANY),
        "unexpected": response_shares(changes, ~reach & others, _ANY),
    }

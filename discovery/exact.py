"""Exact search: the graph with the best score of all, by causal-learn; for few values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from discovery.causal_learn import CausalLearnEngine, quiet, require_more_rows, rows_of
from discovery.graph import BoolArray, CausalGraph
from discovery.pc import Question
from engine.errors import InputError

MAX_VALUES = 20  # time grows 2.4 times with each value: half a minute to two at 17, half an hour at 20


@dataclass(frozen=True)
class Exact(CausalLearnEngine):
    """causal-learn's `bic_exact_search` (Silander & Myllymäki 2006; A*: Yuan & Malone 2013, JAIR 48).

    It gives one graph with the best BIC; every graph of its equivalence class has the same score, so what is
    returned is that class: a CPDAG. `max_parents` of a value, None for no limit (with one, the class may hold
    graphs beyond it); `search`: "astar" or "dp" (dynamic programming), two ways to the same score. BIC's
    penalty is fixed; alpha is not used."""

    max_parents: int | None = None
    search: Literal["astar", "dp"] = "astar"

    name: ClassVar[str] = "exact"
    no_knowledge: ClassVar[str] = "The class of the best graph would hold graphs that the knowledge forbids."

    def find(self, asked: Question) -> CausalGraph:
        from causallearn.search.ScoreBased.ExactSearch import bic_exact_search

        if len(asked.names) > MAX_VALUES:
            raise InputError(
                "algorithm exact",
                f"at most {MAX_VALUES} values, as time and memory grow exponentially",
                f"{len(asked.names)}",
                "Leave out values, or use algorithm ges, which has the same score.",
            )
        require_more_rows("exact", asked)
        rows = rows_of(asked)
        # Its regressions have no constant: without centring, means would count as effects.
        rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        with quiet("exact search"):
            dag, _ = bic_exact_search(rows, search_method=self.search, max_parents=self.max_parents)
        return cpdag_of(asked.names, np.asarray(dag) == 1)


def cpdag_of(names: Sequence[str], dag: BoolArray) -> CausalGraph:
    """The CPDAG of the class of `dag` [n, n], entry [i, j] true for i → j, by causal-learn's `dag2cpdag`."""
    from causallearn.graph.Dag import Dag
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.DAG2CPDAG import dag2cpdag

    nodes = [GraphNode(name) for name in names]
    theirs = Dag(nodes)
    for i, j in np.argwhere(dag):
        theirs.add_directed_edge(nodes[i], nodes[j])
    return CausalGraph.from_causal_learn(names, dag2cpdag(theirs).graph)

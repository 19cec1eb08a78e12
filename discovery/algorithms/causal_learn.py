"""Searches of causal-learn: FCI (values may have hidden common causes), GES (the best score that a greedy
search finds) and exact search (the best score of all, for few values), and what each needs round it: checks,
quiet, errors with a cause.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.numerics.arrays import BoolArray
from axiograph.discovery.orders.search import PENALTY_ON_HALF
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.discovery.pc.search import ColumnSearch, FoundGraph
from axiograph.engine.errors import InputError, RunError

MAX_VALUES = 20  # of exact search: its time grows 2.4 times with each value, half an hour at 20


class CausalLearnSearch(ColumnSearch):
    """An algorithm of causal-learn; subclasses hold its settings."""

    def find(self, inputs: SearchInput) -> FoundGraph:
        """InputError for what the algorithm cannot take, RunError where it cannot work with these scores."""
        return FoundGraph(self.find_graph(inputs))  # causal-learn does not say where rounding decides

    @abstractmethod
    def find_graph(self, inputs: SearchInput) -> CausalGraph:
        """The graph of columns that all vary and of which no two are collinear."""


@contextlib.contextmanager
def quiet(algorithm: str) -> Iterator[None]:
    """causal-learn without its prints and warnings; what goes wrong with the numbers becomes a RunError."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # "more features than samples": what runs is checked before
            yield
    except (ArithmeticError, ValueError) as error:
        raise RunError(
            algorithm,
            "scores that its tests can use",
            f"{type(error).__name__} in a test: {error}",
            "Leave out values that others determine, or ask more roles.",
        ) from error


def require_rows(algorithm: str, inputs: SearchInput, reason: str) -> None:
    """InputError where the correlations or the number of independent rows are not those of the table."""
    if not inputs.plain:
        raise InputError(
            f"algorithm {algorithm}",
            "one row a role and the scores as they are",
            "corrected correlations, or several rows of one role",
            f"{reason} Use one row a role without a correction, or algorithm pc, fci, ges or exact.",
        )


def require_more_rows(algorithm: str, inputs: SearchInput) -> None:
    """RunError unless there are more independent rows than values: with fewer some score has no bound."""
    if inputs.n <= len(inputs.names):
        raise RunError(
            f"algorithm {algorithm}",
            f"more roles than the {len(inputs.names)} values",
            f"{inputs.n}",
            "Ask more roles, leave out values, or use algorithm pc.",
        )


class _Column(str):
    """A name for a column that sorts, and is kept in sets, by the column's number in every process."""

    number: int

    def __new__(cls, number: int) -> _Column:
        column = super().__new__(cls, f"{number:06d}")
        column.number = number
        return column

    def __hash__(self) -> int:
        return self.number


@dataclass(frozen=True)
class FCI(CausalLearnSearch):
    """causal-learn's `fci` with Fisher-z tests (Spirtes et al. 2000; rules of Zhang 2008, AIJ 172): a PAG.

    `max_conditioning`: the largest conditioning set of the adjacency search; causal-learn's second search,
    among the values that may separate a pair by way of hidden causes, has no limit, and its time doubles
    with each such value.

    causal-learn's result can depend on the order of a set of names, which is another in every process, so it
    is not the same twice: its names here are `_Column`s, and the result is one of causal-learn's, always the
    same one, whatever the values are called."""

    max_conditioning: int | None = None

    name: ClassVar[str] = "fci"
    kind: ClassVar[GraphKind] = GraphKind.PAG
    no_knowledge: ClassVar[str] = (
        "causal-learn's FCI turns 'a is no cause of b' into 'b is a cause of a', which is wrong where hidden "
        "common causes are allowed."
    )

    def find_graph(self, inputs: SearchInput) -> CausalGraph:
        from causallearn.search.ConstraintBased.FCI import fci

        columns = [_Column(k) for k in range(len(inputs.names))]
        depth = -1 if self.max_conditioning is None else self.max_conditioning
        with quiet("FCI"):
            pag, _ = fci(
                inputs.rows(),
                alpha=float(inputs.alpha),
                depth=depth,
                show_progress=False,
                node_names=columns,
            )
        return CausalGraph.from_causal_learn(inputs.names, pag.graph, GraphKind.PAG)


@dataclass(frozen=True)
class GES(CausalLearnSearch):
    """causal-learn's `ges` with the Gaussian BIC (Chickering 2002, JMLR 3): a CPDAG.

    `penalty`: of a parameter, as a multiple of BIC's log n / 2; more gives fewer edges. It takes the place
    of alpha, which is not used. causal-learn's own default is 1; it keeps many false edges at the numbers of
    roles that studies have (benchmarks/results/orders.md)."""

    penalty: float = 2.0

    name: ClassVar[str] = "ges"
    no_knowledge: ClassVar[str] = "causal-learn's GES takes none."

    def on_half(self) -> GES:
        """As best-order search."""
        return replace(self, penalty=PENALTY_ON_HALF * self.penalty)

    def find_graph(self, inputs: SearchInput) -> CausalGraph:
        from causallearn.search.ScoreBased.GES import ges

        require_more_rows("ges", inputs)
        # From correlations every graph's score differs from that of the covariances by the same number.
        with quiet("GES"):
            result = ges(
                cov=inputs.correlation,
                n=inputs.n,
                lambda_value=self.penalty / 2,  # theirs counts in log n
                node_names=list(inputs.names),
            )
        return CausalGraph.from_causal_learn(inputs.names, result["G"].graph)


@dataclass(frozen=True)
class Exact(CausalLearnSearch):
    """causal-learn's `bic_exact_search` (Silander & Myllymäki 2006; A*: Yuan & Malone 2013, JAIR 48).

    It gives one graph with the best BIC; every graph of its equivalence class has the same score, so what is
    returned is that class: a CPDAG. `max_parents` of a value, None for no limit (with one, the class may hold
    graphs beyond it); `search`: "astar" or "dp" (dynamic programming), two ways to the same score. BIC's
    penalty is fixed; alpha is not used."""

    max_parents: int | None = None
    search: Literal["astar", "dp"] = "astar"

    name: ClassVar[str] = "exact"
    no_knowledge: ClassVar[str] = "The class of the best graph would hold graphs that the knowledge forbids."

    def find_graph(self, inputs: SearchInput) -> CausalGraph:
        from causallearn.search.ScoreBased.ExactSearch import bic_exact_search

        if len(inputs.names) > MAX_VALUES:
            raise InputError(
                "algorithm exact",
                f"at most {MAX_VALUES} values, as time and memory grow exponentially",
                f"{len(inputs.names)}",
                "Leave out values, or use algorithm ges, which has the same score.",
            )
        require_more_rows("exact", inputs)
        rows = inputs.rows()
        # Its regressions have no constant: without centring, means would count as effects.
        rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        with quiet("exact search"):
            dag, _ = bic_exact_search(rows, search_method=self.search, max_parents=self.max_parents)
        return cpdag_of(inputs.names, np.asarray(dag) == 1)


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

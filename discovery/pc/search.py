"""The PC search, and the one form of every search: a matrix of scores in, a graph out.

Whatever finds a graph in scores has the type `SearchFunction`. `pc` is the compiled kernel
(discovery.pc.kernel); `pc_causal_learn` is causal-learn's, thousands of times slower, and the reference that
the kernel must equal (DESIGN 10). discovery.algorithms has the others.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.pc.inputs import (
    SearchInput,
    check_collinearity,
    check_correlation,
    check_input,
    collinear,
    constant_columns,
)
from axiograph.engine.errors import InputError, RunError


@dataclass(frozen=True)
class LearnedGraph:
    """A graph over the columns that vary, and the names of those that do not (they are in no graph).

    `borderline`: tests within 1e-9 of alpha or on a submatrix with a condition number above 1e10, where
    rounding decides (DESIGN 10; counted by the kernel only). `gain`: how much better than the empty graph the
    search takes it to be, where it sees more than scores; `weights` [p, p]: coefficients of its DAG, entry
    [x, y] of x → y, where the search fits one."""

    graph: CausalGraph
    constant: tuple[str, ...]
    borderline: int = 0
    gain: float | None = None
    weights: FloatArray | None = None


class FoundGraph(NamedTuple):
    """What a search says of columns that all vary; the fields are those of LearnedGraph."""

    graph: CausalGraph
    borderline: int = 0
    gain: float | None = None
    weights: FloatArray | None = None


# (data, names, alpha), and by keyword, where there is one, `knowledge`, `n` and `correlation`: see `pc`.
SearchFunction = Callable[..., LearnedGraph]


def pc(
    data: FloatArray,
    names: Sequence[str],
    alpha: float = 0.05,
    knowledge: Knowledge | None = None,
    *,
    n: int | None = None,
    correlation: FloatArray | None = None,
) -> LearnedGraph:
    """PC with Fisher-z tests: the graph of causal-learn's `pc(data, alpha)` with its defaults.

    `data`: [n_rows, n_values] scores, one row per role; `names`: n_values names; `alpha`: level of each
    test; `knowledge`: forbidden and required edges, tiers. Stable skeleton, uc_rule 0, uc_priority 2.
    `n`: how many rows count as independent in a test, n_rows by default; `correlation` [n_values, n_values]:
    used in place of that of the data; NaN on its diagonal excludes a column as a constant one is.
    Constant columns are excluded first, since a test with one has no p-value and causal-learn then keeps
    every edge to it.

    Raises InputError for alpha outside (0, 1), fewer than five rows, missing or infinite scores, names
    that do not fit, knowledge of others, a correlation matrix that is none; RunError for collinear
    columns, named.
    """
    return on_varying_columns(_kernel, data, names, alpha, knowledge, n, correlation)


class ColumnSearch(ABC):
    """A search with settings, as a `SearchFunction`: subclasses hold the settings and find the graph of the
    columns that vary.

    `name`: as in discovery.algorithms.registry; `kind`: of its graphs; `no_knowledge`: why it refuses
    background knowledge, empty where it takes it; `in_threads`: whether searches run side by side, since
    compiled loops do not hold the interpreter's lock."""

    name: ClassVar[str]
    kind: ClassVar[GraphKind] = GraphKind.CPDAG
    no_knowledge: ClassVar[str] = ""
    in_threads: ClassVar[bool] = False

    def __call__(
        self,
        data: FloatArray,
        names: Sequence[str],
        alpha: float = 0.05,
        knowledge: Knowledge | None = None,
        *,
        n: int | None = None,
        correlation: FloatArray | None = None,
    ) -> LearnedGraph:
        """Arguments and errors as `pc`; also InputError for knowledge that it does not take, and what `find`
        raises."""
        if self.no_knowledge and knowledge is not None and not knowledge.is_empty:
            raise InputError(
                f"algorithm {self.name}",
                "no background knowledge",
                "forbidden or required edges, or tiers",
                f"{self.no_knowledge} Leave the knowledge out, or use algorithm pc.",
            )
        result = on_varying_columns(self.find, data, names, alpha, knowledge, n, correlation)
        if result.graph.kind is self.kind:
            return result
        # Fewer than two columns vary: the empty graph, which was not made by `find`.
        return replace(result, graph=CausalGraph.empty(result.graph.names, self.kind))

    def on_half(self) -> Self:
        """What is asked of half of the roles: the same, where nothing else is said."""
        return self

    def of_replicate(self, seed: int, number: int) -> Self:
        """What replicate `number` asks: the same, where a search knows nothing but the rows."""
        return self

    def of_null(self, seed: int, number: int, *, signs: bool) -> Self:
        """What is asked of null table `number`, with flipped `signs` or shuffled: the same, likewise."""
        return self

    @abstractmethod
    def find(self, inputs: SearchInput) -> FoundGraph:
        """The graph of columns that all vary and of which no two are collinear."""


@dataclass(frozen=True)
class PC(ColumnSearch):
    """`pc` with another rule for colliders (discovery.pc.colliders): "definite", "majority" or "max_p"."""

    colliders: str

    name: ClassVar[str] = "pc"
    in_threads: ClassVar[bool] = True

    def find(self, inputs: SearchInput) -> FoundGraph:
        return _kernel(inputs, self.colliders)


def pc_causal_learn(
    data: FloatArray,
    names: Sequence[str],
    alpha: float = 0.05,
    knowledge: Knowledge | None = None,
    *,
    n: int | None = None,
    correlation: FloatArray | None = None,
) -> LearnedGraph:
    """The same by causal-learn itself, on the same columns and with the same errors; see `pc`.

    Not with a pair that is forbidden both ways: causal-learn keeps no set that separates it, and takes what
    lies between for colliders (its issue 224)."""
    return on_varying_columns(_causal_learn, data, names, alpha, knowledge, n, correlation)


def on_varying_columns(
    find: Callable[[SearchInput], FoundGraph],
    data: FloatArray,
    names: Sequence[str],
    alpha: float,
    knowledge: Knowledge | None,
    n: int | None,
    correlation: FloatArray | None,
) -> LearnedGraph:
    """What `find` says of the columns that vary, once all is checked; arguments and
    errors as `pc`."""
    check_input(data, names, alpha, n)
    if knowledge is not None:
        knowledge.check(names)
    corrected = None if correlation is None else check_correlation(correlation, names)
    varies = ~constant_columns(data)
    if corrected is not None:
        varies &= ~np.isnan(np.diag(corrected))
    constant = tuple(name for name, varied in zip(names, varies, strict=True) if not varied)
    varying = tuple(name for name, varied in zip(names, varies, strict=True) if varied)
    if len(varying) < 2:
        return LearnedGraph(CausalGraph.empty(varying), constant)
    table = np.ascontiguousarray(data[:, varies], dtype=np.float64)
    rows = len(table) if n is None else n
    matrix = np.asarray(np.corrcoef(table.T)) if corrected is None else corrected[np.ix_(varies, varies)]
    check_collinearity(matrix, table, varying)
    plain = corrected is None and rows == len(table)
    found = find(SearchInput(table, matrix, varying, rows, alpha, knowledge, plain))
    return LearnedGraph(found.graph, constant, found.borderline, found.gain, found.weights)


def _kernel(inputs: SearchInput, colliders: str = "sepset") -> FoundGraph:
    from axiograph.discovery.pc.kernel import SingularError, cpdag

    try:
        knowledge = None if inputs.knowledge is None else inputs.knowledge.matrices(inputs.names)
        result = cpdag(inputs.correlation, inputs.n, inputs.alpha, knowledge, colliders)
    except SingularError as error:
        # A submatrix that is singular although the whole passed the check: with fewer rows than columns.
        raise collinear([inputs.names[k] for k in error.columns]) from error
    return FoundGraph(CausalGraph(inputs.names, result.marks), result.borderline)


def _causal_learn(inputs: SearchInput) -> FoundGraph:
    from causallearn.search.ConstraintBased.PC import pc as causal_learn_pc

    options = {}
    if inputs.knowledge is not None:
        options["background_knowledge"] = for_causal_learn(inputs.knowledge)
    rows = inputs.rows()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "more features than samples": what runs is checked above
            result = causal_learn_pc(
                rows, inputs.alpha, show_progress=False, node_names=list(inputs.names), **options
            )
    except (ArithmeticError, ValueError) as error:
        # A submatrix that is singular although the whole passed the check: with fewer rows than columns.
        raise RunError(
            "PC",
            "columns that are not collinear",
            f"{type(error).__name__} in a test: {error}",
            "Leave out values that others determine, or ask more roles.",
        ) from error
    return FoundGraph(CausalGraph.from_causal_learn(inputs.names, result.G.graph))


def for_causal_learn(knowledge: Knowledge) -> object:
    """The same knowledge as causal-learn's class, which compares nodes by name."""
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.PCUtils.BackgroundKnowledge import BackgroundKnowledge

    theirs = BackgroundKnowledge()
    for a, b in knowledge.forbidden:
        theirs.add_forbidden_by_node(GraphNode(a), GraphNode(b))
    for a, b in knowledge.required:
        theirs.add_required_by_node(GraphNode(a), GraphNode(b))
    for name, tier in knowledge.tiers.items():
        theirs.add_node_to_tier(GraphNode(name), tier)
    return theirs

"""The PC algorithm behind one seam: a matrix of scores in, a CPDAG out.

Whatever runs PC has the type `Engine`. `pc` is the compiled kernel (discovery.kernel); `pc_causal_learn` is
causal-learn's, thousands of times slower, and the reference that the kernel must equal (DESIGN 10).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.graph import CausalGraph
from discovery.knowledge import Knowledge
from engine.errors import InputError, RunError

FloatArray = NDArray[np.float64]

MIN_ROWS = 5  # Fisher-z of order 1 has n − 1 − 3 degrees of freedom, which must be positive.
_TOLERANCE = 1e-12  # differences of this size are rounding, not variation


@dataclass(frozen=True)
class PCResult:
    """A CPDAG over the columns that vary, and the names of those that do not (they are in no graph).

    `borderline`: tests within 1e-9 of alpha or on a submatrix with a condition number above 1e10, where
    rounding decides (DESIGN 10; counted by the kernel only)."""

    graph: CausalGraph
    constant: tuple[str, ...]
    borderline: int = 0


# (data, names, alpha), and `knowledge` by keyword where there is any.
Engine = Callable[..., PCResult]
_Find = Callable[[FloatArray, FloatArray, Sequence[str], float, Knowledge | None], tuple[CausalGraph, int]]


def pc(
    data: FloatArray, names: Sequence[str], alpha: float = 0.05, knowledge: Knowledge | None = None
) -> PCResult:
    """PC with Fisher-z tests: the graph of causal-learn's `pc(data, alpha)` with its defaults.

    `data`: [n_rows, n_values] scores, one row per role; `names`: n_values names; `alpha`: level of each
    test; `knowledge`: forbidden and required edges, tiers. Stable skeleton, uc_rule 0, uc_priority 2.
    Constant columns are excluded first, since a test
    with one has no p-value and causal-learn then keeps every edge to it.

    Raises InputError for alpha outside (0, 1), fewer than five rows, missing or infinite scores, names
    that do not fit, knowledge of others; RunError for collinear columns, named.
    """
    return _on_varying_columns(_kernel, data, names, alpha, knowledge)


def pc_causal_learn(
    data: FloatArray, names: Sequence[str], alpha: float = 0.05, knowledge: Knowledge | None = None
) -> PCResult:
    """The same by causal-learn itself, on the same columns and with the same errors; see `pc`."""
    return _on_varying_columns(_causal_learn, data, names, alpha, knowledge)


def _on_varying_columns(
    find: _Find, data: FloatArray, names: Sequence[str], alpha: float, knowledge: Knowledge | None
) -> PCResult:
    check_input(data, names, alpha)
    if knowledge is not None:
        knowledge.check(names)
    kept = ~constant_columns(data)
    constant = tuple(name for name, keep in zip(names, kept, strict=True) if not keep)
    varying = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    if len(varying) < 2:
        return PCResult(CausalGraph.empty(varying), constant)
    table = np.ascontiguousarray(data[:, kept], dtype=np.float64)
    correlation = np.asarray(np.corrcoef(table.T))
    check_collinearity(correlation, len(table), varying)
    graph, borderline = find(table, correlation, varying, alpha, knowledge)
    return PCResult(graph, constant, borderline)


def check_input(data: FloatArray, names: Sequence[str], alpha: float) -> None:
    """Raise InputError unless PC can be asked this at all; see `pc`."""
    if not 0 < alpha < 1:
        raise InputError("alpha", "a level between 0 and 1", f"{alpha}", "0.05 and 0.01 are usual.")
    if data.ndim != 2 or data.shape[1] != len(names):
        raise InputError(
            "scores",
            f"one column for each of {len(names)} names",
            f"shape {data.shape}",
            "Pass one name a column.",
        )
    if data.shape[0] < MIN_ROWS:
        raise InputError(
            "scores",
            f"at least {MIN_ROWS} roles",
            f"{data.shape[0]}",
            "Ask more roles; 100 or more are useful.",
        )
    bad = [name for k, name in enumerate(names) if not np.isfinite(data[:, k]).all()]
    if bad:
        raise InputError(
            "scores",
            "finite numbers",
            f"missing or infinite ones in {_listed(bad)}",
            "Leave out those rows or values.",
        )


def constant_columns(data: FloatArray) -> NDArray[np.bool_]:
    """[n_values]: true for a column whose values differ by no more than rounding."""
    spread = np.ptp(data, axis=0)
    return spread <= _TOLERANCE * np.maximum(1.0, np.abs(data).max(axis=0))


def check_collinearity(correlation: FloatArray, n_rows: int, names: Sequence[str]) -> None:
    """Raise RunError, with names, where columns are exactly collinear.

    causal-learn raises only when an inversion happens to meet an exact zero; else its answer is rounding
    noise. Two equal (or opposite) columns are found at any size; a longer combination only where there
    are more rows than columns, since with fewer every table has one.
    """
    if n_rows > len(names) and _clearly_of_full_rank(correlation):
        return
    twins = np.argwhere(np.triu(np.abs(correlation) > 1 - _TOLERANCE, k=1))
    if twins.size:
        raise _collinear([names[k] for k in twins[0]])
    if n_rows <= len(names):
        return
    values, vectors = np.linalg.eigh(correlation)
    if values[0] < _TOLERANCE:
        involved = np.abs(vectors[:, 0]) > 1e-6
        raise _collinear([name for name, part in zip(names, involved, strict=True) if part])


def _clearly_of_full_rank(correlation: FloatArray) -> bool:
    """Whether the smallest eigenvalue, at least 1 / trace(inverse), is far above the tolerance: quick."""
    try:
        return 0 < float(np.trace(np.linalg.inv(correlation))) < 0.01 / _TOLERANCE
    except np.linalg.LinAlgError:
        return False


def _kernel(
    data: FloatArray,
    correlation: FloatArray,
    names: Sequence[str],
    alpha: float,
    knowledge: Knowledge | None,
) -> tuple[CausalGraph, int]:
    from discovery.fisher import SingularError
    from discovery.kernel import cpdag

    try:
        known = None if knowledge is None else knowledge.matrices(names)
        found = cpdag(correlation, len(data), alpha, known)
    except SingularError as error:
        # A submatrix that is singular although the whole passed the check: with fewer rows than columns.
        raise _collinear([names[k] for k in error.columns]) from error
    return CausalGraph(tuple(names), found.marks), found.borderline


def _causal_learn(
    data: FloatArray,
    correlation: FloatArray,
    names: Sequence[str],
    alpha: float,
    knowledge: Knowledge | None,
) -> tuple[CausalGraph, int]:
    from causallearn.search.ConstraintBased.PC import pc as causal_learn_pc

    theirs = {} if knowledge is None else {"background_knowledge": _for_causal_learn(knowledge, names)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "more features than samples": what runs is checked above
            found = causal_learn_pc(data, alpha, show_progress=False, node_names=list(names), **theirs)
    except (ArithmeticError, ValueError) as error:
        # A submatrix that is singular although the whole passed the check: with fewer rows than columns.
        raise RunError(
            "PC",
            "columns that are not collinear",
            f"{type(error).__name__} in a test: {error}",
            "Leave out values that others determine, or ask more roles.",
        ) from error
    return CausalGraph.from_causal_learn(names, found.G.graph), 0


def _for_causal_learn(knowledge: Knowledge, names: Sequence[str]) -> object:
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


def _collinear(names: Sequence[str]) -> RunError:
    return RunError(
        "PC",
        "columns that are not collinear",
        f"collinear columns: {_listed(names)}",
        "Leave out one of them: no test can tell them apart.",
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"

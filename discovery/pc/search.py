"""The PC algorithm behind one seam: a matrix of scores in, a CPDAG out.

Whatever runs PC has the type `Engine`. `pc` is the compiled kernel (discovery.pc.kernel); `pc_causal_learn`
is causal-learn's, thousands of times slower, and the reference that the kernel must equal (DESIGN 10).

A test counts `n` rows as independent, fewer than the rows of `data` where several belong to one role (DESIGN
11), and may be given a `correlation` matrix in place of that of `data` (discovery.matrix.corrections).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.graph.knowledge import Knowledge
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.engine.errors import InputError, RunError

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


# (data, names, alpha), and by keyword, where there is one, `knowledge`, `n` and `correlation`: see `pc`.
Engine = Callable[..., PCResult]


@dataclass(frozen=True)
class Question:
    """What PC is asked about the columns that vary: `table` [rows, k], `correlation` [k, k], `names`, the `n`
    rows that count as independent, `alpha`, `knowledge`. `plain`: the correlation is that of the n rows."""

    table: FloatArray
    correlation: FloatArray
    names: tuple[str, ...]
    n: int
    alpha: float
    knowledge: Knowledge | None
    plain: bool


def pc(
    data: FloatArray,
    names: Sequence[str],
    alpha: float = 0.05,
    knowledge: Knowledge | None = None,
    *,
    n: int | None = None,
    correlation: FloatArray | None = None,
) -> PCResult:
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


def pc_causal_learn(
    data: FloatArray,
    names: Sequence[str],
    alpha: float = 0.05,
    knowledge: Knowledge | None = None,
    *,
    n: int | None = None,
    correlation: FloatArray | None = None,
) -> PCResult:
    """The same by causal-learn itself, on the same columns and with the same errors; see `pc`."""
    return on_varying_columns(_causal_learn, data, names, alpha, knowledge, n, correlation)


def on_varying_columns(
    find: Callable[[Question], tuple[CausalGraph, int]],
    data: FloatArray,
    names: Sequence[str],
    alpha: float,
    knowledge: Knowledge | None,
    n: int | None,
    correlation: FloatArray | None,
) -> PCResult:
    """What `find` (graph, borderline tests) says of the columns that vary, once all is checked; see `pc`."""
    check_input(data, names, alpha, n)
    if knowledge is not None:
        knowledge.check(names)
    given = None if correlation is None else _given_correlation(correlation, names)
    kept = ~constant_columns(data)
    if given is not None:
        kept &= ~np.isnan(np.diag(given))
    constant = tuple(name for name, keep in zip(names, kept, strict=True) if not keep)
    varying = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    if len(varying) < 2:
        return PCResult(CausalGraph.empty(varying), constant)
    table = np.ascontiguousarray(data[:, kept], dtype=np.float64)
    rows = len(table) if n is None else n
    matrix = np.asarray(np.corrcoef(table.T)) if given is None else given[np.ix_(kept, kept)]
    check_collinearity(matrix, len(table), varying)
    plain = given is None and rows == len(table)
    graph, borderline = find(Question(table, matrix, varying, rows, alpha, knowledge, plain))
    return PCResult(graph, constant, borderline)


def surrogate(correlation: FloatArray, n: int) -> FloatArray:
    """[n, k] made-up rows whose sample correlation is `correlation` [k, k], exactly but for rounding.

    For algorithms that take rows yet look at nothing but their correlations and their number. The same rows
    every time. Raises RunError where n ≤ k or the matrix is not positive definite: no such rows exist, or the
    tests on them would be singular."""
    k = len(correlation)
    if n <= k:
        raise RunError(
            "surrogate rows",
            f"more rows than the {k} values",
            f"{n}",
            "Ask more roles, or use algorithm pc, which works from the correlations alone.",
        )
    noise = np.random.default_rng(0).standard_normal((n, k))
    basis, _ = np.linalg.qr(noise - noise.mean(axis=0))
    try:
        root = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError as error:
        raise RunError(
            "correlation matrix",
            "a positive definite one",
            "one that is not",
            "Leave out values that others determine, or ask more roles.",
        ) from error
    return np.ascontiguousarray(basis @ root.T) * np.sqrt(n - 1)


def _given_correlation(correlation: FloatArray, names: Sequence[str]) -> FloatArray:
    matrix = np.asarray(correlation, dtype=np.float64)
    if matrix.shape != (len(names), len(names)):
        raise InputError(
            "correlation matrix",
            f"shape ({len(names)}, {len(names)})",
            f"{matrix.shape}",
            "Pass one row and column a value.",
        )
    there = ~np.isnan(np.diag(matrix))
    gaps = np.isnan(matrix) & np.outer(there, there)
    if gaps.any():
        i, j = np.argwhere(gaps)[0]
        raise RunError(
            "correlation matrix",
            "a correlation for every two values",
            f"none for {names[i]} and {names[j]}",
            "Leave out one of them, or ask more roles.",
        )
    known = matrix[np.ix_(there, there)]
    if not np.allclose(known, known.T, rtol=0, atol=_TOLERANCE) or np.any(np.abs(known) > 1 + _TOLERANCE):
        raise InputError("correlation matrix", "symmetric, within ±1", "another matrix", "Pass correlations.")
    return (matrix + matrix.T) / 2


def check_input(data: FloatArray, names: Sequence[str], alpha: float, n: int | None = None) -> None:
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
    independent = data.shape[0] if n is None else n
    if not MIN_ROWS <= independent <= data.shape[0]:
        raise InputError(
            "scores",
            f"at least {MIN_ROWS} roles"
            if independent < MIN_ROWS
            else f"no more than the {len(data)} rows as n",
            f"{independent}",
            "Ask more roles; 100 or more are useful.",
        )
    if not np.isfinite(data).all():
        bad = [name for k, name in enumerate(names) if not np.isfinite(data[:, k]).all()]
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


def _kernel(asked: Question) -> tuple[CausalGraph, int]:
    from axiograph.discovery.pc.kernel import SingularError, cpdag

    try:
        known = None if asked.knowledge is None else asked.knowledge.matrices(asked.names)
        found = cpdag(asked.correlation, asked.n, asked.alpha, known)
    except SingularError as error:
        # A submatrix that is singular although the whole passed the check: with fewer rows than columns.
        raise _collinear([asked.names[k] for k in error.columns]) from error
    return CausalGraph(asked.names, found.marks), found.borderline


def _causal_learn(asked: Question) -> tuple[CausalGraph, int]:
    from causallearn.search.ConstraintBased.PC import pc as causal_learn_pc

    theirs = {}
    if asked.knowledge is not None:
        theirs["background_knowledge"] = for_causal_learn(asked.knowledge, asked.names)
    table = asked.table if asked.plain else surrogate(asked.correlation, asked.n)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "more features than samples": what runs is checked above
            found = causal_learn_pc(
                table, asked.alpha, show_progress=False, node_names=list(asked.names), **theirs
            )
    except (ArithmeticError, ValueError) as error:
        # A submatrix that is singular although the whole passed the check: with fewer rows than columns.
        raise RunError(
            "PC",
            "columns that are not collinear",
            f"{type(error).__name__} in a test: {error}",
            "Leave out values that others determine, or ask more roles.",
        ) from error
    return CausalGraph.from_causal_learn(asked.names, found.G.graph), 0


def for_causal_learn(knowledge: Knowledge, names: Sequence[str]) -> object:
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

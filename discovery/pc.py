"""The PC algorithm behind one seam: a matrix of scores in, a CPDAG out.

Whatever runs PC has the type `Engine`; `pc` is causal-learn's, and is the reference for any other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.graph import CausalGraph
from engine.errors import InputError, RunError

FloatArray = NDArray[np.float64]

MIN_ROWS = 5  # Fisher-z of order 1 has n − 1 − 3 degrees of freedom, which must be positive.
_TOLERANCE = 1e-12  # differences of this size are rounding, not variation


@dataclass(frozen=True)
class PCResult:
    """A CPDAG over the columns that vary, and the names of those that do not (they are in no graph)."""

    graph: CausalGraph
    constant: tuple[str, ...]


Engine = Callable[[FloatArray, Sequence[str], float], PCResult]


def pc(data: FloatArray, names: Sequence[str], alpha: float = 0.05) -> PCResult:
    """PC with Fisher-z tests, as causal-learn's `pc(data, alpha)` does it with its defaults.

    `data`: [n_rows, n_values] scores, one row per role; `names`: n_values names; `alpha`: level of each
    test. Stable skeleton, uc_rule 0, uc_priority 2. Constant columns are excluded first, since a test
    with one has no p-value and causal-learn then keeps every edge to it.

    Raises InputError for alpha outside (0, 1), fewer than five rows, missing or infinite scores, names
    that do not fit; RunError for collinear columns, named.
    """
    check_input(data, names, alpha)
    kept = ~constant_columns(data)
    constant = tuple(name for name, keep in zip(names, kept, strict=True) if not keep)
    varying = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    if len(varying) < 2:
        return PCResult(CausalGraph.empty(varying), constant)
    check_collinearity(data[:, kept], varying)
    return PCResult(_causal_learn(np.ascontiguousarray(data[:, kept]), varying, alpha), constant)


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


def check_collinearity(data: FloatArray, names: Sequence[str]) -> None:
    """Raise RunError, with names, where columns are exactly collinear.

    causal-learn raises only when an inversion happens to meet an exact zero; else its answer is rounding
    noise. Two equal (or opposite) columns are found at any size; a longer combination only where there
    are more rows than columns, since with fewer every table has one.
    """
    correlation = np.corrcoef(data.T)
    twins = np.argwhere(np.triu(np.abs(correlation) > 1 - _TOLERANCE, k=1))
    if twins.size:
        raise _collinear([names[k] for k in twins[0]])
    if data.shape[0] <= data.shape[1]:
        return
    values, vectors = np.linalg.eigh(correlation)
    if values[0] < _TOLERANCE:
        involved = np.abs(vectors[:, 0]) > 1e-6
        raise _collinear([name for name, part in zip(names, involved, strict=True) if part])


def _causal_learn(data: FloatArray, names: Sequence[str], alpha: float) -> CausalGraph:
    from causallearn.search.ConstraintBased.PC import pc as causal_learn_pc

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "more features than samples": what runs is checked above
            found = causal_learn_pc(data, alpha, show_progress=False)
    except (ArithmeticError, ValueError) as error:
        # A submatrix that is singular although the whole passed the check: with fewer rows than columns.
        raise RunError(
            "PC",
            "columns that are not collinear",
            f"{type(error).__name__} in a test: {error}",
            "Leave out values that others determine, or ask more roles.",
        ) from error
    return CausalGraph.from_causal_learn(names, found.G.graph)


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

"""The PC kernel: from a correlation matrix to the CPDAG that causal-learn's `pc` finds, in compiled code.

The compiled loops compare squared partial correlations with `bounds`, at which the outcome of Fisher's z test
turns. Where a square is too near them, or a submatrix ill-conditioned, `decide` makes the test with the
operations of causal-learn, one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from axiograph.discovery.graph.knowledge import no_knowledge
from axiograph.discovery.numerics.arrays import BoolArray, ByteArray, EntryArray, FloatArray
from axiograph.discovery.pc.colliders import DEFINITE, MAJORITY, MAX_P, orient_by_sets
from axiograph.discovery.pc.orientation import orient
from axiograph.discovery.pc.skeleton import ABSENT, ADJACENT, DONE, PENDING, search, separate, set_apart

NEAR_ALPHA = 1e-9  # a p-value within this of alpha is a borderline case (DESIGN 10)
ILL_CONDITIONED = 1e10  # so is a submatrix with a larger condition number
_GUARD = 1e-6  # relative; far above the rounding of either computation where it is well-conditioned
_ALWAYS = 4.0  # a bound that no squared correlation reaches: independent whatever the data
_LARGEST_Z = math.atanh(1 - np.finfo(float).eps)  # |r| ≥ 1 is taken for 1 − eps
_CHUNK = 4096  # submatrices inverted at once
RULES = {"definite": DEFINITE, "majority": MAJORITY, "max_p": MAX_P}
_PENDING = 1024  # tests put off before they are decided; more where those of one node do not fit


@lru_cache(maxsize=64)
def bounds(alpha: float, n_rows: int, n_columns: int) -> tuple[FloatArray, FloatArray]:
    """For k = 0 … n_columns − 1 nodes given: below lower[k] a squared partial correlation means
    independent, above upper[k] dependent, in between the test must be made as causal-learn makes it.

    Between them lies all that gives a p-value within `NEAR_ALPHA` of alpha, or whose side rounding could
    change."""
    tolerance = near(alpha)
    lower = _squares(_critical(alpha + tolerance), n_rows, n_columns) * (1 - _GUARD)
    upper = _squares(_critical(alpha - tolerance), n_rows, n_columns) * (1 + _GUARD)
    for array in (lower, upper):
        array[array > 1 + 2 * _GUARD] = _ALWAYS
        array.setflags(write=False)
    return lower, upper


def near(alpha: float) -> float:
    """How near to alpha a p-value counts as borderline."""
    return min(NEAR_ALPHA, alpha / 10)


def _squares(critical: float, n_rows: int, n_columns: int) -> FloatArray:
    freedom = n_rows - np.arange(n_columns, dtype=np.float64) - 3
    z = critical / np.sqrt(np.maximum(freedom, 1e-300))
    return np.where((freedom <= 0) | (z > _LARGEST_Z), _ALWAYS, np.tanh(z) ** 2)


@lru_cache(maxsize=256)
def _critical(alpha: float) -> float:
    """The largest |X| that causal-learn's 2 (1 − Φ(|X|)) puts above alpha, by bisection of that formula."""
    from scipy.special import ndtr

    low, high = 0.0, 40.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return low
        if 2 * (1 - ndtr(middle)) > alpha:
            low = middle
        else:
            high = middle


@dataclass(frozen=True)
class Tests:
    """Outcomes of m tests: `independent` [m], and which of them are borderline cases of DESIGN 10 [m]."""

    independent: BoolArray
    borderline: BoolArray


class SingularError(ArithmeticError):
    """A tested submatrix is exactly singular; `columns` are its column numbers."""

    def __init__(self, columns: tuple[int, ...]) -> None:
        super().__init__("Data correlation matrix is singular")
        self.columns = columns


def decide(corr: FloatArray, entries: EntryArray, n_rows: int, alpha: float) -> Tests:
    """Make the tests x, y given S (`entries` [m, 2 + |S|]) with causal-learn's own sequence of operations.

    Raises SingularError where causal-learn raises: its inversion meets an exact zero."""
    independent = np.zeros(len(entries), dtype=bool)
    borderline = np.zeros(len(entries), dtype=bool)
    for start in range(0, len(entries), _CHUNK):
        part = slice(start, start + _CHUNK)
        columns = entries[part].copy()
        columns[:, :2].sort(axis=1)
        submatrices = corr[columns[:, :, None], columns[:, None, :]]
        inverses = _inverses(submatrices, columns)
        p = _p_values(inverses, n_rows, entries.shape[1] - 2)
        independent[part] = p > alpha
        condition = np.linalg.norm(submatrices, axis=(1, 2)) * np.linalg.norm(inverses, axis=(1, 2))
        borderline[part] = (np.abs(p - alpha) <= near(alpha)) | ~(condition <= ILL_CONDITIONED)
    return Tests(independent, borderline)


def _inverses(submatrices: FloatArray, columns: EntryArray) -> FloatArray:
    try:
        return np.asarray(np.linalg.inv(submatrices), dtype=np.float64)
    except np.linalg.LinAlgError:
        for submatrix, numbers in zip(submatrices, columns, strict=True):
            try:
                np.linalg.inv(submatrix)
            except np.linalg.LinAlgError:
                raise SingularError(tuple(numbers.tolist())) from None
        raise


def _p_values(inverses: FloatArray, n_rows: int, conditioned: int) -> FloatArray:
    """[m], of tests conditioned on so many nodes, as FisherZ.__call__ of causal-learn; math.log, since
    numpy's logarithm may differ in the last bit."""
    from scipy.special import ndtr

    with np.errstate(all="ignore"):
        r = -inverses[:, 0, 1] / np.sqrt(np.abs(inverses[:, 0, 0] * inverses[:, 1, 1]))
        r = np.where(np.abs(r) >= 1, (1.0 - np.finfo(float).eps) * np.sign(r), r)
        z = 0.5 * np.array([math.log(ratio) for ratio in ((1 + r) / (1 - r)).tolist()])
        return 2 * (1 - ndtr(math.sqrt(n_rows - conditioned - 3) * np.abs(z)))


@dataclass(frozen=True)
class KernelResult:
    """`marks` [n, n] of discovery.graph.causal_graph; `tests` made, each from both ends of a pair where both
    have the nodes that it is conditioned on; `pending`: those of them that were decided by causal-learn's own
    formula; `borderline`: those near alpha or ill-conditioned, where rounding decides (DESIGN 10)."""

    marks: ByteArray
    tests: int
    pending: int
    borderline: int


def cpdag(
    corr: FloatArray,
    n_rows: int,
    alpha: float,
    knowledge: tuple[ByteArray, ByteArray, ByteArray] | None = None,
    colliders: str = "sepset",
) -> KernelResult:
    """PC with Fisher-z tests on corr [n, n] of n_rows rows, n_rows ≥ 4, with causal-learn's defaults.

    `knowledge`: `Knowledge.matrices`, where there is background knowledge. `colliders`: "sepset" as
    causal-learn, or one of `RULES`.
    Raises SingularError where a submatrix that PC tests is exactly singular."""
    n = len(corr)
    lower, upper = bounds(alpha, n_rows, n)
    apart, banned, drawn = no_knowledge(n) if knowledge is None else knowledge
    adjacent = np.full((n, n), ADJACENT, np.uint8)
    np.fill_diagonal(adjacent, ABSENT)
    sepset = np.zeros((n, n, (n + 63) // 64), np.uint64)
    entries = np.empty((_PENDING, n), np.int32)
    position = np.zeros(4, np.int64)
    pending = borderline = 0
    while (status := search(corr, lower, upper, adjacent, sepset, entries, position)) != DONE:
        if status != PENDING:
            entries = np.empty((2 * len(entries), n), np.int32)
            continue
        # Tests were put off at the depth that is still open, or has just been gone through.
        undecided = entries[: position[2], : 2 + position[0]]
        outcome = decide(corr, undecided, n_rows, alpha)
        for test in undecided[outcome.independent]:
            separate(adjacent, sepset, test[0], test[1], test[2:])
        pending += len(undecided)
        borderline += int(outcome.borderline.sum())
        position[2] = 0
    marks, unsettled = np.empty((2, n, n), np.uint8)
    set_apart(adjacent, apart, unsettled)
    if colliders == "sepset":
        orient(adjacent, sepset, unsettled, banned, drawn, marks)
    else:
        rule, z = RULES[colliders], _critical(alpha)
        orient_by_sets(corr, n_rows, z, rule, adjacent, unsettled, banned, drawn, marks)
    return KernelResult(marks, int(position[3]), pending, borderline)

"""The PC kernel: from a correlation matrix to the CPDAG that causal-learn's `pc` finds, in compiled code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discovery.fisher import bounds, decide
from discovery.knowledge import ByteArray, no_knowledge
from discovery.orientation import orient
from discovery.pc import FloatArray
from discovery.skeleton import ABSENT, ADJACENT, DONE, LEAVING, PENDING, search, separate

_PENDING = 1024


@dataclass(frozen=True)
class KernelResult:
    """`marks` [n, n] of discovery.graph; `tests` made, each from both ends of a pair where both have the
    nodes it is given; `pending`: those of them that were decided by causal-learn's own formula;
    `borderline`: those near alpha or ill-conditioned, where rounding decides (DESIGN 10)."""

    marks: NDArray[np.uint8]
    tests: int
    pending: int
    borderline: int


def cpdag(
    corr: FloatArray, n_rows: int, alpha: float, known: tuple[ByteArray, ByteArray, ByteArray] | None = None
) -> KernelResult:
    """PC with Fisher-z tests on corr [n, n] of n_rows rows, n_rows ≥ 4, with causal-learn's defaults.

    `known`: the matrices of discovery.knowledge, where there is background knowledge.
    Raises SingularError (discovery.fisher) where a submatrix that PC tests is exactly singular."""
    n = len(corr)
    lower, upper = bounds(alpha, n_rows, n)
    apart, banned, drawn = no_knowledge(n) if known is None else known
    adjacent = np.where(apart == 1, LEAVING, ADJACENT).astype(np.uint8)
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
    marks = np.empty((n, n), np.uint8)
    orient(adjacent, sepset, banned, drawn, marks)
    return KernelResult(marks, int(position[3]), pending, borderline)

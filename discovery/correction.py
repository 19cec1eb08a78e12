"""What takes the place of the plain correlations of a table: the seam of `disattenuation` and `pairwise`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from discovery.pc import FloatArray

MIN_EIGENVALUE = (
    0.01  # of a projected matrix; PC's tests on a nearly singular one would find edges everywhere
)


@dataclass(frozen=True)
class Corrected:
    """`matrix` [n_columns, n_columns], NaN in the rows and columns of what has no correlations there: a
    constant column, a value that cannot be corrected. `projected`: it was not positive definite and was made
    so. `share`: how much of a role tests may count as one independent row, in (0, 1]."""

    matrix: FloatArray
    projected: bool
    share: float

    def rows(self, n: int) -> int:
        """What tests count as independent of n roles: at least PC's least, rounded down."""
        from discovery.pc import MIN_ROWS

        return max(min(MIN_ROWS, n), int(self.share * n))


class Correction(Protocol):
    """Correlations of any rows of a table of scores, of which it knows more than the table holds.

    It travels to the workers with the data: it must be picklable, and the same call must give the same
    answer."""

    def correlation(self, rows: NDArray[np.int64]) -> Corrected:
        """Of these rows, which may hold a row several times.

        Raises AxiographError where there is none: the replicate failed, and is counted with the reason."""
        ...

    def permuted(self, sources: NDArray[np.int64]) -> Correction:
        """The same for the table in which row i, column j has what row sources[i, j] had: score and parts."""
        ...


def positive_definite(matrix: FloatArray) -> tuple[FloatArray, bool]:
    """(a correlation matrix whose eigenvalues are MIN_EIGENVALUE or more, whether it had to be changed).

    Eigenvalues below it are raised to it and the diagonal made 1 again (statsmodels' corr_clipped)."""
    if len(matrix) == 0 or float(np.linalg.eigvalsh(matrix)[0]) >= MIN_EIGENVALUE:
        return matrix, False
    from statsmodels.stats.correlation_tools import corr_clipped

    clipped = np.asarray(corr_clipped(np.clip(matrix, -1.0, 1.0), threshold=MIN_EIGENVALUE))
    return (clipped + clipped.T) / 2, True

"""PC with tests that do not assume straight lines, by causal-learn: of kernels and of counts.

Scores cut into levels, for tests that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from axiograph.discovery.algorithms.causal_learn import CausalLearnEngine, quiet, require_rows
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.pc.search import Question, for_causal_learn
from axiograph.engine.errors import RunError

IntArray = NDArray[np.int64]
Bins = Literal["quantile", "width", "as_answered"]
_EXPECTED = 5  # a cell that fewer are expected in is sparse (Cochran 1954, Biometrics 10, p. 417)


def levels_of(data: FloatArray, bins: Bins = "quantile", levels: int = 3) -> IntArray:
    """[n_rows, n_values] levels 0, 1, … of scores [n_rows, n_values]; equal scores have equal levels.

    "quantile": about the same number of rows each, by the rank of a score, the mean rank where scores are
    equal: a column that varies keeps two levels at least, whatever share of its rows are equal. "width":
    equal parts of the column's range. "as_answered": every score that occurs is a level."""
    if bins == "as_answered":
        columns = [np.unique(column, return_inverse=True)[1] for column in data.T]
        return np.stack(columns, axis=1).astype(np.int64)
    if bins == "quantile":
        from scipy.stats import rankdata

        place = (rankdata(data, axis=0) - 0.5) / len(data)
    else:
        low, high = data.min(axis=0), data.max(axis=0)
        place = (data - low) / (high - low)
    return np.minimum((place * levels).astype(np.int64), levels - 1)


def sparse_pairs(levels: IntArray) -> int:
    """How many pairs of columns of levels [n_rows, n_values] have a cell in which fewer than five rows are
    expected if the two were independent: the p-value of chi-square is not to be relied on there."""
    rarest = [np.unique(column, return_counts=True)[1].min() for column in levels.T]
    return sum(a * b / len(levels) < _EXPECTED for a, b in combinations(rarest, 2))


@dataclass(frozen=True)
class KernelPC(CausalLearnEngine):
    """PC with the kernel test of conditional independence (Zhang et al. 2011, UAI): relations of any form.

    causal-learn's defaults: Gaussian kernels of its own widths, p-values by the gamma approximation, so that
    nothing is random. `max_conditioning`: the largest conditioning set, None for no limit. A test takes
    about n³ steps."""

    max_conditioning: int | None = None

    name: ClassVar[str] = "pc_kci"

    def find(self, asked: Question) -> CausalGraph:
        require_rows("pc_kci", asked, "The kernel test compares rows with rows, not correlations.")
        return _pc(asked, asked.table, "kci", self.max_conditioning)


@dataclass(frozen=True)
class ChiSquarePC(CausalLearnEngine):
    """PC with Pearson's chi-square test on scores cut into levels, for relations of any form.

    `bins`, `levels`: see discovery.algorithms.nonlinear_tests; three levels of about equal size by default,
    since every value in the conditioning set divides the rows of a cell by their number, and equal sizes keep
    the rarest cell as full as can be. A table without a degree of freedom left counts as independent, as in
    causal-learn: sparse tables lose edges. `max_conditioning`: the largest conditioning set, None for no
    limit."""

    max_conditioning: int | None = None
    bins: Bins = "quantile"
    levels: int = 3

    name: ClassVar[str] = "pc_chisq"

    def find(self, asked: Question) -> CausalGraph:
        require_rows("pc_chisq", asked, "The test counts rows; correlations say nothing of counts.")
        table = levels_of(asked.table, self.bins, self.levels)
        _check_different(table, asked.names)
        return _pc(asked, table.astype(np.float64), "chisq", self.max_conditioning)


def _pc(asked: Question, table: FloatArray, test: str, max_conditioning: int | None) -> CausalGraph:
    from causallearn.search.ConstraintBased.PC import pc

    chosen = {}
    if asked.knowledge is not None:
        chosen["background_knowledge"] = for_causal_learn(asked.knowledge, asked.names)
    with quiet(f"PC with {test}"):
        found = pc(
            table,
            float(asked.alpha),
            test,
            show_progress=False,
            node_names=list(asked.names),
            max_k=max_conditioning,
            **chosen,
        )
    _check_p_values(found.test.pvalue_cache, test)
    return CausalGraph.from_causal_learn(asked.names, found.G.graph)


def _check_p_values(cache: dict[str, object], test: str) -> None:
    """causal-learn keeps an edge where a test has no p-value: here that is a failure."""
    bad = sum(isinstance(p, float) and not np.isfinite(p) for p in cache.values())
    if bad:
        raise RunError(
            f"PC with {test}",
            "a p-value of every test",
            f"{bad} tests without one",
            "Leave out values that hardly vary, or use algorithm pc.",
        )


def _check_different(levels: np.ndarray, names: Sequence[str]) -> None:
    """RunError where two columns say the same of every row: given one, the other is independent of all."""
    seen: dict[bytes, str] = {}
    for name, column in zip(names, levels.T, strict=True):
        first, places = np.unique(column, return_index=True)[1], np.unique(column, return_inverse=True)[1]
        # Numbered by first occurrence, so that reversed or renamed levels are the same.
        key = np.argsort(np.argsort(first))[places].astype(np.int64).tobytes()
        if key in seen:
            raise RunError(
                "PC with chisq",
                "values with different levels",
                f"the same levels in {seen[key]} and {name}",
                "Use more levels, or leave out one of the values.",
            )
        seen[key] = name

"""PC with nonparametric tests, by causal-learn: relations need not be straight lines.

A kernel test takes the scores as they are; chi-square counts scores cut into levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np

from axiograph.discovery.algorithms.causal_learn import CausalLearnSearch, quiet, require_rows
from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.numerics.arrays import FloatArray, IndexArray
from axiograph.discovery.pc.inputs import SearchInput
from axiograph.discovery.pc.search import for_causal_learn
from axiograph.engine.errors import RunError

Bins = Literal["quantile", "width", "as_answered"]
_EXPECTED = 5  # a cell that fewer are expected in is sparse (Cochran 1954, Biometrics 10, p. 417)


def levels_of(data: FloatArray, bins: Bins = "quantile", levels: int = 3) -> IndexArray:
    """[n_rows, n_values] levels 0, 1, … of scores [n_rows, n_values]; equal scores have equal levels.

    "quantile": about the same number of rows each, by the rank of a score, the mean rank where scores are
    equal: a column that varies keeps two levels at least, whatever share of its rows are equal. "width":
    equal parts of the column's range. "as_answered": every score that occurs is a level."""
    if bins == "as_answered":
        columns = [np.unique(column, return_inverse=True)[1] for column in data.T]
        return np.stack(columns, axis=1).astype(np.int64)
    if bins == "quantile":
        from scipy.stats import rankdata

        share = (rankdata(data, axis=0) - 0.5) / len(data)
    else:
        low, high = data.min(axis=0), data.max(axis=0)
        share = (data - low) / (high - low)
    return np.minimum((share * levels).astype(np.int64), levels - 1)


def sparse_pairs(levels: IndexArray) -> int:
    """How many pairs of columns of levels [n_rows, n_values] have a cell in which fewer than five rows are
    expected if the two were independent: the p-value of chi-square is not to be relied on there."""
    rarest = [np.unique(column, return_counts=True)[1].min() for column in levels.T]
    return sum(a * b / len(levels) < _EXPECTED for a, b in combinations(rarest, 2))


@dataclass(frozen=True)
class KernelPC(CausalLearnSearch):
    """PC with the kernel test of conditional independence (Zhang et al. 2011, UAI): relations of any form.

    causal-learn's defaults: Gaussian kernels of its own widths, p-values by the gamma approximation, so that
    nothing is random. `max_conditioning`: the largest conditioning set, None for no limit. A test takes
    about n³ steps."""

    max_conditioning: int | None = None

    name: ClassVar[str] = "pc_kci"

    def find_graph(self, inputs: SearchInput) -> CausalGraph:
        require_rows("pc_kci", inputs, "The kernel test compares rows with rows, not correlations.")
        return _pc(inputs, inputs.table, "kci", self.max_conditioning)


@dataclass(frozen=True)
class ChiSquarePC(CausalLearnSearch):
    """PC with Pearson's chi-square test on scores cut into levels, for relations of any form.

    `bins`, `levels`: see `levels_of`; three levels of about equal size by default,
    since every value in the conditioning set divides the rows of a cell by their number, and equal sizes keep
    the rarest cell as full as can be. A table without a degree of freedom left counts as independent, as in
    causal-learn: sparse tables lose edges. `max_conditioning`: the largest conditioning set, None for no
    limit."""

    max_conditioning: int | None = None
    bins: Bins = "quantile"
    levels: int = 3

    name: ClassVar[str] = "pc_chisq"

    def find_graph(self, inputs: SearchInput) -> CausalGraph:
        require_rows("pc_chisq", inputs, "The test counts rows; correlations say nothing of counts.")
        table = levels_of(inputs.table, self.bins, self.levels)
        _check_different(table, inputs.names)
        return _pc(inputs, table.astype(np.float64), "chisq", self.max_conditioning)


def _pc(inputs: SearchInput, table: FloatArray, test: str, max_conditioning: int | None) -> CausalGraph:
    from causallearn.search.ConstraintBased.PC import pc

    options = {}
    if inputs.knowledge is not None:
        options["background_knowledge"] = for_causal_learn(inputs.knowledge)
    with quiet(f"PC with {test}"):
        result = pc(
            table,
            float(inputs.alpha),
            test,
            show_progress=False,
            node_names=list(inputs.names),
            max_k=max_conditioning,
            **options,
        )
    _check_p_values(result.test.pvalue_cache, test)
    return CausalGraph.from_causal_learn(inputs.names, result.G.graph)


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


def _check_different(levels: IndexArray, names: Sequence[str]) -> None:
    """RunError where two columns say the same of every row: given one, the other is independent of all."""
    seen: dict[bytes, str] = {}
    for name, column in zip(names, levels.T, strict=True):
        _, first, numbers = np.unique(column, return_index=True, return_inverse=True)
        # Numbered by first occurrence, so that reversed or renamed levels are the same.
        key = np.argsort(np.argsort(first))[numbers].astype(np.int64).tobytes()
        if key in seen:
            raise RunError(
                "PC with chisq",
                "values with different levels",
                f"the same levels in {seen[key]} and {name}",
                "Use more levels, or leave out one of the values.",
            )
        seen[key] = name

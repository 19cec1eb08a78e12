"""The algorithms that discovery can use, by name; each is a `SearchFunction` of discovery.pc.search.

`pc` and `boss` are compiled kernels; all others are causal-learn's and take far longer: `estimated_seconds`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from axiograph.discovery.algorithms.causal_learn import FCI, GES, Exact
from axiograph.discovery.algorithms.nonparametric import (
    ChiSquarePC,
    KernelPC,
    levels_of,
    sparse_pairs,
)
from axiograph.discovery.graph.marks import GraphKind
from axiograph.discovery.numerics.arrays import FloatArray
from axiograph.discovery.orders.search import PENALTY, STARTS, BestOrder
from axiograph.discovery.pc.inputs import constant_columns
from axiograph.discovery.pc.search import PC, SearchFunction, pc, pc_causal_learn
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import AlgorithmSpec

Seconds = Callable[[int, int], float]


@dataclass(frozen=True)
class Algorithm:
    """One algorithm. `title`: what it is, for people; `kind`: what the marks of its graphs mean;
    `uses_alpha`; `takes_knowledge`; `takes_correlation`: whether it can be given a correlation matrix, or
    count fewer rows as independent than there are; `settings`: the fields of AlgorithmSpec that it uses;
    `caution`: what to know of its graphs."""

    name: str
    title: str
    kind: GraphKind
    make: Callable[[AlgorithmSpec], SearchFunction]
    seconds: Seconds
    uses_alpha: bool = True
    takes_knowledge: bool = True
    takes_correlation: bool = True
    settings: tuple[str, ...] = ()
    caution: str = ""

    def function(self, settings: AlgorithmSpec) -> SearchFunction:
        """What runs it; it can be sent to another process. InputError for a setting that it does not use."""
        default = AlgorithmSpec()
        for name in AlgorithmSpec.model_fields:
            value = getattr(settings, name)
            if name not in self.settings and value != getattr(default, name):
                used = ", ".join(self.settings) or "none"
                raise InputError(
                    f"discovery setting {name}",
                    f"settings of algorithm {self.name} ({used})",
                    f"{name} = {value}",
                    "Remove it, or choose the algorithm that it belongs to.",
                )
        return self.make(settings)

    def level(self, alpha: float, settings: AlgorithmSpec) -> str:
        """What decides about an edge, for summaries: alpha, or what takes its place."""
        if self.uses_alpha:
            return f"alpha {alpha:g}"
        if "penalty" in self.settings:
            return f"{penalty_of(settings):g} × BIC (alpha is not used)"
        return "BIC (alpha is not used)"


def penalty_of(settings: AlgorithmSpec) -> float:
    """What a parameter costs, as a multiple of BIC's penalty."""
    return PENALTY if settings.penalty is None else settings.penalty


def algorithm(name: str) -> Algorithm:
    """The algorithm of this name. InputError for another name."""
    if name not in ALGORITHMS:
        raise InputError("algorithm", f"one of {', '.join(ALGORITHMS)}", f"{name!r}", "Correct the name.")
    return ALGORITHMS[name]


def search_function(name: str, settings: AlgorithmSpec | None = None) -> SearchFunction:
    """What runs the algorithm of this name: see `Algorithm.function`; "pc" is `discovery.pc.search.pc`
    itself."""
    return algorithm(name).function(AlgorithmSpec() if settings is None else settings)


def estimated_seconds(name: str, n_values: int, n_rows: int) -> float:
    """What one run takes on well-correlated scores, in seconds of one core: a warning before hours of work,
    within a factor of four or so on the data of benchmarks/results/discovery_algorithms.md. Graphs with few
    edges are faster by far, with many slower."""
    return algorithm(name).seconds(n_values, n_rows)


def remarks(name: str, settings: AlgorithmSpec, data: FloatArray) -> list[str]:
    """Sentences that belong beside the result of this algorithm on scores `data` [n_rows, n_values]."""
    chosen = algorithm(name)
    cautions = [chosen.caution] if chosen.caution else []
    return cautions + (_sparse_cells(settings, data) if name == "pc_chisq" else [])


def _sparse_cells(settings: AlgorithmSpec, data: FloatArray) -> list[str]:
    levels = levels_of(data[:, ~constant_columns(data)], settings.bins, settings.levels)
    n, k = levels.shape
    pairs, sparse = k * (k - 1) // 2, sparse_pairs(levels)
    cells = float(np.mean(levels.max(axis=0) + 1)) if k else 0.0
    if not pairs or (not sparse and n >= 5 * cells**3):
        return []
    return [
        f"Chi-square on {n} rows: {sparse} of {pairs} pairs of values have a cell with fewer than 5 rows "
        f"expected. Given one more value a cell has {n / cells**3:.1f} rows on average, given two "
        f"{n / cells**4:.1f}: below 5, p-values are not to be relied on, and edges are lost."
    ]


def _tests(n_values: int, n_rows: int) -> float:
    """About how many tests PC makes: 5,200 on the paper's 17 values and 1,111 rows; more rows, more edges."""
    return 5200 * (n_values / 17) ** 3.7 * min(1.0, (n_rows / 1000) ** 1.5)


def _kernel_seconds(n_values: int, n_rows: int) -> float:
    # Checks, and from 25, 50, 100, 200 and 296 values of 400 roles: 0.13, 0.8, 6, 48 and 72 ms.
    return 5e-4 + 0.05 * (n_values / 200) ** 2.85


def _order_seconds(n_values: int, n_rows: int) -> float:
    # Checks, and from 8, 17, 30, 60 and 224 values of 200 roles: 0.1, 0.3, 0.7, 1.7 and 22 ms.
    return 5e-4 + 0.022 * (n_values / 224) ** 1.9


ALGORITHMS = {
    chosen.name: chosen
    for chosen in (
        Algorithm(
            "pc",
            "PC, Fisher-z tests",
            GraphKind.CPDAG,
            lambda chosen: pc if chosen.colliders == "sepset" else PC(chosen.colliders),
            _kernel_seconds,
            settings=("colliders",),
        ),
        Algorithm(
            "boss",
            "best-order search, Gaussian BIC",
            GraphKind.CPDAG,
            lambda chosen: BestOrder(penalty_of(chosen), STARTS if chosen.starts is None else chosen.starts),
            _order_seconds,
            uses_alpha=False,
            settings=("penalty", "starts"),
        ),
        Algorithm(
            "pc_causal_learn",
            "PC, Fisher-z tests, by causal-learn (the reference)",
            GraphKind.CPDAG,
            lambda _: pc_causal_learn,
            lambda n_values, n_rows: 0.01 + 7e-5 * _tests(n_values, n_rows),
        ),
        Algorithm(
            "fci",
            "FCI, Fisher-z tests: values may have hidden common causes",
            GraphKind.PAG,
            lambda chosen: FCI(chosen.max_conditioning),
            lambda n_values, n_rows: 0.01 + 1.5e-4 * _tests(n_values, n_rows),
            takes_knowledge=False,
            settings=("max_conditioning",),
            caution="FCI: a → b means that a is a cause of b, directly or through others; "
            "o marks an end that is not settled.",
        ),
        Algorithm(
            "ges",
            "GES, Gaussian BIC",
            GraphKind.CPDAG,
            lambda chosen: GES(penalty_of(chosen)),
            lambda n_values, n_rows: 0.01 + 0.3 * (n_values / 17) ** 4,
            uses_alpha=False,
            takes_knowledge=False,
            settings=("penalty",),
        ),
        Algorithm(
            "exact",
            "exact search, Gaussian BIC",
            GraphKind.CPDAG,
            lambda chosen: Exact(chosen.max_parents, chosen.search),
            lambda n_values, n_rows: 1.5 * 2.4 ** (n_values - 12) * min(1.0, (n_rows / 1000) ** 0.6),
            uses_alpha=False,
            takes_knowledge=False,
            settings=("max_parents", "search"),
            caution="Exact search finds one best graph; shown is its class, all graphs of the same score.",
        ),
        Algorithm(
            "pc_kci",
            "PC, kernel tests",
            GraphKind.CPDAG,
            lambda chosen: KernelPC(chosen.max_conditioning),
            lambda n_values, n_rows: _tests(n_values, n_rows) * (2e-3 + 1.5e-9 * n_rows**3),
            takes_correlation=False,
            settings=("max_conditioning",),
        ),
        Algorithm(
            "pc_chisq",
            "PC, chi-square tests on scores cut into levels",
            GraphKind.CPDAG,
            lambda chosen: ChiSquarePC(chosen.max_conditioning, chosen.bins, chosen.levels),
            lambda n_values, n_rows: 0.01 + 1e-4 * _tests(n_values, n_rows),
            takes_correlation=False,
            settings=("max_conditioning", "bins", "levels"),
        ),
    )
}

"""Random data sets on which the kernel is compared with causal-learn, mark by mark."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from axiograph.discovery.graph.causal_graph import CausalGraph
from axiograph.discovery.pc.kernel import SingularError, cpdag

ROWS = (20, 30, 50, 100, 200, 500, 1000, 2000, 5000)
ALPHAS = (0.001, 0.01, 0.05, 0.1, 0.2)
KINDS = ("gaussian", "ordinal", "duplicated", "dependent", "near singular", "paper")


@dataclass
class Comparison:
    """`differing` and `raising` are numbers of data sets; those in `unexplained` have no borderline test."""

    kinds: Counter[str] = field(default_factory=Counter)
    tests: int = 0
    decided_exactly: int = 0
    with_borderline: int = 0
    raising: int = 0
    differing: int = 0
    unexplained: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.kinds.total()} data sets ({kinds}): {self.tests} tests, {self.decided_exactly} decided "
            f"as causal-learn does, {self.with_borderline} data sets with a borderline test, {self.raising} "
            f"singular for both, {self.differing} differ, unexplained {self.unexplained}"
        )


def compare(sets: Iterator[tuple[str, np.ndarray, float]]) -> Comparison:
    """Run both on the bare data: no exclusion of constant or collinear columns before."""
    seen = Comparison()
    for number, (kind, data, alpha) in enumerate(sets):
        seen.kinds[kind] += 1
        theirs = causal_learn(data, alpha)
        try:
            ours = cpdag(np.corrcoef(data.T), len(data), alpha)
        except SingularError:
            if theirs is None:
                seen.raising += 1
            else:
                seen.unexplained.append(f"{number} {kind}: only the kernel raises")
            continue
        seen.tests += ours.tests
        seen.decided_exactly += ours.pending
        seen.with_borderline += ours.borderline > 0
        if theirs is None:
            seen.unexplained.append(f"{number} {kind}: only causal-learn raises")
        elif not np.array_equal(ours.marks, theirs):
            seen.differing += 1
            if not ours.borderline:
                seen.unexplained.append(f"{number} {kind} {data.shape} {alpha}")
    return seen


def causal_learn(data: np.ndarray, alpha: float) -> np.ndarray | None:
    """Its marks in the convention of discovery.graph.causal_graph; None where it raises for singularity."""
    from causallearn.search.ConstraintBased.PC import pc

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pc(data, alpha, show_progress=False)
    except ValueError as error:
        assert "singular" in str(error)
        return None
    names = [str(k) for k in range(data.shape[1])]
    return CausalGraph.from_causal_learn(names, found.G.graph).marks


def datasets(
    numbers: Iterable[int], seed: int, paper: Path | None = None
) -> Iterator[tuple[str, np.ndarray, float]]:
    """(kind, data, alpha), each from its own child seed; 3 to 40 columns, 20 to 5,000 rows."""
    answers = None if paper is None else paper_scores(paper)
    for k in numbers:
        rng = np.random.default_rng([seed, k])
        kind = KINDS[k % len(KINDS)] if answers is not None else KINDS[k % (len(KINDS) - 1)]
        alpha = float(rng.choice(ALPHAS))
        if kind == "paper":
            rows = rng.integers(0, len(answers), size=int(rng.choice((60, 200, 555, 1111))))
            chosen = np.sort(rng.choice(answers.shape[1], size=int(rng.integers(4, 18)), replace=False))
            data = answers[np.ix_(rows, chosen)]
        else:
            data = _altered(kind, linear(rng, ordinal=kind == "ordinal"), rng)
        varies = np.ptp(data, axis=0) > 0
        yield kind, np.ascontiguousarray(data[:, varies]), alpha


def linear(rng: np.random.Generator, ordinal: bool) -> np.ndarray:
    """Rows of a random linear model, mostly small, sometimes of 40 columns; sparser the wider it is."""
    columns = int(
        rng.choice((rng.integers(3, 9), rng.integers(9, 17), rng.integers(17, 41)), p=(0.5, 0.4, 0.1))
    )
    rows = int(rng.choice(ROWS))
    density = min(0.8, rng.uniform(0.5, 5.0) / columns)
    effects = np.triu(rng.random((columns, columns)) < density, k=1) * rng.uniform(
        0.2, 1.2, (columns, columns)
    )
    effects *= rng.choice([-1, 1], size=effects.shape)
    order = rng.permutation(columns)
    effects = effects[np.ix_(order, order)]
    data = rng.normal(size=(rows, columns)) @ np.linalg.inv(np.eye(columns) - effects)
    return np.clip(np.round(1.3 * data / data.std(axis=0)), -2, 2) if ordinal else data


def _altered(kind: str, data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    first, second = data[:, 0], data[:, 1]
    if kind == "duplicated":
        return np.c_[data, rng.choice([1, -2, 0.3]) * first]
    if kind == "dependent":
        return np.c_[data, first - rng.choice([1, 0.7]) * second]
    if kind == "near singular":
        return np.c_[data, first + 10.0 ** -rng.uniform(2, 8) * rng.normal(size=len(data))]
    return data


def paper_scores(folder: Path) -> np.ndarray:
    """Every row of the paper's training answers, 17 values."""
    table = pl.read_csv(folder / "gemma" / "answers_train.csv", infer_schema=False)
    names = [c for c in table.columns[2:] if not c.endswith(":scstd") and c not in ("stds", "scstds")]
    return table.select(names).cast(pl.Float64).to_numpy()
